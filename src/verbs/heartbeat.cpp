// job_heartbeat, job_heartbeat_many.
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
    std::optional<Microseconds> extension; // none: the type's lease, once half of it is spent
};

constexpr call::Field<Heartbeat> heartbeat_fields[] = {
    {"progress", JSONBOID, &Heartbeat::progress, call::allowed_size},
    {"lease", INTERVALOID, &Heartbeat::extension, call::positive_span},
};
constexpr call::Field<Heartbeat> element_fields[] = {{"progress", JSONBOID, &Heartbeat::progress}};

// Leaves the row as it is where nothing is to be written.
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

constexpr store::ColumnSet written = store::bit(Column::lease_expires_at) | store::bit(Column::progress) |
                                     store::bit(Column::heartbeat_at) | store::bit(Column::updated_at);

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
            // A row that somebody else made too large is no reason to lose the lease.
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

// Nothing but the id, if there is one.
pg::RowBuilder lost_state(pg::Nullable id)
{
    pg::RowBuilder state(call::job_state_type);
    state.add(id);
    return state;
}

// A lease that is lost comes back as a row without lease_id: one lost job must not let the others' leases run out.
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

    // A progress that is too large is dropped: that the lease holds matters more.
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
    job::LeaseList<HeartbeatMany>(verb, verb.leases, "leases", sink).run(jobs);
    return Datum{0};
}

} // namespace verbs
