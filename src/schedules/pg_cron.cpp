#include "schedules/pg_cron.hpp"

#include <algorithm>

#include "pg/excerpt.hpp"
#include "pg/extension_function.hpp"
#include "pg/plan.hpp"

namespace schedules::pg_cron {

namespace {

// The value of a setting of pg_cron. GetConfigOption() without `restrict_privileged`, because pg_cron shows its
// settings to superusers alone, and every caller needs these to know what to do. Null: this pg_cron has no such
// setting. A placeholder (a name that somebody set, and no library defined) does not count.
const char *setting(const char *name)
{
    if ((GetConfigOptionFlags(name, true) & GUC_CUSTOM_PLACEHOLDER) != 0)
        return nullptr;
    return GetConfigOption(name, true, false);
}

const char *how_to_install(const char *database)
{
    return psprintf(
        "In postgresql.conf add pg_cron to shared_preload_libraries and set cron.database_name = '%s', start"
        " the server anew, then: create extension pg_cron;",
        database);
}

[[noreturn]] void unusable(const char *detail, const char *hint)
{
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("recurring jobs need pg_cron"),
                    errdetail_internal("%s", detail), errhint("%s", hint)));
}

void require_usage(const char *schema, const char *hint)
{
    const Oid oid = get_namespace_oid(schema, true);
    if (!OidIsValid(oid) || !pg::may_use_schema(oid, GetUserId()))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for schema %s", schema),
                        errhint(hint, quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

// The command of a schedule is DO LANGUAGE jobs_ext, which asks for USAGE at each run.
void require_language()
{
    const Oid oid = get_language_oid("jobs_ext", true);
    if (!OidIsValid(oid) || !pg::may_use_language(oid, GetUserId()))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for language jobs_ext"),
                        errhint("grant usage on language jobs_ext to %s",
                                quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

// pg_cron opens a session of the role that made the schedule, which fails at each run for a role without LOGIN.
void require_login()
{
    HeapTuple role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
    const bool can = HeapTupleIsValid(role) && reinterpret_cast<Form_pg_authid>(GETSTRUCT(role))->rolcanlogin;
    if (HeapTupleIsValid(role))
        ReleaseSysCache(role);
    if (!can)
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("role \"%s\" may not log in, and pg_cron runs a schedule as the role that made it",
                               GetUserNameFromId(GetUserId(), false)),
                        errhint("Make the schedule as a role with LOGIN.")));
}

// A span of time in which the clocks of pg_cron's zone are neither put forward nor back: local time is UTC + offset.
struct Regime {
    std::int64_t offset; // of local time, in microseconds
    TimestampTz until;
};

Regime regime_at(TimestampTz instant)
{
    // pg_time_t counts seconds from 1970, TimestampTz microseconds from 2000.
    constexpr pg_time_t epoch = static_cast<pg_time_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
    const char *name = setting("cron.timezone");
    const pg_tz *zone = name != nullptr ? pg_tzset(name) : nullptr;
    if (zone == nullptr)
        return {0, DT_NOEND}; // pg_cron before 1.5 has no such setting and reads all schedules in GMT
    const pg_time_t now = instant / USECS_PER_SEC + epoch;
    long before, after;
    int before_is_dst, after_is_dst;
    pg_time_t boundary;
    const int found = pg_next_dst_boundary(&now, &before, &before_is_dst, &boundary, &after, &after_is_dst, zone);
    if (found < 0)
        return {0, DT_NOEND};
    return {before * USECS_PER_SEC, found == 0 ? DT_NOEND : (boundary - epoch) * USECS_PER_SEC};
}

} // namespace

bool is_pg_cron_installed()
{
    const Oid schema = get_namespace_oid("cron", true);
    return OidIsValid(get_extension_oid("pg_cron", true)) && OidIsValid(schema) &&
           pg::may_use_schema(schema, GetUserId());
}

void require_usable()
{
    const char *here = get_database_name(MyDatabaseId);
    const char *there = setting("cron.database_name");
    if (setting("cron.log_run") == nullptr || there == nullptr)
        unusable("pg_cron is not in shared_preload_libraries.", how_to_install(here));
    if (std::strcmp(here, there) != 0)
        unusable(psprintf("pg_cron works in the database \"%s\" (cron.database_name), not in \"%s\".", there, here),
                 how_to_install(here));
    if (!OidIsValid(get_extension_oid("pg_cron", true)))
        unusable("The extension pg_cron is not in this database.", "A superuser adds it: create extension pg_cron;");
    require_usage("cron", "grant usage on schema cron to %s");
}

void require_runnable()
{
    require_language();
    require_login();
}

void require_known(const logic::Cron &cron, const char *schedule)
{
    // Asks for a setting that came with each feature, because the version of the extension (its SQL) says nothing of
    // the library's, which runs the schedules.
    const bool too_new = (cron.kind == logic::Cron::Kind::interval && setting("cron.timezone") == nullptr) ||
                         (cron.last_day && setting("cron.launch_active_jobs") == nullptr);
    if (too_new)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("this pg_cron is too old for the schedule \"%s\"", pg::excerpt(schedule)),
                        errhint("Intervals of seconds need pg_cron 1.5, and $ for the last day of the month needs 1.6;"
                                " the finest schedule before is every minute: * * * * *")));
}

std::optional<TimestampTz> next_run(const logic::Cron &cron, TimestampTz after)
{
    const char *both = setting("cron.match_dom_and_dow");
    const bool both_days = both != nullptr && std::strcmp(both, "on") == 0;
    // 29 February falls on a given day of the week again after 40 years at most (over 2100, which is no leap year), so
    // a calendar with nothing in 41 years never runs (30 February).
    const TimestampTz horizon = after + 41LL * 366 * USECS_PER_DAY;
    // pg_cron looks at each minute as it comes, by local time: a schedule in an hour that is skipped in spring does not
    // run, one in an hour that comes twice in autumn runs twice. So search each regime by itself, in its own local
    // time.
    for (TimestampTz from = after + 1; from < horizon;) {
        const Regime regime = regime_at(from);
        const TimestampTz until = std::min(regime.until, horizon);
        if (const auto due = logic::due_between(cron, from + regime.offset, until + regime.offset, both_days))
            return *due - regime.offset;
        from = until;
    }
    return std::nullopt;
}

namespace {

// By oid, so that no overload of another's is called (pg/extension_function.hpp). Raises 42883 if pg_cron has no such
// function, 42501 if the caller may not execute it: OidFunctionCall does not ask.
Oid function_of_cron(const char *name, std::span<const Oid> arguments)
{
    const Oid function = pg::extension_function({"pg_cron", "cron", name, arguments});
    pg::require_execute(function);
    return function;
}

} // namespace

std::int64_t schedule(Datum job_name, Datum schedule, Datum command, Datum begins)
{
    pg::SpiScope spi;
    const pg::Parameter ours[] = {{TEXTOID, job_name}, {TEXTOID, begins}};
    if (pg::run_sql("select 1 from cron.job where jobname::pg_catalog.text operator(pg_catalog.=) $1"
                    " and username operator(pg_catalog.=) current_user and not pg_catalog.starts_with(command, $2)",
                    ours) > 0)
        ereport(ERROR,
                (errcode(ERRCODE_DUPLICATE_OBJECT),
                 errmsg("pg_cron has a job \"%s\" that is no schedule of jobs_ext", TextDatumGetCString(job_name)),
                 errhint("Choose another name, or remove that job with cron.unschedule().")));
    static constexpr Oid arguments[] = {TEXTOID, TEXTOID, TEXTOID};
    return DatumGetInt64(OidFunctionCall3(function_of_cron("schedule", arguments), job_name, schedule, command));
}

bool unschedule(Datum job_name, Datum begins)
{
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{TEXTOID, job_name}, {TEXTOID, begins}};
    // By number, because cron.unschedule(name) takes another type from pg_cron 1.5 on. The statement names
    // current_user, because a superuser sees the jobs of all roles here.
    const std::uint64_t jobs = pg::run_sql("select jobid from cron.job where jobname::pg_catalog.text"
                                           " operator(pg_catalog.=) $1 and username operator(pg_catalog.=) current_user"
                                           " and pg_catalog.starts_with(command, $2)",
                                           parameters);
    static constexpr Oid arguments[] = {INT8OID};
    SPITupleTable *found = SPI_tuptable; // a global, which cron.unschedule() overwrites if it uses SPI
    for (std::uint64_t i = 0; i < jobs; ++i) {
        bool null;
        OidFunctionCall1(function_of_cron("unschedule", arguments),
                         SPI_getbinval(found->vals[i], found->tupdesc, 1, &null));
    }
    return jobs > 0;
}

} // namespace schedules::pg_cron
