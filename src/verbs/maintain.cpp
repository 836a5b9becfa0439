// job_maintain: one round of what time does to jobs.
#include "pg/attempt.hpp"
#include "settings.hpp"
#include "store/jobs.hpp"
#include "store/queue_scan.hpp"
#include "verbs/maintain.hpp"
#include "verbs/moves.hpp"
#include "verbs/privileges.hpp"

namespace verbs {

namespace {

using logic::Status;
using store::Column;
using store::Jobs;
using store::Row;
namespace attempts = store::attempts;

using maintain::Counts;

// How much one round does at most, so that it holds no lock for long.
constexpr int round_limit = 10000;

pg::Nullable why(const Row &job, bool timed_out)
{
    const char *worker = job.has(Column::worker) ? TextDatumGetCString(job[Column::worker]) : "(unnamed)";
    const int attempt = job.number(Column::attempt);
    return CStringGetTextDatum(
        timed_out ? psprintf("attempt %d by worker %s ran longer than its type allows", attempt, worker)
                  : psprintf("the lease of attempt %d by worker %s ran out", attempt, worker));
}

void reap(Jobs &jobs, const store::Candidate &candidate, TimestampTz now, Counts &counts)
{
    const std::optional<Row> before = jobs.find(&candidate.job);
    ItemPointerData queue_row = candidate.tid;
    if (before && jobs.try_lock() != Jobs::Lock::taken) {
        ++counts.left;
        return;
    }
    if (!before || store::queue_key(*before) != candidate.key) {
        jobs.derived().queue().remove_at(&queue_row);
        return;
    }
    const auto timeout_at = before->time(Column::timeout_at);
    const bool timed_out = timeout_at && *timeout_at <= now;
    const pg::Nullable message = why(*before, timed_out);
    Row after = *before;
    after.changed = 0;
    moves::fail(after, store::types::settings_of(before->text(Column::job_type)), now, {message, {}, false});
    // Nobody's call under the old lease may match any more.
    after.clear(Column::lease_id);
    const Row running = store::copy(*before);
    if (jobs.update(*before, after, &queue_row) != store::Written::yes) {
        ++counts.left;
        return;
    }
    attempts::record(jobs.tables(), running,
                     timed_out ? attempts::Outcome::timed_out : attempts::Outcome::lease_expired, now, message, {});
    ++(timed_out ? counts.timeouts : counts.leases);
    const Status status = after.status();
    ++(status == Status::failed ? counts.failed : status == Status::cancelled ? counts.cancelled : counts.retried);
}

void expire(Jobs &jobs, const store::Candidate &candidate, TimestampTz now, Counts &counts)
{
    const std::optional<Row> before = jobs.find(&candidate.job);
    if (before && jobs.try_lock() != Jobs::Lock::taken) {
        ++counts.left;
        return;
    }
    if (!before || !store::may_expire(*before) || *before->time(Column::expires_at) > now) {
        ItemPointerData expiring_row = candidate.tid;
        jobs.derived().expiring().remove_at(&expiring_row);
        return;
    }
    Row after = *before;
    after.changed = 0;
    moves::cancel(after, now, CStringGetTextDatum("expired before it was started"));
    ++(jobs.update(*before, after) == store::Written::yes ? counts.expired : counts.left);
}

using Work = void (*)(Jobs &, const store::Candidate &, TimestampTz, Counts &);

// What a round has to do, read before anything is done.
class Candidates {
public:
    void add(const store::Candidate &candidate)
    {
        auto copy = static_cast<store::Candidate *>(palloc(sizeof(store::Candidate)));
        *copy = candidate;
        list_ = lappend(list_, copy);
    }
    bool full() const { return list_length(list_) == round_limit; }
    int count() const { return list_length(list_); }
    const store::Candidate &operator[](int i) const
    {
        return *static_cast<const store::Candidate *>(list_nth(list_, i));
    }

private:
    List *list_ = NIL;
};

Candidates runs_to_reap(Jobs &jobs, TimestampTz now)
{
    Candidates found;
    store::LaneScan running(jobs.derived().queue(), GetActiveSnapshot(), logic::running_lane, now);
    for (; running.head() != nullptr && !found.full(); running.advance())
        found.add(*running.head());
    return found;
}

Candidates jobs_to_expire(Jobs &jobs, TimestampTz now)
{
    Candidates found;
    store::KeyTable &expiring = jobs.derived().expiring();
    pg::Slot slot(expiring.table());
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(now));
    IndexScanDesc scan = pg::begin_index_scan(expiring.table(), expiring.index(), GetActiveSnapshot(), 1);
    index_rescan(scan, &key, 1, nullptr, 0);
    while (!found.full() && index_getnext_slot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        bool null;
        found.add({{}, *DatumGetUUIDP(slot_getattr(slot, 2, &null)), slot->tts_tid});
    }
    index_endscan(scan);
    return found;
}

Counts do_some(const Candidates &candidates, int first, int end, TimestampTz now, Work work)
{
    Counts counts;
    pg::StatementScope scope("job_maintain()");
    Jobs jobs = Jobs::open();
    pg::RowMemory memory;
    for (int i = first; i < end; ++i) {
        CHECK_FOR_INTERRUPTS();
        pg::RowMemory::Use use(memory);
        work(jobs, candidates[i], now, counts);
    }
    return counts;
}

// All at once; if one of them fails, one by one, so that it does not keep the others from it. (A trigger of the user's
// may refuse a job, a constraint its attempt.)
void do_all(const Candidates &candidates, TimestampTz now, Work work, Counts &counts)
{
    Counts all;
    if (pg::attempt([&] { all = do_some(candidates, 0, candidates.count(), now, work); }) == nullptr) {
        counts += all;
        return;
    }
    for (int i = 0; i < candidates.count(); ++i) {
        Counts one;
        if (ErrorData *error = pg::attempt([&] { one = do_some(candidates, i, i + 1, now, work); })) {
            one = {.left = 1};
            ereport(WARNING,
                    (errcode(error->sqlerrcode),
                     errmsg("job %s was left as it is: %s", store::to_text(&candidates[i].job), error->message),
                     error->detail != nullptr ? errdetail_internal("%s", error->detail) : 0));
        }
        counts += one;
    }
}

Datum to_json(const Counts &counts)
{
    const char *text = psprintf("{\"leases_reaped\": %d, \"timeouts_reaped\": %d, \"retried\": %d, \"failed\": %d, "
                                "\"cancelled\": %d, \"expired\": %d, \"left\": %d, \"more\": %s}",
                                counts.leases, counts.timeouts, counts.retried, counts.failed, counts.cancelled,
                                counts.expired, counts.left, counts.more ? "true" : "false");
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
}

} // namespace

namespace maintain {

namespace {

Candidates candidates_of(Task task, TimestampTz now)
{
    pg::StatementScope scope("job_maintain()");
    Jobs jobs = Jobs::open();
    return task == Task::reap ? runs_to_reap(jobs, now) : jobs_to_expire(jobs, now);
}

TimestampTz next_expiry(TimestampTz now)
{
    store::KeyTable expiring(store::tables().expiring, AccessShareLock);
    pg::Slot slot(expiring.table());
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT, TimestampTzGetDatum(now));
    IndexScanDesc scan = pg::begin_index_scan(expiring.table(), expiring.index(), GetActiveSnapshot(), 1);
    index_rescan(scan, &key, 1, nullptr, 0);
    TimestampTz next = DT_NOEND;
    bool null;
    if (index_getnext_slot(scan, ForwardScanDirection, slot))
        next = store::as_time(slot_getattr(slot, 1, &null));
    index_endscan(scan);
    return next;
}

} // namespace

Counts run(Task task, TimestampTz now)
{
    const Candidates candidates = candidates_of(task, now);
    Counts counts;
    counts.more = candidates.full();
    if (candidates.count() > 0)
        do_all(candidates, now, task == Task::reap ? reap : expire, counts);
    return counts;
}

TimestampTz next_due(Task task, TimestampTz now)
{
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
    TimestampTz next;
    if (task == Task::reap) {
        store::KeyTable queue(store::tables().queue, AccessShareLock);
        next = store::next_due(queue, GetActiveSnapshot(), logic::running_lane, now);
    } else
        next = next_expiry(now);
    PopActiveSnapshot();
    return next;
}

} // namespace maintain

JOBS_FUNCTION(job_maintain)
{
    const TimestampTz now = settings::now();
    {
        pg::StatementScope scope("job_maintain()");
        Jobs jobs = Jobs::open();
        require_claim(jobs.tables());
    }
    Counts counts;
    for (maintain::Task task : {maintain::Task::reap, maintain::Task::expire}) {
        const Counts of_task = maintain::run(task, now);
        counts += of_task;
        counts.more = counts.more || of_task.more;
    }
    return to_json(counts);
}

} // namespace verbs
