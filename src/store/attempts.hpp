// The table `job_attempts`: a row for each attempt that did not succeed. It comes with what a verb does to its job, so
// no privilege is asked of the caller; where the table carries something of the user's, that runs as its owner.
//
// Each call opens the table and looks at it: between two of them code of the user's may have altered it. All of them
// raise 42P01 and 42804 as open_table() does.
#pragma once

#include "store/row.hpp"

namespace store::attempts {

using Outcome = AttemptOutcome;

// How an attempt of the job ended; nothing: it did not end, or succeeded.
std::optional<Outcome> outcome_of(const pg_uuid_t *job, std::int32_t attempt);

// A job's attempts in order, as a JSON array of objects; null when there is none. However many there were and whatever
// they say, it has some 2 MB at most: where the first 10 and the last 90 (1 MB of either) are not all, an element
// between them says how many were left out: {"left_out": 4200}.
pg::Nullable as_json(const Row &job);

} // namespace store::attempts
