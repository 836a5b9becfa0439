// How many jobs a member sees: what a member looks at is to cost what the member has, however many others there are.
#pragma once

#include "prelude.hpp"

namespace verbs {

// Whether policies decide which jobs the caller sees.
bool is_under_row_security();

// Whether the caller sees every job and may read all columns.
bool sees_all_jobs();

// So many are read by their index, whatever is wanted of them.
constexpr std::int64_t few_own = 4000;

// Whether the caller sees at most so many jobs, in any status. Reads one more at most, where the policies can be
// answered by an index, as ours are by that on organisation_id. Under the active snapshot; locks `jobs` for reading.
bool sees_at_most(std::int64_t count);

} // namespace verbs
