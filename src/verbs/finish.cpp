// job_complete, job_fail, job_release. The race with upkeep, operators and other workers is told in finish.hpp.
#include "verbs/finish.hpp"

#include "call/answer.hpp"
#include "call/privileges.hpp"
#include "job/moves.hpp"
#include "settings.hpp"

namespace verbs {

namespace {

using logic::Status;
using store::Column;
using store::Jobs;
using store::Row;
namespace attempts = store::attempts;

// Whether this very call took effect before: its answer got lost, and the worker asks again. The job must have had no
// lease since. The status tells of job_complete; after the others a job may be in one of several states, so what
// job_attempts has of the attempt tells of those.
bool is_repeated(const Row &job, const Outcome &outcome)
{
    const Status status = job.status();
    if (!job::was_last(job, outcome.lease) || status == Status::in_progress)
        return false;
    if (outcome.ending == Ending::complete)
        return status == Status::completed;
    auto ended = attempts::outcome_of(&outcome.lease.job, job.number(Column::attempt));
    return ended == (outcome.ending == Ending::fail      ? attempts::Outcome::failed
                     : outcome.ending == Ending::release ? attempts::Outcome::released
                                                         : attempts::Outcome::blocked);
}

void apply_outcome(Row &row, const Outcome &outcome, TimestampTz now)
{
    switch (outcome.ending) {
    case Ending::complete:
        job::moves::complete(row, now, outcome.result);
        break;
    case Ending::fail:
        job::moves::fail(row, store::types::settings_of(row.text(Column::job_type)), now,
                         {.message = outcome.error_message,
                          .run_at = outcome.run_at,
                          .permanent = outcome.permanent,
                          .details = outcome.error_details});
        break;
    case Ending::release:
        job::moves::release(row, now, outcome.run_at);
        break;
    case Ending::await_children:
        job::moves::block(row, now);
        if (outcome.no_child_left && row.status() == Status::blocked)
            job::moves::unblock(row, now);
        break;
    }
}

template <const auto &fields>
Datum finish_one(FunctionCallInfo fcinfo, const char *function, Ending ending)
{
    Outcome outcome = {.ending = ending};
    call::read_arguments<job::lease_fields, fields>(fcinfo, outcome.lease, outcome);
    pg::StatementScope scope(function);
    Jobs jobs = Jobs::open(call::require_update);
    Row row;
    if (auto refusal = finish_job(jobs, outcome, row))
        call::raise(*refusal);
    return call::answer(fcinfo, row);
}

} // namespace

std::optional<call::Refusal> finish_job(Jobs &jobs, const Outcome &outcome, Row &row)
{
    const TimestampTz now = settings::now();
    std::optional<call::Refusal> refusal;
    const store::Changed changed =
        store::change(jobs, &outcome.lease.job, store::moved_columns, row, [&](const Row &before, Row &after) {
            refusal.reset(); // of an earlier run, from a version that is not the newest any more
            if (!job::is_held(before, outcome.lease)) {
                if (!is_repeated(before, outcome))
                    refusal = job::lost_lease(before);
                return false;
            }
            apply_outcome(after, outcome, now);
            // Only a call that adds something can be refused for the size: a job whose row another statement made too
            // large must still be able to end.
            if (outcome.result || outcome.error_message)
                refusal = call::too_large(after);
            return !refusal;
        });
    if (changed == store::Changed::missing)
        return job::missing(&outcome.lease.job);
    return refusal;
}

JOBS_FUNCTION(job_complete) { return finish_one<complete_fields>(fcinfo, "job_complete()", Ending::complete); }

JOBS_FUNCTION(job_fail) { return finish_one<fail_fields>(fcinfo, "job_fail()", Ending::fail); }

JOBS_FUNCTION(job_release) { return finish_one<release_fields>(fcinfo, "job_release()", Ending::release); }

} // namespace verbs
