// What arguments must be. Each check raises 22023 (or PT413) with the argument's name and the value.
#pragma once

#include "pg/function.hpp"
#include "store/row.hpp"
#include "store/types.hpp"

namespace call {

constexpr int longest_worker = 200; // characters
using store::most_retries;

// 22023 when the argument is null.
Datum require_value(pg::Nullable value, const char *argument);

void check_finite(pg::Nullable instant, const char *argument);
void check_range(pg::Nullable number, std::int32_t lowest, std::int32_t highest, const char *argument);
void check_length(pg::Nullable text, int longest, const char *argument);

// A JSON object; PT413 when it is larger than jobs_ext.max_payload.
void check_object(pg::Nullable json, const char *argument);
// Any JSON of an allowed size; JSON null counts as a value.
void check_size(pg::Nullable json, const char *argument);
// The word for a state; 22023 with the known ones for another.
logic::Status status_argument(std::string_view word);
// PT413 when what a row carries comes near to what Realtime can send.
void check_row_size(const store::Row &row);

// An error message of at most 64 kB; a longer one is cut, with a mark.
pg::Nullable cut_message(pg::Nullable message);

} // namespace call
