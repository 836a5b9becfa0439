// job_heartbeat, job_heartbeat_many: prolong leases.
//
// A heartbeat meets upkeep, which reaps the attempt when its lease is over, and an operator who cancels the job. The
// row of `jobs` decides (store::change): where the heartbeat is first, upkeep finds a lease that has not run out; where
// upkeep is first, the heartbeat waits for it, computes from the new version and finds the lease lost. A lease that has
// run out and was not reaped yet is prolonged, because nobody else has the job.
//
// Heartbeats do not wait for the disk (store/async_commit.hpp). A crash may undo one: the lease is then as long as the
// heartbeat before it said, and the next one prolongs it.
#include "call/answer.hpp"
#include "call/privileges.hpp"
#include "job/lease_list.hpp"
#include "job/moves.hpp"
#include "job/refusal.hpp"
#include "pg/sqlstate.hpp"
#include "settings.hpp"
#include "store/async_commit.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Jobs;
using store::Microseconds;
using store::Row;

struct Heartbeat {
    job::Lease lease;
    pg::Nullable progress;
    std::optional<Microseconds> extension; // from now on; null: the type's lease, once half of it is spent
};

constexpr call::Field<Heartbeat> heartbeat_fields[] = {
    {"progress", JSONBOID, &Heartbeat::progress, call::allowed_size},
    {"lease", INTERVALOID, &Heartbeat::extension, call::positive_span},
};
constexpr call::Field<Heartbeat> element_fields[] = {{"progress", JSONBOID, &Heartbeat::progress}};

// What a heartbeat writes. Without an extension of the caller's the lease is prolonged only when half of it is spent: a
// worker that beats every second costs one update for each half of a lease, not one each second, and the lease is never
// shorter than half. Where nothing is to be written `row.changed` stays 0.
void beat(Row &row, const Heartbeat &heartbeat, TimestampTz now)
{
    const Microseconds usual = job::moves::lease_of(store::types::settings_of(row.text(Column::job_type)));
    const bool half_spent = *row.time(Column::lease_expires_at) < now + usual / 2;
    if (heartbeat.extension || half_spent)
        row.set_time(Column::lease_expires_at, now + heartbeat.extension.value_or(usual));
    if (heartbeat.progress)
        row.set(Column::progress, heartbeat.progress);
    if (row.changed != 0)
        row.set_time(Column::heartbeat_at, now);
}

// What a heartbeat may write: whether that goes straight to the table is asked of exactly these columns, so that a
// trigger of the user's on others does not slow it down.
constexpr store::ColumnSet written = store::bit(Column::lease_expires_at) | store::bit(Column::progress) |
                                     store::bit(Column::heartbeat_at) | store::bit(Column::updated_at);

// Writes the heartbeat, and sets `row` to the job as it is then. Returns why not: PT409, PT404 or PT413, as
// finish_job() does. Its WAL counts as one that need not be flushed, unless code of the user's may have written beside
// it.
std::optional<call::Refusal> prolong_lease(Jobs &jobs, const Heartbeat &heartbeat, Row &row)
{
    store::unflushed::Bracket bracket;
    std::optional<call::Refusal> refusal;
    const store::Changed changed =
        store::change(jobs, &heartbeat.lease.job, written, row, [&](const Row &before, Row &after) {
            refusal.reset();
            if (!job::is_held(before, heartbeat.lease)) {
                refusal = job::lost_lease(before);
                return false;
            }
            beat(after, heartbeat, settings::now());
            // Only progress is refused for the size: a row that another statement made too large keeps its lease.
            if (heartbeat.progress)
                refusal = call::too_large(after);
            return after.changed != 0 && !refusal;
        });
    if (jobs.only_direct())
        bracket.close();
    if (changed == store::Changed::missing)
        return job::missing(&heartbeat.lease.job);
    return refusal;
}

// A job_state with the id alone, or with nothing: the element says which job is meant, and no more is known of it.
pg::RowBuilder lost_state(pg::Nullable id)
{
    pg::RowBuilder state(call::job_state_type);
    state.add(id);
    return state;
}

// A lease that is lost is a row without lease_id, not an error: one lost job must not let the others' leases run out.
// What the job is now is shown where it was found in `jobs` (prolong_lease() has set the row); of a job that is
// archived, unknown or not the caller's to see it is the id alone.
pg::RowBuilder answer_lost(const Heartbeat &heartbeat, const call::Refusal &refusal, const Row &row)
{
    if (refusal.sqlstate == sqlstate::conflict && refusal.detail != nullptr && row.has(Column::status)) {
        Row shown = row;
        shown.clear(Column::lease_id);
        shown.clear(Column::lease_expires_at);
        return call::state_of(shown);
    }
    return lost_state(UUIDPGetDatum(&heartbeat.lease.job));
}

struct HeartbeatMany {
    using Element = Heartbeat;
    static constexpr const auto &fields = element_fields;

    // Progress that is too large is dropped, with a NOTICE, and the lease is prolonged without it: another worker would
    // do the job once more if the lease ran out. The single job_heartbeat() raises PT413 instead.
    pg::RowBuilder answer_element(Jobs &jobs, Heartbeat &heartbeat)
    {
        Row row = {};
        row.null.fill(true);
        heartbeat.extension = extension;
        std::optional<call::Refusal> refusal = call::too_large(heartbeat.progress, "progress");
        if (!refusal)
            refusal = prolong_lease(jobs, heartbeat, row);
        if (refusal && refusal->sqlstate == sqlstate::too_large) {
            notices.tell(psprintf("the progress of job %s was dropped: %s", store::to_text(&heartbeat.lease.job),
                                  refusal->message));
            heartbeat.progress = {};
            refusal = prolong_lease(jobs, heartbeat, row);
        }
        return refusal ? answer_lost(heartbeat, *refusal, row) : call::state_of(row);
    }

    pg::RowBuilder answer_unread(const Heartbeat &, pg::Nullable id, int) { return lost_state(id); }

    JsonbContainer *leases = nullptr;
    std::optional<Microseconds> extension; // for all of them
    job::Notices notices = {};
};

constexpr call::Field<HeartbeatMany> heartbeat_many_fields[] = {
    {"leases", JSONBOID, &HeartbeatMany::leases},
    {"lease", INTERVALOID, &HeartbeatMany::extension, call::positive_span},
};

} // namespace

JOBS_FUNCTION(job_heartbeat)
{
    Heartbeat heartbeat;
    call::read_arguments<job::lease_fields, heartbeat_fields>(fcinfo, heartbeat.lease, heartbeat);
    pg::StatementScope scope("job_heartbeat()");
    Jobs jobs = Jobs::open(call::require_update);
    Row row;
    if (auto refusal = prolong_lease(jobs, heartbeat, row))
        call::raise(*refusal);
    return call::answer(fcinfo, row);
}

JOBS_FUNCTION(job_heartbeat_many)
{
    HeartbeatMany verb = call::read_arguments<heartbeat_many_fields>(fcinfo);
    pg::RowSink sink(fcinfo, call::job_state_type);
    pg::StatementScope scope("job_heartbeat_many()");
    Jobs jobs = Jobs::open(call::require_update);
    job::LeaseList<HeartbeatMany>(verb, verb.leases, "leases", sink).answer_all(jobs);
    return Datum{0};
}

} // namespace verbs
