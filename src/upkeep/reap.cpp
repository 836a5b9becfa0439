// Two tasks: `reap` ends attempts whose lease or run time is over; `expire` cancels jobs that were to start by now.
//
// Who meets upkeep at such a job: a worker's own call (heartbeat, complete, fail, release), which wants to keep or end
// the attempt; a claim, which wants to start a job that expires; job_cancel(); another process at upkeep. Each of them
// locks the jobs row, and upkeep does not wait for it:
//   - upkeep was first: the other session waits, sees the new version, and finds that the lease is lost (PT409) or the
//     job has ended;
//   - the other session was first: try_lock() says that the row is held or that our snapshot is too old. The job is
//     left, and found again by its new key, if it still has one;
//   - the other session committed between the scan of the candidates and our snapshot: the row does not have the key
//     that was scanned. A heartbeat, say, moved the due time: the lease is not over. Only the stale key goes, if it is
//     there.
// A crash or rollback undoes the move and leaves the lease as over as it was. Outside READ COMMITTED a version that is
// newer than the snapshot is `changed` for try_lock() as well, and left; no 40001.
// The tests are complete-reap.spec and heartbeat-reap.spec in test/isolation/specs.
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

// What becomes the job's error_message. The name of the worker is a user's value, hence cut (pg/excerpt.hpp).
pg::Nullable why(const Row &job, bool timed_out)
{
    const char *worker =
        job.has(Column::worker) ? pg::excerpt(job.text(Column::worker), call::longest_worker) : "(unnamed)";
    const int attempt = job.number(Column::attempt);
    return CStringGetTextDatum(
        timed_out ? psprintf("attempt %d by worker %s ran longer than its type allows", attempt, worker)
                  : psprintf("the lease of attempt %d by worker %s ran out", attempt, worker));
}

// Lane 0 has the running jobs; its due time is the earlier of the end of the lease and the end of the run time.
void find_runs(const Search &search, Pace &, Candidates &found)
{
    store::RunScan running(search.jobs.derived().queue(), logic::running_lane, 0, search.now, search.hints);
    while (const Candidate *next = found.full() ? nullptr : running.next())
        found.add(*next, search.skip);
}

bool reap(Batch &batch, const Candidate &candidate)
{
    Jobs &jobs = batch.jobs;
    const std::optional<Row> before = jobs.find(&candidate.job);
    // A stale or orphaned row is removed by its key and not by the place of the scan: a rebuild of the tables may have
    // put another row there.
    const store::Key found = store::queue_key_of(candidate.key, &candidate.job);
    if (!before) {
        jobs.derived().remove_orphan(jobs.derived().queue(), found);
        return true;
    }
    if (jobs.try_lock() != Jobs::Lock::taken)
        return false;
    if (store::queue_key(*before) != candidate.key) {
        jobs.derived().remove_wrong(jobs.derived().queue(), found);
        return true;
    }
    // Both may be over. Then the run time counts, because a renewed lease would not have saved the attempt.
    const auto timeout_at = before->time(Column::timeout_at);
    const bool timed_out = timeout_at && *timeout_at <= batch.now;
    Row after = *before;
    after.changed = 0;
    job::moves::fail(after, store::types::settings_of(before->text(Column::job_type)), batch.now,
                     {.message = why(*before, timed_out),
                      .outcome = timed_out ? store::AttemptOutcome::timed_out : store::AttemptOutcome::lease_expired});
    // The worker may still run. Without a lease_id its next call gets PT409; under its own it could pass for a call
    // that is repeated (job::was_last()).
    after.clear(Column::lease_id);
    ItemPointerData queue_row = candidate.tid;
    if (!write_move(jobs, *before, after, &queue_row))
        return false;
    Counts &counts = batch.counts;
    ++(timed_out ? counts[Count::timeouts] : counts[Count::leases]);
    const Status status = after.status();
    ++(status == Status::failed      ? counts[Count::failed]
       : status == Status::cancelled ? counts[Count::cancelled]
                                     : counts[Count::retried]);
    return true;
}

// Whether a job that was set aside by `reap` still has a lease or run time that is over.
bool ran_out(const Row &job, TimestampTz now)
{
    const auto key = store::queue_key(job);
    return key && key->lane == logic::running_lane && key->due_at <= now;
}

// `expiring` has jobs that never started; its key begins with expires_at.
void find_expired(const Search &search, Pace &, Candidates &found)
{
    store::RunScan expiring(search.jobs.derived().expiring(), search.now, search.hints);
    while (const Candidate *next = found.full() ? nullptr : expiring.next())
        found.add(*next, search.skip);
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
    // A claim started the job, or a statement gave it another expires_at.
    if (!store::may_expire(*before) || *before->time(Column::expires_at) != candidate.key.due_at) {
        jobs.derived().expiring().remove(found);
        return true;
    }
    Row after = *before;
    after.changed = 0;
    job::moves::cancel(after, batch.now, CStringGetTextDatum("expired before it was started"));
    if (!write_move(jobs, *before, after))
        return false;
    ++batch.counts[Count::expired];
    return true;
}

} // namespace

bool write_move(Jobs &jobs, const Row &before, Row &after, ItemPointer queue_row)
{
    const store::Written written = jobs.update(before, after, queue_row);
    if (written == store::Written::suppressed)
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                        errmsg("a trigger or rule on jobs kept it from being changed")));
    return written == store::Written::yes;
}

const Work reaping = {Task::reap, find_runs, nullptr, nullptr, reap, ran_out};
const Work expiring = {Task::expire, find_expired, nullptr, nullptr, expire, has_expired};

} // namespace upkeep
