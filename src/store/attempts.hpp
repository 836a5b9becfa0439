// The table `job_attempts`: a row for each attempt that did not succeed, and for those that did where their
// type keeps all. The row follows from what a verb does to the
// job, so no privilege on this table is asked of the caller. Where the table carries something of the user's, that runs
// as the table's owner, confined.
//
// Rows of one job are written under the lock of its row in `jobs`, and in the same transaction: two sessions never
// write the same attempt, ROLLBACK takes it back together with the end of the attempt, and a snapshot that shows the
// job shows its attempts. A client that writes rows here by hand is the exception; record() leaves its row alone.
//
// Each call opens the table and looks at it, because between two of them code of the user's may have altered it. Each
// raises 42P01, 42804 and 42501 as open_table() does, and by the statement path whatever code of the user's raises,
// with 42501 where the session holds temporary objects of a third role (pg/as_owner.hpp).
#pragma once

#include "store/row.hpp"

namespace store::attempts {

using Outcome = AttemptOutcome;

// How this attempt of the job ended. Nothing: it runs, it succeeded unrecorded, or the owner of the table wrote another
// word.
std::optional<Outcome> outcome_of(const pg_uuid_t *job, std::int32_t attempt);

// The job's attempts in order, as jsonb: an array of objects; null when there is none. However many there were and
// whatever they say, it has some 2 MB at most, so that the job can always be archived: where the first 10 and the last
// 90 (1 MB of either) are not all, an element between them says how many were left out: {"left_out": 4200}. Allocated
// in the current memory context.
pg::Nullable as_json(const Row &job);

// Removes the attempts of all jobs, for a TRUNCATE of `jobs`, whose lock keeps away whoever would record another one.
void remove_all();

} // namespace store::attempts
