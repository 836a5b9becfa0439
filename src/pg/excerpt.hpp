// Values in messages. A message goes to the client, into the server's log and over HTTP, and a value of 500 MB that a
// client sends would stand there once more. So no message repeats a value, or the message of another error, but through
// these functions. They cut between characters: half of one is invalid UTF-8, which ends the client's session.
//
// All return text that is palloc'd in the current memory context.
#pragma once

#include "prelude.hpp"

namespace pg {

constexpr int excerpt_characters = 100;         // of a value
constexpr int message_excerpt_characters = 500; // of another error's message, detail or context

// The text, or its beginning and "..." where it has more characters than that.
const char *excerpt(std::string_view text, int characters = excerpt_characters);
// Of a value of type text or varchar. Postgres fetches and decompresses its beginning alone.
const char *text_excerpt(Datum text);
// Of a value of type jsonb. Of one above 64 kB the size alone, because JSON has to be printed whole to be cut.
const char *json_excerpt(Datum json);
// Of the message, detail or context of another error, which user code may have raised. Null stays null.
const char *message_excerpt(const char *message);

// "It is one of a, b, c.", for a hint: the names of a table's rows.
template <class Table>
const char *one_of(const Table &table)
{
    StringInfoData text;
    initStringInfo(&text);
    for (const auto &row : table)
        appendStringInfo(&text, "%s%s", text.len == 0 ? "It is one of " : ", ", row.name.data());
    appendStringInfoChar(&text, '.');
    return text.data;
}

} // namespace pg
