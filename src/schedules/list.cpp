// jobs_ext.scheduled_jobs(), on which the view jobs_schedules stands: pg_cron's table as the caller may see it, joined
// with what the runs of each schedule remember.
//
// A run or job_unschedule() may commit meanwhile. All reads of one call are under the statement's snapshot (the query
// is read-only, and so takes no newer one), so a row shows both tables as they were at one instant. Only locks of
// readers are taken: nothing here waits for a run.
#include "pg/plan.hpp"
#include "schedules/definition.hpp"
#include "schedules/memory.hpp"
#include "schedules/pg_cron.hpp"
#include "settings.hpp"

namespace schedules {

namespace {

// The columns of `statement`, in its order.
enum Found { schedule, command, active, database, username, last_run_at, last_status, last_message, found_columns };

constexpr Oid found_types[] = {TEXTOID, TEXTOID, BOOLOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID};
static_assert(std::size(found_types) == found_columns);

// Row security of cron.job shows a caller the jobs of that role alone, and all to a superuser. pg_cron writes a row of
// cron.job_run_details for each run, unless cron.log_run is off; then the last run is what our table remembers. Every
// name and operator is qualified, because the statement runs under the caller's search_path.
constexpr char statement[] =
    "select j.schedule, j.command, j.active, j.database, j.username, r.at, r.status, r.return_message"
    " from cron.job j left join lateral ("
    "select coalesce(d.start_time, d.end_time) as at, d.status, d.return_message from cron.job_run_details d"
    " where d.jobid operator(pg_catalog.=) j.jobid order by d.runid desc limit 1) r on true"
    " where pg_catalog.starts_with(j.command, $1) order by j.jobid";

// When pg_cron will run the schedule next; null if it is switched off, cannot be read (a role may edit its rows of
// cron.job), or has no next run (@reboot).
pg::Nullable next_run_shown(const pg::Nullable *found, pg::Nullable last_run)
{
    const TimestampTz now = settings::now();
    const logic::ParsedCron parsed = logic::parse_cron(TextDatumGetCString(found[schedule].value));
    if (!DatumGetBool(found[active].value) || parsed.problem)
        return {};
    if (parsed.cron.kind == logic::Cron::Kind::interval) {
        const TimestampTz before = last_run ? DatumGetTimestampTz(last_run.value) : now;
        return TimestampTzGetDatum(std::max(now, before + parsed.cron.seconds * USECS_PER_SEC));
    }
    const std::optional<TimestampTz> next = schedules::pg_cron::next_run(parsed.cron, now);
    return next ? pg::Nullable(TimestampTzGetDatum(*next)) : pg::Nullable{};
}

constexpr Oid shown_types[] = {TEXTOID, TEXTOID,        TEXTOID, JSONBOID, INT4OID, JSONBOID, BOOLOID,       TEXTOID,
                               TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID,  UUIDOID, INT8OID,  TIMESTAMPTZOID};

// A definition that cannot be read shows as nulls: the command begins like ours, but its role may have edited it.
pg::RowBuilder show_schedule(schedules::Schedules &memory, const pg::Nullable *found)
{
    const Definition given = read_cron_command(found[command].value).value_or(Definition{});
    // InvalidOid: the role was dropped; pg_cron keeps its jobs.
    const Oid role = get_role_oid(TextDatumGetCString(found[username].value), true);
    const bool remembered = given.name && OidIsValid(role) && memory.find(role, given.name.value);
    const pg::Nullable last_run = found[last_run_at] || !remembered ? found[last_run_at] : memory.last_run();
    pg::RowBuilder row(shown_types);
    row.add(given.name).add(found[schedule]);
    row.add(given.job_type).add(given.input_payload).add(given.priority).add(given.options);
    row.add(found[active]).add(found[database]).add(found[username]);
    row.add(last_run).add(found[last_status]).add(found[last_message]);
    row.add(remembered ? memory.last_job() : pg::Nullable{});
    row.add(remembered ? memory.skipped() : 0);
    row.add(next_run_shown(found, last_run));
    return row;
}

} // namespace

JOBS_FUNCTION(scheduled_jobs)
{
    PreventCommandIfParallelMode("jobs_ext.scheduled_jobs()");
    pg::RowSink sink(fcinfo, shown_types);
    // The statement would raise 42P01 or 42501; a view that lists nothing is what its reader expects.
    if (!schedules::pg_cron::is_pg_cron_installed())
        return Datum{0};
    schedules::Schedules memory(AccessShareLock);
    pg::RowMemory memory_of_row;
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{TEXTOID, CStringGetTextDatum(cron_command_begin)}};
    const pg::Rows rows = pg::query(statement, parameters, found_types, 0, true);
    for (std::uint64_t i = 0; i < rows.count(); ++i) {
        CHECK_FOR_INTERRUPTS();
        pg::RowMemory::Use use(memory_of_row);
        pg::Nullable found[found_columns];
        for (int column = 0; column < found_columns; ++column)
            found[column] = rows.at(i, column);
        sink.put(show_schedule(memory, found));
    }
    return Datum{0};
}

} // namespace schedules
