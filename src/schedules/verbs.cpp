// job_schedule, job_unschedule, and the run of a schedule that pg_cron calls.
//
// pg_cron may start a run while the run before is not over, and a role may call jobs_ext.run_schedule(). A run
//
//   1. locks its schedule's row in jobs_ext.schedules (schedules/memory.hpp), which it makes if there is none,
//   2. takes a new snapshot, and looks whether the job of the run before still waits,
//   3. enqueues its job, and writes into the row which job that is.
//
// Two runs at once make one job: the second waits in 1 until the first has committed, and sees that one's job in 2,
// because its snapshot is taken after the lock. Where the first was rolled back, or its server crashed, row and job are
// as they were, and the second run makes the job. At REPEATABLE READ the second run gets 40001.
//
// The row is locked before any row of `jobs`, so a run never waits for it with a job locked. A trigger on `jobs` of the
// user's that runs or removes the very same schedule in the middle of 3 is in the same transaction, which no lock keeps
// out: require_unchanged() finds it, and raises 27000.
//
// A claim, a cancel or a delete of the job before, between 2 and the commit, is not seen: the run is left out, and the
// next one makes a job.
#include "call/privileges.hpp"
#include "job/claims.hpp"
#include "pg/excerpt.hpp"
#include "pg/sqlstate.hpp"
#include "pg/subtransaction.hpp"
#include "schedules/definition.hpp"
#include "schedules/memory.hpp"
#include "schedules/pg_cron.hpp"
#include "settings.hpp"

namespace schedules {

namespace {

using schedules::Schedules;
using store::Column;
using store::Jobs;
using store::Row;

// Raises 22023, with the field and the part of it that is wrong. Both are the caller's text, hence the excerpts.
[[noreturn]] void malformed(const char *schedule, const logic::CronProblem &problem)
{
    StringInfoData why;
    initStringInfo(&why);
    auto append = [&](std::string_view text) {
        appendBinaryStringInfo(&why, text.data(), static_cast<int>(text.size()));
    };
    append(problem.field);
    if (!problem.part.empty()) {
        append(problem.field.empty() ? "\"" : " \"");
        appendStringInfoString(&why, pg::excerpt(problem.part));
        append("\"");
    }
    append(why.len == 0 ? "" : " ");
    append(problem.what);
    ereport(ERROR,
            (errcode(sqlstate::bad_argument), errmsg("malformed schedule \"%s\": %s", pg::excerpt(schedule), why.data),
             errhint("Five fields: minute, hour, day of the month, month, day of the week, as in"
                     " \"*/5 8-18 * * mon-fri\"; or \"10 seconds\", @hourly, @daily, @weekly, @monthly, @yearly,"
                     " @reboot.")));
}

// Raises 22023 for what is malformed. pg_cron checks it too, but the versions differ in what they take and say, and
// scheduled_jobs() has to know when the next run will be.
logic::Cron checked_schedule(const char *given)
{
    const logic::ParsedCron parsed = logic::parse_cron(given);
    if (parsed.problem)
        malformed(given, *parsed.problem);
    return parsed.cron;
}

// A job takes organisation and user from the request that enqueues it (job/new_job.cpp). A run has no request: pg_cron
// opens a session of the role. So what this request gives goes into the options of the schedule, as if the caller had
// named it; else each run's job would belong to nobody. The nil uuid is "nobody" and is left out.
void keep_request(Definition &definition, const Recurring &schedule, const Row &row)
{
    StringInfoData json;
    initStringInfo(&json);
    auto keep = [&](Column column, pg::Nullable given) {
        static constexpr pg_uuid_t nil = {};
        if (!given && row.has(column) && !store::same_id(DatumGetUUIDP(row[column]), &nil))
            appendStringInfo(&json, "%s\"%s\": \"%s\"", json.len == 0 ? "{" : ", ",
                             store::columns[store::index_of(column)].name, store::to_text(DatumGetUUIDP(row[column])));
    };
    keep(Column::organisation_id, schedule.job.organisation_id);
    keep(Column::created_by, schedule.job.created_by);
    if (json.len == 0)
        return;
    appendStringInfoChar(&json, '}');
    const Datum kept = pg::parse_json(json.data);
    definition.options = definition.options ? DirectFunctionCall2(jsonb_concat, definition.options.value, kept) : kept;
}

// Whether the job of the run before waits, or is paused: then another one would pile up. One that runs does not count.
// A job that is gone was deleted or archived.
bool still_waits(Jobs &jobs, pg::Nullable id)
{
    if (!id)
        return false;
    const std::optional<Row> job = jobs.find(DatumGetUUIDP(id.value));
    return job && (logic::waiting(job->status()) || job->status() == logic::Status::paused);
}

struct When {
    pg::Nullable schedule;
};
constexpr call::Field<When> when_fields[] = {{"schedule", TEXTOID, &When::schedule, call::anything, call::required}};
constexpr auto name_fields = call::pick_fields<definition_fields>({"name"});
constexpr auto job_fields = call::pick_fields<definition_fields>({"job_type", "input_payload", "priority", "options"});

// Inserts the job and undoes it, so that all that an enqueue would refuse, by foreign keys, policies and triggers too,
// is refused now, in front of the caller, and not by each run in the log of pg_cron. `jobs` is opened anew, because
// nothing that was opened before may be used in the subtransaction and after its rollback.
void try_run(const Recurring &schedule)
{
    constexpr int undone = MAKE_SQLSTATE('J', 'X', '0', '0', '1');
    const auto is_raised = [](const ErrorData *error) { return error->sqlerrcode != undone; };
    ErrorData *error = pg::in_subtransaction(
        [&] {
            Jobs jobs = Jobs::open(call::require_insert);
            Row row = make_run(jobs, schedule);
            const job::ExplainRefusal explained(row[Column::organisation_id]);
            jobs.insert(row, 0);
            ereport(ERROR, (errcode(undone), errmsg("a run of the schedule was tried")));
        },
        is_raised);
    FreeErrorData(error);
}

} // namespace

JOBS_FUNCTION(job_schedule)
{
    Definition definition;
    When given;
    call::read_arguments<name_fields, when_fields, job_fields>(fcinfo, definition, given, definition);
    const char *when = TextDatumGetCString(given.schedule.value);

    pg::StatementScope scope("job_schedule()");
    const Recurring schedule = recurring(definition);
    const logic::Cron cron = checked_schedule(when);
    Jobs jobs = Jobs::open(call::require_insert);
    try_run(schedule);
    keep_request(definition, schedule, make_run(jobs, schedule));

    // After the arguments, so that a mistake there is told also where pg_cron is missing.
    schedules::pg_cron::require_usable();
    schedules::pg_cron::require_runnable();
    schedules::pg_cron::require_known(cron, when);
    const std::string_view plain = logic::plain_cron(when);
    const Datum plain_text = PointerGetDatum(cstring_to_text_with_len(plain.data(), static_cast<int>(plain.size())));
    return Int64GetDatum(schedules::pg_cron::schedule(cron_name(schedule.name), plain_text, cron_command(definition),
                                                      CStringGetTextDatum(cron_command_begin)));
}

JOBS_FUNCTION(job_unschedule)
{
    pg::StatementScope scope("job_unschedule()");
    const Datum name = call::require_value(pg::argument(fcinfo, 0), "name");
    schedules::pg_cron::require_usable();
    const bool there = schedules::pg_cron::unschedule(cron_name(name), CStringGetTextDatum(cron_command_begin));
    Schedules(RowExclusiveLock).remove_schedule(GetUserId(), name); // waits for a run that is going on
    return BoolGetDatum(there);
}

namespace {

// One run, as the caller. Returns the id of the job that it made; null where the run was left out, which is counted.
// Raises what job_enqueue raises; 40001 outside READ COMMITTED where another run was first; 27000 where a trigger ran
// or removed the same schedule.
pg::Nullable run_for(const Definition &definition)
{
    pg::StatementScope scope("jobs_ext.run_schedule()");
    const Recurring schedule = recurring(definition);
    Jobs jobs = Jobs::open(call::require_any_insert);
    job::require_may_insert(jobs);
    Schedules memory(RowExclusiveLock);
    memory.lock_schedule(GetUserId(), schedule.name);
    jobs.renew_snapshot(); // lock() may have waited for a run whose job the snapshot before does not show
    if (!schedule.pile_up && still_waits(jobs, memory.last_job())) {
        memory.count_skipped();
        return {};
    }
    Row row = make_run(jobs, schedule);
    jobs.insert(row, 0);
    jobs.renew_snapshot(); // shows what a trigger that the insert fired has done
    memory.require_unchanged(GetUserId(), schedule.name);
    memory.set_job(row.id(), *row.time(Column::created_at));
    return UUIDPGetDatum(row.id());
}

} // namespace

JOBS_FUNCTION(run_schedule)
{
    const Datum given = call::require_value(pg::argument(fcinfo, 0), "definition");
    const pg::Nullable job = run_for(read_definition(given));
    fcinfo->isnull = job.null;
    return job.value;
}

// The inline handler of the language, for DO: what pg_cron runs. The text between the dollar quotes is the definition.
JOBS_FUNCTION(run_inline)
{
    auto block = reinterpret_cast<InlineCodeBlock *>(PG_GETARG_POINTER(0));
    run_for(parse_definition(block->source_text));
    return Datum{0};
}

// The call handler, which CREATE LANGUAGE demands, and the validator: both raise 0A000.
JOBS_FUNCTION(language_handler)
{
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("there are no functions in the language jobs_ext"),
                    errdetail("It is for DO, by which pg_cron runs what job_schedule() has scheduled.")));
}

} // namespace schedules
