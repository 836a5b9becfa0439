#include "job/moves.hpp"

#include "logic/backoff.hpp"
#include "pg/uuid.hpp"
#include "settings.hpp"

namespace job::moves {

namespace {

using logic::Status;
using store::Column;
using store::Microseconds;

constexpr Microseconds millisecond = 1000;

// How long the run took, in milliseconds, 0 where it began in the future. int4 ends after 24.8 days: a longer run has
// the greatest number.
std::int32_t elapsed_ms(const Row &row, TimestampTz now)
{
    const auto started_at = row.time(Column::started_at);
    if (!started_at || now <= *started_at)
        return 0;
    std::int64_t elapsed; // since an owner's '-infinity' it is more than can be counted
    if (pg_sub_s64_overflow(now, *started_at, &elapsed))
        return PG_INT32_MAX;
    return static_cast<std::int32_t>(std::min<std::int64_t>(elapsed / millisecond, PG_INT32_MAX));
}

// The lease's id stays: a worker whose reply got lost makes the same call again, which is recognised by it
// (is_repeated() in verbs/finish.cpp). It gives no right any more, since the job does not run.
void end_lease(Row &row)
{
    row.clear(Column::worker);
    row.clear(Column::lease_expires_at);
    row.clear(Column::timeout_at);
    row.clear(Column::heartbeat_at);
}

// The worker's name stays, as a record of who had the last attempt, and heartbeat_at with it.
void end_job(Row &row, Status status, TimestampTz now)
{
    const bool ran = row.status() == Status::in_progress;
    if (ran)
        row.set_number(Column::execution_time_ms, elapsed_ms(row, now));
    row.set_status(status);
    row.set_time(Column::finished_at, now);
    row.clear(Column::lease_expires_at);
    row.clear(Column::timeout_at);
}

// When to try again: see logic/backoff.hpp for the formula. Its ceiling is a type's retry_delay_max, 200 years at most,
// so the sum does not overflow.
TimestampTz next_try(const Row &row, const store::Type &type, TimestampTz now)
{
    const std::int64_t ceiling =
        logic::backoff_ceiling(type.backoff, row.number(Column::retry_delay_ms), row.number(Column::retries),
                               type.retry_delay_max / millisecond);
    return now + logic::with_jitter(ceiling, pg_prng_double(&pg_global_prng_state)) * millisecond;
}

} // namespace

Microseconds lease_of(const store::Type &type)
{
    return type.lease.value_or(static_cast<Microseconds>(settings::default_lease) * USECS_PER_SEC);
}

bool may_start(const Row &row) { return row.number(Column::attempt) < PG_INT32_MAX; }

void claim(Row &row, const store::Type &type, TimestampTz now, pg::Nullable worker, std::optional<Microseconds> lease)
{
    if (!may_start(row))
        ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                        errmsg("job %s was started as often as can be counted", store::to_text(row.id()))));
    row.set_status(Status::in_progress);
    row.set_number(Column::attempt, row.number(Column::attempt) + 1);
    row.set(Column::lease_id, UUIDPGetDatum(pg::random_uuid()));
    row.set(Column::worker, worker);
    row.set_time(Column::started_at, now);
    row.set_time(Column::lease_expires_at, now + lease.value_or(lease_of(type)));
    row.clear(Column::heartbeat_at);
    if (type.timeout)
        row.set_time(Column::timeout_at, now + *type.timeout);
    else
        row.clear(Column::timeout_at);
}

void complete(Row &row, TimestampTz now, pg::Nullable result)
{
    row.ended = {store::AttemptOutcome::completed, now, {}, {}};
    end_job(row, Status::completed, now);
    row.set_time(Column::completed_at, now);
    row.set(Column::result, result);
    row.clear(Column::error_message);
}

void wait(Row &row, TimestampTz now, TimestampTz run_at)
{
    row.set_status(run_at > now ? Status::pending : Status::queued);
    row.set_time(Column::run_at, run_at);
}

void fail(Row &row, const store::Type &type, TimestampTz now, const Failure &failure)
{
    // First, so that cancel() below does not put the end of the attempt down as cancelled: how it ended is how it
    // ended.
    row.ended = {failure.outcome, now, failure.message, failure.details};
    if (row.has(Column::cancel_requested_at)) {
        // The reason for the request comes before the message of the failure that it led to.
        cancel(row, now, row.has(Column::error_message) ? pg::Nullable{} : failure.message);
        return;
    }
    row.set(Column::error_message, failure.message);
    const std::int32_t retries = row.number(Column::retries);
    if (failure.permanent || retries >= row.number(Column::max_retries)) {
        end_job(row, Status::failed, now);
        return;
    }
    const TimestampTz run_at = failure.run_at.value_or(next_try(row, type, now));
    row.set_status(Status::pending);
    row.set_time(Column::run_at, run_at);
    row.set_number(Column::retries, retries + 1);
    row.clear(Column::started_at); // check_started_timestamp
    end_lease(row);
}

void release(Row &row, TimestampTz now, std::optional<TimestampTz> run_at)
{
    row.ended = {store::AttemptOutcome::released, now, {}, {}};
    if (row.has(Column::cancel_requested_at)) {
        cancel(row, now, {});
        return;
    }
    row.set_status(Status::pending);
    row.set_time(Column::run_at, run_at.value_or(now));
    row.clear(Column::started_at);
    end_lease(row);
}

// It stands behind the jobs that are due already, as one that was released.
void unblock(Row &row, TimestampTz now)
{
    row.set_status(Status::queued);
    row.set_time(Column::run_at, now);
    row.clear(Column::started_at); // a blocked job has one only where an owner wrote it; check_started_timestamp
}

void block(Row &row, TimestampTz now)
{
    row.ended = {store::AttemptOutcome::blocked, now, {}, {}};
    if (row.has(Column::cancel_requested_at)) {
        cancel(row, now, {});
        return;
    }
    row.set_status(Status::blocked);
    row.clear(Column::started_at); // no attempt runs
    end_lease(row);
}

void await_decision(Row &row, TimestampTz now)
{
    release(row, now, {});
    if (row.status() == Status::pending)
        row.set_status(Status::paused);
}

void give_up(Row &row, TimestampTz now, pg::Nullable message)
{
    row.set(Column::error_message, message);
    end_job(row, Status::failed, now);
}

void cancel(Row &row, TimestampTz now, pg::Nullable reason)
{
    if (row.status() == Status::in_progress && !row.ended)
        row.ended = {store::AttemptOutcome::cancelled, now, reason, {}};
    end_job(row, Status::cancelled, now);
    row.set_time(Column::cancelled_at, now);
    if (!row.has(Column::cancel_requested_at))
        row.set_time(Column::cancel_requested_at, now);
    if (reason)
        row.set(Column::error_message, reason);
}

void request_cancel(Row &row, TimestampTz now, pg::Nullable reason)
{
    row.set_time(Column::cancel_requested_at, now);
    // Also where the reason is null: what an earlier attempt failed with is in job_attempts, and is no reason.
    row.set(Column::error_message, reason);
}

void hold(Row &row, Status to) { row.set_status(to); }

void hold_running(Row &row, Status to, TimestampTz now, std::optional<TimestampTz> run_at)
{
    release(row, now, run_at);
    if (row.status() == Status::cancelled)
        return;
    hold(row, to);
    row.clear(Column::lease_id);
}

void resume(Row &row, TimestampTz now, std::optional<TimestampTz> run_at)
{
    row.set_status(Status::queued);
    row.set_time(Column::run_at, run_at.value_or(std::max(now, *row.time(Column::run_at))));
    row.clear(Column::started_at); // a paused job has one only where an owner wrote it; check_started_timestamp
}

void retry(Row &row, TimestampTz now, std::optional<TimestampTz> run_at)
{
    row.set_status(Status::queued);
    row.set_time(Column::run_at, run_at.value_or(now));
    row.set_number(Column::retries, 0);
    store::each_column(store::columns_lost_by_retry, [&](Column column) { row.clear(column); });
}

} // namespace job::moves
