// What arguments must be. Each check lets null pass, and raises 22023 with the argument's name and what was given, by
// pg/excerpt.hpp, unless it says otherwise.
#pragma once

#include "pg/function.hpp"
#include "store/row.hpp"
#include "store/types.hpp"

namespace call {

constexpr int longest_worker = 200; // characters: messages quote the whole name (job::lost_lease)
using store::most_retries;

// Raises 22023 where the argument is null.
Datum require_value(pg::Nullable value, const char *argument);

// Raises 22023 for 'infinity' and '-infinity': arithmetic with a span would make an ordinary time of one.
void check_finite(pg::Nullable instant, const char *argument);
// From `lowest` to `highest`, both allowed.
void check_range(pg::Nullable number, std::int32_t lowest, std::int32_t highest, const char *argument);
// From one to `longest` characters, as a column of type varchar counts them: it would raise 22001, without the name of
// the argument.
void check_length(pg::Nullable text, int longest, const char *argument);

// Raises 22023 for what is no JSON object; check_object() also PT413 for one that is larger than jobs_ext.max_payload.
void check_is_object(pg::Nullable json, const char *argument);
void check_object(pg::Nullable json, const char *argument);
// Raises PT413 for any JSON larger than jobs_ext.max_payload. JSON null is a value, and small.
void check_size(pg::Nullable json, const char *argument);
// The status of this name. Raises 22023 with the known names for another word.
logic::Status status_argument(std::string_view word);
// Raises PT413 where a row is too large as a whole (call/refusal.hpp).
void check_row_size(const store::Row &row);

// The message, cut to 64 kB at the end of a character, with a mark, where it is longer. A worker reports what it got: a
// refusal would cost it the attempt's outcome.
pg::Nullable cut_message(pg::Nullable message);

} // namespace call
