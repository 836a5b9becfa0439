// The ways in which a worker ends an attempt: complete, fail, release, wait for the children.
//
// The worker may come too late: upkeep has reaped the attempt, an operator has cancelled the job with force, another
// worker runs it. All of them write the row of `jobs`, so one is first. store::change() computes from the newest
// version of the row, and again where another transaction was first; it waits for one that holds the row. The lease
// decides: each claim makes a new random lease_id, so a call under an old one finds another lease, or a job that does
// not run, and gets PT409 (job::lost_lease). Nothing is written then.
//
// The answer may be lost after the commit, and the worker then asks again. The lease_id stays in the row when the
// attempt has ended, so the same outcome under the same lease is recognised, changes nothing and succeeds. That holds
// until the job is claimed again, retried, archived or deleted.
#pragma once

#include "job/lease.hpp"
#include "job/refusal.hpp"
#include "store/jobs.hpp"

namespace verbs {

enum class Ending : std::uint8_t { complete, fail, release, await_children };

struct Outcome {
    job::Lease lease;
    Ending ending;
    pg::Nullable result;               // complete
    pg::Nullable error_message;        // fail
    pg::Nullable error_details;        // fail
    std::optional<TimestampTz> run_at; // fail, release: when to try again
    bool permanent = false;            // fail
    bool no_child_left = false;        // await_children: the job need not wait
};

inline constexpr call::Field<Outcome> complete_fields[] = {
    {"result", JSONBOID, &Outcome::result, call::allowed_size},
};
inline constexpr call::Field<Outcome> fail_fields[] = {
    {"error_message", TEXTOID, &Outcome::error_message, call::cut_to_size},
    {"run_at", TIMESTAMPTZOID, &Outcome::run_at, call::finite_time},
    {"permanent", BOOLOID, &Outcome::permanent},
    {"error_details", JSONBOID, &Outcome::error_details, call::allowed_size},
};
inline constexpr call::Field<Outcome> release_fields[] = {
    {"run_at", TIMESTAMPTZOID, &Outcome::run_at, call::finite_time},
};

// Ends the attempt, and sets `row` to the job as it is then, whatever became of it; where there is no such job, or the
// caller may not have it, it stays as it was. Null: the attempt has ended by this call, or by the same call before.
// Else why not: PT409 for a lease that is lost or a job that is archived, PT404 for an unknown job, PT413 where the row
// would be too large, 42804 where the archive cannot be asked. Raises 40001 outside READ COMMITTED where another
// transaction changed the job, 09000 where a trigger of the user's kept it from being changed.
std::optional<call::Refusal> finish_job(store::Jobs &jobs, const Outcome &outcome, store::Row &row);

} // namespace verbs
