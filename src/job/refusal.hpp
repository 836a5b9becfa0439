// Why a job does not do what is asked of it, as a value: job_finish_many and others report it for one element of a
// list, a single call raises it. The detail is JSON with a "reason" for programs: lease_lost, illegal_transition,
// archived, key_taken, cycle.
#pragma once

#include "call/refusal.hpp"
#include "logic/states.hpp"
#include "store/jobs.hpp"

namespace job {

// PT404: there is no such job, or the caller may not see it. `which` names it, an excerpt of what the caller gave.
call::Refusal no_such_job(const char *which);
// PT409: the call came with a lease that is not the job's any more: the job ended, or another worker has it.
call::Refusal lost_lease(const store::Row &job);
// PT409: no move leads from the job's state to this one. `hint` may be null.
call::Refusal illegal_transition(const store::Row &job, logic::Status to, const char *hint);
// Of a job that waits for its children.
inline constexpr const char *hint_of_blocked =
    "It waits for its children, and is queued when all of them have ended; job_cancel() ends it.";
// PT409: an UPDATE that is to end the attempt, or to write its result, without a word of whose attempt it means.
call::Refusal unnamed_lease(const store::Row &job);
// PT409: the job has ended, and an UPDATE would change what became of it.
call::Refusal keeps_outcome(const store::Row &job, store::Column column);
// PT409: an UPDATE to in_progress of a job that no claim would take now: it is not due before its run_at, has expired,
// or its type or the whole queue is paused.
enum class NotNow { not_due, expired, type_paused, queue_paused };
call::Refusal not_claimable(const store::Row &job, NotNow why);
// PT409: the job's parent would be the job itself, or descend from it; or nobody looks so far up.
call::Refusal own_ancestor(const store::Row &job, const pg_uuid_t *parent);
call::Refusal too_many_ancestors(const store::Row &job, const pg_uuid_t *parent, int most);
// PT409: the job ended and was moved to the archive.
call::Refusal archived(const char *which);
// PT409: another job has this job_id or job_key.
call::Refusal key_taken(store::Column key, const char *value);

// Why a job is not in `jobs`, by id or by job_id. Looks in the archive: PT409 where the job is there and the caller may
// read the archive, 42804 where the archive was altered so that it cannot be used, else PT404. The look is a statement
// of the caller's, under its policies.
//
// The race: the job may be archived between the caller's look at `jobs` and this one. The statement takes a new
// snapshot, and archiving is one transaction, so a job that has left `jobs` is found in the archive. At REPEATABLE READ
// or above both looks have the same snapshot.
call::Refusal missing(const pg_uuid_t *id);
call::Refusal missing_key(const text *job_id);

} // namespace job
