// Leases and run-time limits that ran out, jobs that had to be started by now.
#include "call/arguments.hpp"
#include "job/moves.hpp"
#include "pg/excerpt.hpp"
#include "store/run_scan.hpp"
#include "upkeep/work.hpp"

namespace upkeep {

namespace {

using logic::Status;
using store::Candidate;
using store::Column;
using store::Jobs;
using store::Row;

// Nothing is written that somebody else holds, and a suppressed write is the job's fault.
bool update_and_count(Jobs &jobs, const Row &before, Row &after, ItemPointer queue_row = nullptr)
{
    const store::Written written = jobs.update(before, after, queue_row);
    if (written == store::Written::suppressed)
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                        errmsg("a trigger or rule on jobs kept it from being changed")));
    return written == store::Written::yes;
}

pg::Nullable why(const Row &job, bool timed_out)
{
    const char *worker =
        job.has(Column::worker) ? pg::excerpt(job.text(Column::worker), call::longest_worker) : "(unnamed)";
    const int attempt = job.number(Column::attempt);
    return CStringGetTextDatum(
        timed_out ? psprintf("attempt %d by worker %s ran longer than its type allows", attempt, worker)
                  : psprintf("the lease of attempt %d by worker %s ran out", attempt, worker));
}

void find_runs(Jobs &jobs, const Skip &skip, TimestampTz now, Pace &, Candidates &found)
{
    store::LaneScan running(jobs.derived().queue(), GetActiveSnapshot(), logic::running_lane, now);
    for (; running.head() != nullptr && !found.full(); running.advance())
        found.add(*running.head(), skip);
}

bool reap(Batch &batch, const Candidate &candidate)
{
    Jobs &jobs = batch.jobs;
    const std::optional<Row> before = jobs.find(&candidate.job);
    // By its key: another row may stand where this one was found.
    const store::Key found = store::queue_key_of(candidate.key, &candidate.job);
    if (!before) {
        jobs.derived().remove_orphan(jobs.derived().queue(), found);
        return true;
    }
    if (jobs.try_lock() != Jobs::Lock::taken)
        return false;
    if (store::queue_key(*before) != candidate.key) {
        jobs.derived().queue().remove(found);
        return true;
    }
    const auto timeout_at = before->time(Column::timeout_at);
    const bool timed_out = timeout_at && *timeout_at <= batch.now;
    Row after = *before;
    after.changed = 0;
    job::moves::fail(after, store::types::settings_of(before->text(Column::job_type)), batch.now,
                     {.message = why(*before, timed_out),
                      .outcome = timed_out ? store::AttemptOutcome::timed_out : store::AttemptOutcome::lease_expired});
    // Nobody's call under the old lease may match any more.
    after.clear(Column::lease_id);
    ItemPointerData queue_row = candidate.tid;
    if (!update_and_count(jobs, *before, after, &queue_row))
        return false;
    Counts &counts = batch.counts;
    ++(timed_out ? counts[Count::timeouts] : counts[Count::leases]);
    const Status status = after.status();
    ++(status == Status::failed      ? counts[Count::failed]
       : status == Status::cancelled ? counts[Count::cancelled]
                                     : counts[Count::retried]);
    return true;
}

bool ran_out(const Row &job, TimestampTz now)
{
    const auto key = store::queue_key(job);
    return key && key->lane == logic::running_lane && key->due_at <= now;
}

void find_expired(Jobs &jobs, const Skip &skip, TimestampTz now, Pace &, Candidates &found)
{
    store::KeyTable &table = jobs.derived().expiring();
    store::RunScan expiring(table, now);
    while (!found.full())
        if (const Candidate *candidate = expiring.next())
            found.add(*candidate, skip);
        else
            return;
}

bool has_expired(const Row &job, TimestampTz now)
{
    return store::may_expire(job) && *job.time(Column::expires_at) <= now;
}

bool expire(Batch &batch, const Candidate &candidate)
{
    Jobs &jobs = batch.jobs;
    const std::optional<Row> before = jobs.find(&candidate.job);
    const store::Key found = store::instant_key_of(candidate.key.due_at, &candidate.job);
    if (!before) {
        jobs.derived().remove_orphan(jobs.derived().expiring(), found);
        return true;
    }
    if (jobs.try_lock() != Jobs::Lock::taken)
        return false;
    if (!store::may_expire(*before) || *before->time(Column::expires_at) != candidate.key.due_at) {
        jobs.derived().expiring().remove(found);
        return true;
    }
    Row after = *before;
    after.changed = 0;
    job::moves::cancel(after, batch.now, CStringGetTextDatum("expired before it was started"));
    if (!update_and_count(jobs, *before, after))
        return false;
    ++batch.counts[Count::expired];
    return true;
}

} // namespace

const Work reaping = {Task::reap, find_runs, nullptr, nullptr, reap, ran_out};
const Work expiring = {Task::expire, find_expired, nullptr, nullptr, expire, has_expired};

} // namespace upkeep
