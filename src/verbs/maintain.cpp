// job_maintain: one round of what time does to jobs.
#include "pg/json.hpp"
#include "settings.hpp"
#include "store/jobs.hpp"
#include "store/queue_scan.hpp"
#include "verbs/moves.hpp"
#include "verbs/privileges.hpp"

namespace verbs {

namespace {

using logic::Status;
using store::Column;
using store::Jobs;
using store::Row;
namespace attempts = store::attempts;

struct Counts {
    int leases = 0;    // leases that ran out
    int timeouts = 0;  // runs longer than the type allows
    int retried = 0;   // of those, given another try
    int failed = 0;    // or not
    int cancelled = 0; // or cancelled, as was asked for
    int expired = 0;   // never started in time
    int left = 0;      // locked by somebody else: the next round's
    bool more = false;
};

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

void reap_all(Jobs &jobs, TimestampTz now, Counts &counts)
{
    pg::RowMemory memory;
    store::LaneScan running(jobs.derived().queue(), GetActiveSnapshot(), logic::running_lane, now);
    for (int done = 0; running.head() != nullptr; running.advance(), ++done) {
        CHECK_FOR_INTERRUPTS();
        if (done == round_limit) {
            counts.more = true;
            return;
        }
        pg::RowMemory::Use use(memory);
        reap(jobs, *running.head(), now, counts);
    }
}

void expire(Jobs &jobs, const pg_uuid_t *job, TimestampTz now, Counts &counts)
{
    const std::optional<Row> before = jobs.find(job);
    if (!before || jobs.try_lock() != Jobs::Lock::taken) {
        counts.left += before.has_value();
        return;
    }
    if (!store::may_expire(*before) || *before->time(Column::expires_at) > now)
        return;
    Row after = *before;
    after.changed = 0;
    moves::cancel(after, now, CStringGetTextDatum("expired before it was started"));
    counts.expired += jobs.update(*before, after) == store::Written::yes;
}

void expire_all(Jobs &jobs, TimestampTz now, Counts &counts)
{
    store::KeyTable &expiring = jobs.derived().expiring();
    pg::RowMemory memory;
    pg::Slot slot(expiring.table());
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(now));
    IndexScanDesc scan = pg::begin_index_scan(expiring.table(), expiring.index(), GetActiveSnapshot(), 1);
    index_rescan(scan, &key, 1, nullptr, 0);
    for (int done = 0; index_getnext_slot(scan, ForwardScanDirection, slot); ++done) {
        CHECK_FOR_INTERRUPTS();
        if (done == round_limit) {
            counts.more = true;
            break;
        }
        pg::RowMemory::Use use(memory);
        bool null;
        const pg_uuid_t job = *DatumGetUUIDP(slot_getattr(slot, 2, &null));
        expire(jobs, &job, now, counts);
    }
    index_endscan(scan);
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

JOBS_FUNCTION(job_maintain)
{
    pg::StatementScope scope("job_maintain()");
    Jobs jobs = Jobs::open();
    require_claim(jobs.tables());
    const TimestampTz now = settings::now();
    Counts counts;
    reap_all(jobs, now, counts);
    expire_all(jobs, now, counts);
    return to_json(counts);
}

} // namespace verbs
