#include "settings.hpp"

#include "pg/scope.hpp"

namespace settings {

int default_lease = 600;
int max_payload = 256;
int max_batch = 100000;
int max_wait = 20000;
int max_wait_authenticated = 2000;
int max_waiters = 200;
int max_hinted_lanes = 10000;
int max_counted_types = 1024;
int statistics_interval = 300;
int maintenance_interval = 1000;
int audit_interval = 24 * 3600;
bool notify = false;
char *exclude_databases = nullptr;
int archive_after = 30 * 24 * 60;
int archive_keep = -1;
bool async_claim = true;
bool auto_register_types = false;
bool force_statement_path = false;
bool restoring = false;
bool pause_after_restore = false;
int longest_piece = 30 * 1000;
int stalled_after = 600 * 1000;
int spoil_hints = 0;
bool preloaded = false;

namespace {

bool test_mode = false;
char *now_text = nullptr;
TimestampTz fixed_now = DT_NOEND; // DT_NOEND: the clock runs

constexpr const char *now_name = "jobs_ext.now";

// A superuser may set the clock anywhere, the owner of `jobs` on a test server, nobody else: a clock that is set ahead
// ends everybody's leases. Outside of a transaction no catalog can be asked; a parallel worker takes over what its
// leader was allowed, possibly under another role.
bool may_set_clock()
{
    if (!IsTransactionState() || InitializingParallelWorker || superuser())
        return true;
    if (!test_mode)
        return false;
    Oid schema = get_namespace_oid("public", true);
    Oid jobs = OidIsValid(schema) ? get_relname_relid("jobs", schema) : InvalidOid;
    return OidIsValid(jobs) && pg::owns_table(jobs, GetUserId());
}

bool check_now(char **value, void **extra, GucSource source)
{
    if (*value == nullptr || **value == '\0')
        return true;
    // Up to PGC_S_ARGV a value comes from those who run the server: its configuration file, its command line. Values of
    // ALTER ROLE, ALTER DATABASE, the client and SET rank higher, and are asked for.
    if (source > PGC_S_ARGV && !may_set_clock()) {
        GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
        GUC_check_errmsg("permission denied to set parameter \"%s\"", now_name);
        GUC_check_errhint("A superuser may set the clock, or the owner of jobs where jobs_ext.test_mode is on.");
        return false;
    }

    // By hand, because timestamptz_in() raises errors, which a check hook may not when the configuration file is read.
    char *fields[MAXDATEFIELDS];
    char work[MAXDATELEN + MAXDATEFIELDS];
    int types[MAXDATEFIELDS];
    int count, kind, zone;
    struct pg_tm broken_down;
    fsec_t fraction;
    TimestampTz instant;
    if (ParseDateTime(*value, work, sizeof(work), fields, types, MAXDATEFIELDS, &count) != 0)
        return false;
    if (pg::decode_datetime(fields, types, count, &kind, &broken_down, &fraction, &zone) != 0)
        return false;
    if (kind != DTK_DATE || tm2timestamp(&broken_down, fraction, &zone, &instant) != 0) {
        GUC_check_errdetail("\"%s\" takes a timestamp with time zone, or nothing.", now_name);
        return false;
    }

    auto parsed = static_cast<TimestampTz *>(pg::setting_memory(sizeof(TimestampTz)));
    if (parsed == nullptr)
        return false;
    *parsed = instant;
    *extra = parsed;
    return true;
}

bool check_databases(char **value, void **, GucSource)
{
    char *copy = pstrdup(*value);
    List *names = NIL;
    const bool valid = SplitIdentifierString(copy, ',', &names);
    if (!valid)
        GUC_check_errdetail("It takes names of databases, separated by commas.");
    list_free(names);
    pfree(copy);
    return valid;
}

void assign_now(const char *, void *extra)
{
    fixed_now = extra == nullptr ? DT_NOEND : *static_cast<TimestampTz *>(extra);
}

// A setting that is a number.
struct Number {
    const char *name, *meaning, *more;
    int *number; // its default is the value that the variable begins with
    int least, most;
    GucContext context;
    int flags;
};

constexpr Number numbers[] = {
    {"jobs_ext.default_lease", "How long a claim holds a job whose type sets no lease.", nullptr, &default_lease, 1,
     INT_MAX / 1000, PGC_USERSET, GUC_UNIT_S},
    // 900 kB at most, as for a whole row (call/refusal.cpp): Realtime drops records over 1 MiB.
    {"jobs_ext.max_payload", "The largest input payload, result, progress, metadata or error details of a job.",
     nullptr, &max_payload, 1, 900, PGC_SUSET, GUC_UNIT_KB},
    {"jobs_ext.max_batch", "The most elements that one call takes in an array.",
     "A call's memory and its transaction grow with them.", &max_batch, 1, INT_MAX, PGC_SUSET, 0},
    {"jobs_ext.max_wait", "The longest that job_claim and job_wait wait, whatever they ask for.",
     "They keep a snapshot meanwhile, which holds back vacuum. job_await, which keeps none, is not bound by it, but "
     "where its session listens.",
     &max_wait, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MS},
    {"jobs_ext.max_wait_authenticated",
     "The longest that job_wait waits for a role under row security, such as authenticated.",
     "Each one that waits keeps a connection of an API's pool from everybody else.", &max_wait_authenticated, 0,
     INT_MAX, PGC_SUSET, GUC_UNIT_MS},
    {"jobs_ext.maintenance_interval",
     "How often the worker looks at all that is due, besides at the time at which it is.", nullptr,
     &maintenance_interval, 100, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS},
    // PGC_SUSET, not PGC_SIGHUP, which would leave out ALTER DATABASE … SET. A reload of the configuration file reaches
    // these in every process all the same.
    {"jobs_ext.archive_after",
     "How long an ended job stays in jobs before it is archived, unless its type says otherwise.", "-1: for ever.",
     &archive_after, -1, INT_MAX, PGC_SUSET, GUC_UNIT_MIN},
    {"jobs_ext.archive_keep", "How long the archive keeps a month after its end, before it is dropped.",
     "-1: for ever.", &archive_keep, -1, INT_MAX, PGC_SUSET, GUC_UNIT_MIN},
    {"jobs_ext.audit_interval",
     "In what time the worker compares all of the private tables with jobs, little by little.",
     "-1: never. jobs_ext.check() does it at once.", &audit_interval, -1, INT_MAX / 1000, PGC_SUSET, GUC_UNIT_S},
    {"jobs_ext.statistics_interval",
     "How often the worker writes down the statistics that have changed, besides at a shutdown.",
     "A crash of the server loses what was counted since.", &statistics_interval, 1, INT_MAX / 1000, PGC_SIGHUP,
     GUC_UNIT_S},
    {"jobs_ext.longest_piece", "How long a statement of the worker's may take, and a sixth of it one job.",
     "A worker that is in a piece for twice as long is told to end. For tests, which can't wait.", &longest_piece, 100,
     3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS | GUC_NOT_IN_SAMPLE},
    {"jobs_ext.stalled_after", "How long the worker does nothing of what is due until that is an error on record.",
     "For tests, which can't wait.", &stalled_after, 100, 24 * 3600 * 1000, PGC_SIGHUP,
     GUC_UNIT_MS | GUC_NOT_IN_SAMPLE},
    {"jobs_ext.spoil_hints", "How many of a thousand hints of where to read are set too far, past jobs that are there.",
     "For tests of what mends them. Such jobs are late.", &spoil_hints, 0, 1000, PGC_SUSET, GUC_NOT_IN_SAMPLE},
};

// Where the library is preloaded these size shared memory, so they are fixed at the start. Where it comes later
// Postgres refuses to define a PGC_POSTMASTER setting (FATAL).
void define_for_shared_memory()
{
    const GucContext context = preloaded ? PGC_POSTMASTER : PGC_SIGHUP;
    DefineCustomIntVariable("jobs_ext.max_waiters",
                            "How many sessions may sleep at a time until there is a job, or until one has ended.",
                            "One more looks ten times a second. The last tenth is kept for roles that have none.",
                            &max_waiters, 200, 0, 10000, context, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jobs_ext.max_hinted_lanes",
                            "For how many lists of jobs, two a type, the server remembers where the first one stands.",
                            "Each takes 1.3 kB of shared memory. A claim of another type looks into the queue's index, "
                            "and may walk over jobs that were claimed before it and are not vacuumed yet.",
                            &max_hinted_lanes, 10000, 0, 1000000, context, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("jobs_ext.max_counted_types",
                            "For how many job types, of all databases, statistics are kept.",
                            "Each takes 8 kB of shared memory. A type that comes when all are taken is not counted.",
                            &max_counted_types, 1024, 0, 100000, context, 0, nullptr, nullptr, nullptr);
}

void define_for_restores()
{
    DefineCustomBoolVariable("jobs_ext.restoring",
                             "Makes CREATE EXTENSION leave out the tables, since a dump brings them.",
                             "Needed for dumps made with --enable-row-security; other dumps are recognised.",
                             &restoring, false, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("jobs_ext.pause_after_restore",
                             "Has a queue that is restored from a dump stand still until job_resume_all().",
                             "For servers on which a copy of another one's queue must not begin to work.",
                             &pause_after_restore, false, PGC_USERSET, 0, nullptr, nullptr, nullptr);
}

} // namespace

void define()
{
    for (const auto &[name, meaning, more, number, least, most, context, flags] : numbers)
        DefineCustomIntVariable(name, meaning, more, number, *number, least, most, context, flags, nullptr, nullptr,
                                nullptr);
    define_for_shared_memory();
    DefineCustomBoolVariable("jobs_ext.notify", "Sends NOTIFY jobs when jobs came or became due.",
                             "The worker sends it, one for many jobs.", &notify, false, PGC_SIGHUP, 0, nullptr, nullptr,
                             nullptr);
    DefineCustomStringVariable("jobs_ext.exclude_databases", "Databases that no worker serves, separated by commas.",
                               "An asterisk: all of them.", &exclude_databases, "", PGC_SIGHUP, GUC_LIST_INPUT,
                               check_databases, nullptr, nullptr);
    DefineCustomBoolVariable("jobs_ext.async_claim",
                             "Does not wait for the disk when a transaction did nothing but claim and heartbeat.",
                             "Takes effect where the library is in shared_preload_libraries. A claim that a crash "
                             "undoes leaves the job ready, and its lease can never match again.",
                             &async_claim, true, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("jobs_ext.auto_register_types",
                             "Registers an unknown job type at its first job instead of refusing it.", nullptr,
                             &auto_register_types, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    define_for_restores();
    DefineCustomBoolVariable("jobs_ext.test_mode", "Lets the owner of jobs set jobs_ext.now.", nullptr, &test_mode,
                             false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("jobs_ext.force_statement_path",
                             "Makes every verb write by SQL statements, as under row security.", nullptr,
                             &force_statement_path, false, PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(now_name, "The time that the queue believes it is; empty: the server's clock.", nullptr,
                               &now_text, "", PGC_USERSET, GUC_NOT_IN_SAMPLE, check_now, assign_now, nullptr);
    MarkGUCPrefixReserved("jobs_ext");
}

bool clock_stands() { return fixed_now != DT_NOEND; }

TimestampTz now() { return fixed_now == DT_NOEND ? GetCurrentTimestamp() : fixed_now; }

} // namespace settings
