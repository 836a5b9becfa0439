// job_complete, job_fail, job_release.
#include "verbs/finish.hpp"

#include "call/answer.hpp"
#include "call/arguments.hpp"
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

// Whether this very call took effect before: a reply got lost, and the worker asks again.
bool is_repeated(const Row &job, const Outcome &outcome)
{
    const Status status = job.status();
    if (!job::was_last(job, outcome.lease) || status == Status::in_progress)
        return false;
    if (outcome.ending == Ending::complete)
        return status == Status::completed;
    auto ended = attempts::outcome_of(&outcome.lease.job, job.number(Column::attempt));
    return ended == (outcome.ending == Ending::fail ? attempts::Outcome::failed : attempts::Outcome::released);
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
    }
}

Datum finish_one(FunctionCallInfo fcinfo, const char *function, Outcome &outcome)
{
    check_outcome(outcome);
    pg::StatementScope scope(function);
    Jobs jobs = Jobs::open(call::require_update);
    Row row;
    if (auto refusal = finish_job(jobs, outcome, row))
        call::raise(*refusal);
    return call::answer(fcinfo, row);
}

} // namespace

std::optional<TimestampTz> time_argument(pg::Nullable instant, const char *argument)
{
    call::check_finite(instant, argument);
    if (!instant)
        return std::nullopt;
    return DatumGetTimestampTz(instant.value);
}

void check_outcome(Outcome &outcome)
{
    call::check_size(outcome.result, "result");
    call::check_size(outcome.error_details, "error_details");
    outcome.error_message = call::cut_message(outcome.error_message);
}

std::optional<call::Refusal> finish_job(Jobs &jobs, const Outcome &outcome, Row &row)
{
    const TimestampTz now = settings::now();
    std::optional<call::Refusal> refusal;
    const store::Changed changed =
        store::change(jobs, &outcome.lease.job, store::moved_columns, row, [&](const Row &before, Row &after) {
            refusal.reset();
            if (!job::is_held(before, outcome.lease)) {
                if (!is_repeated(before, outcome))
                    refusal = job::lost_lease(before);
                return false;
            }
            apply_outcome(after, outcome, now);
            // A row that somebody else made too large can be ended all the same, with nothing to add.
            if (outcome.result || outcome.error_message)
                refusal = call::too_large(after);
            return !refusal;
        });
    if (changed == store::Changed::missing)
        return job::missing(&outcome.lease.job);
    return refusal;
}

JOBS_FUNCTION(job_complete)
{
    Outcome outcome = {.lease = job::lease_argument(fcinfo), .ending = Ending::complete};
    outcome.result = pg::argument(fcinfo, 2);
    return finish_one(fcinfo, "job_complete()", outcome);
}

JOBS_FUNCTION(job_fail)
{
    Outcome outcome = {.lease = job::lease_argument(fcinfo), .ending = Ending::fail};
    outcome.error_message = pg::argument(fcinfo, 2);
    outcome.run_at = time_argument(pg::argument(fcinfo, 3), "run_at");
    outcome.permanent = DatumGetBool(call::require_value(pg::argument(fcinfo, 4), "permanent"));
    outcome.error_details = pg::argument(fcinfo, 5);
    return finish_one(fcinfo, "job_fail()", outcome);
}

JOBS_FUNCTION(job_release)
{
    Outcome outcome = {.lease = job::lease_argument(fcinfo), .ending = Ending::release};
    outcome.run_at = time_argument(pg::argument(fcinfo, 2), "run_at");
    return finish_one(fcinfo, "job_release()", outcome);
}

} // namespace verbs
