// Values in messages. A message goes to the client, into the server's log and over HTTP, and whoever sends a value of
// 500 MB would have it there once more: so no message repeats a value, or the message of another error, but through
// these. They cut between characters: half of one is invalid UTF-8, which ends the client's session.
#pragma once

#include "prelude.hpp"

namespace pg {

constexpr int excerpt_characters = 100;         // of a value
constexpr int message_excerpt_characters = 500; // of another error's message, detail or context

// The text, or its beginning and "..." where it has more characters than that.
const char *excerpt(std::string_view text, int characters = excerpt_characters);
// Of a value of type text or varchar; no more than the beginning is decompressed.
const char *text_excerpt(Datum text);
// Of a value of type jsonb; of a large one its size alone.
const char *json_excerpt(Datum json);
// Of a message of another error, which may be anybody's. Null stays null.
const char *message_excerpt(const char *message);

} // namespace pg
