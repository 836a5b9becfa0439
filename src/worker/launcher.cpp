#include "worker/launcher.hpp"

#include <algorithm>

#include "pg/scope.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/databases.hpp"
#include "shared/launcher.hpp"
#include "shared/process.hpp"
#include "worker/loop.hpp"

extern "C" PGDLLEXPORT void jobs_ext_launcher_main(Datum);

namespace worker {

namespace {

using shared::Database;
using shared::Service;

constexpr long look_at_databases_ms = 60000; // though nobody said that they changed
constexpr long look_for_free_process_ms = 1000;

// Of the workers that were started and have not come yet, by entry.
BackgroundWorkerHandle *started[shared::max_databases];

bool excluded(const char *name)
{
    char *copy = pstrdup(settings::exclude_databases);
    List *names = NIL;
    bool found = false;
    if (SplitIdentifierString(copy, ',', &names)) {
        ListCell *cell;
        foreach (cell, names) {
            auto excluded = static_cast<const char *>(lfirst(cell));
            found = found || std::strcmp(excluded, name) == 0 || std::strcmp(excluded, "*") == 0;
        }
    }
    return found;
}

// Those that a worker may serve. Nobody connects to a template: CREATE DATABASE could not copy it.
List *list_databases()
{
    List *oids = NIL;
    MemoryContext caller = CurrentMemoryContext;
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    Relation catalog = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(catalog, 0, nullptr);
    while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
        auto form = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
        if (!form->datallowconn || form->datistemplate || database_is_invalid_form(form) ||
            excluded(NameStr(form->datname)))
            continue;
        MemoryContext before = MemoryContextSwitchTo(caller);
        oids = lappend_oid(oids, form->oid);
        MemoryContextSwitchTo(before);
    }
    table_endscan(scan);
    table_close(catalog, AccessShareLock);
    PopActiveSnapshot();
    CommitTransactionCommand();
    MemoryContextSwitchTo(caller);
    return oids;
}

// Entries of databases that are gone, or not to be served any more, become free.
void drop_entries(List *oids)
{
    for (Database &database : shared::databases::all_databases()) {
        if (!OidIsValid(database.oid) || database.holders != 0 || list_member_oid(oids, database.oid))
            continue;
        if (database.pid == 0) {
            shared::databases::forget_database(database);
            continue;
        }
        database.to_leave = true; // then the entry is free, at the next look
        kill(database.pid, SIGTERM);
    }
}

// False: there is no room for all.
bool add_entries(List *oids)
{
    ListCell *cell;
    foreach (cell, oids) {
        Database *database = shared::databases::enter_database(lfirst_oid(cell));
        if (database == nullptr)
            return false;
        if (database->service == Service::unlisted)
            database->service = Service::wanted;
    }
    return true;
}

void read_databases()
{
    static bool warned = false;
    List *oids = list_databases();
    bool all;
    {
        shared::databases::Lock lock;
        drop_entries(oids);
        all = add_entries(oids);
    }
    if (!all && !std::exchange(warned, true))
        ereport(WARNING,
                (errmsg("jobs_ext serves %d databases at most, and this server has more", shared::max_databases),
                 errhint("Name those without jobs in jobs_ext.exclude_databases.")));
}

void forget_started(int entry)
{
    if (started[entry] != nullptr)
        pfree(started[entry]);
    started[entry] = nullptr;
}

bool start_worker(int entry, Oid oid, std::uint32_t generation)
{
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART; // we do, later after each failure
    worker.bgw_notify_pid = MyProcPid;
    worker.bgw_main_arg = Int32GetDatum(entry);
    snprintf(worker.bgw_name, BGW_MAXLEN, "jobs_ext worker for database %u", oid);
    snprintf(worker.bgw_type, BGW_MAXLEN, "jobs_ext worker");
    snprintf(worker.bgw_library_name, BGW_MAXLEN, "jobs_ext");
    snprintf(worker.bgw_function_name, BGW_MAXLEN, "jobs_ext_worker_main");
    std::memcpy(worker.bgw_extra, &generation, sizeof(generation));
    forget_started(entry);
    pg::InMemory long_lived(TopMemoryContext);
    return RegisterDynamicBackgroundWorker(&worker, &started[entry]);
}

// A worker that ended before it came is started again later.
void notice_lost(int entry)
{
    pid_t pid;
    if (started[entry] == nullptr || GetBackgroundWorkerPid(started[entry], &pid) != BGWH_STOPPED)
        return;
    forget_started(entry);
    shared::databases::Lock lock;
    Database &database = shared::databases::at(entry);
    if (database.service == Service::starting)
        shared::databases::fail_database(database);
}

// Those that are to have a worker now, the one longest not served first.
List *who_waits()
{
    List *entries = NIL;
    const pg::Moment now = pg::moment();
    for (int i = 0; i < shared::max_databases; ++i) {
        notice_lost(i);
        const Database &database = shared::databases::at(i);
        const bool is_time =
            database.service == Service::wanted || (database.service == Service::failing && database.retry_at <= now);
        if (OidIsValid(database.oid) && database.holders == 0 && database.pid == 0 && !database.to_leave && is_time)
            entries = lappend(entries, &shared::databases::at(i));
    }
    list_sort(entries, [](const ListCell *a, const ListCell *b) {
        const pg::Moment left = static_cast<Database *>(lfirst(a))->served_at;
        const pg::Moment right = static_cast<Database *>(lfirst(b))->served_at;
        return left < right ? -1 : left > right ? 1 : 0;
    });
    return entries;
}

bool start_for(Database &database)
{
    const int entry = static_cast<int>(&database - shared::databases::all_databases().data());
    Oid oid;
    std::uint32_t generation;
    {
        shared::databases::Lock lock;
        if (database.holders != 0 || database.pid != 0 || !OidIsValid(database.oid))
            return true;
        database.service = Service::starting;
        database.came_at = pg::unset;
        database.started_at = 0;
        generation = ++database.generation;
        oid = database.oid;
    }
    if (start_worker(entry, oid, generation))
        return true;
    shared::databases::Lock lock;
    if (database.service == Service::starting && database.generation == generation)
        database.service = Service::wanted;
    ConditionVariableBroadcast(&database.changed);
    return false;
}

// Those that had their turn leave; they may be asleep for an hour.
void wake_workers()
{
    shared::databases::Lock lock(LW_SHARED);
    for (const Database &database : shared::databases::all_databases())
        if (database.pid != 0)
            shared::wake_process(database.process);
}

// Returns how many wait in vain, since no process is free.
int start_workers()
{
    static bool warned = false;
    List *entries = who_waits();
    int left = list_length(entries);
    ListCell *cell;
    foreach (cell, entries) {
        if (!start_for(*static_cast<Database *>(lfirst(cell))))
            break;
        --left;
    }
    shared::launcher::say_waiting(left);
    if (left > 0)
        wake_workers();
    if (left > 0 && !std::exchange(warned, true))
        ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                          errmsg("no process is free for the jobs of %d databases: they are served in turn", left),
                          errhint("Raise max_worker_processes.")));
    return left;
}

// Ends workers that are in a piece of work for too long: code of a user's that catches each cancel would keep its
// worker for ever, and with it a process that other databases need.
void end_overstaying()
{
    using shared::databases::Overstay;
    for (Database &database : shared::databases::all_databases()) {
        if (!shared::databases::overstays(database))
            continue;
        Overstay overstay;
        Database copy;
        {
            shared::databases::Lock lock;
            overstay = shared::databases::end_if_overstaying(database);
            std::memcpy(static_cast<void *>(&copy), &database, sizeof(copy));
        }
        const char *at =
            copy.at_work.task[0] != '\0'
                ? psprintf("It is at job %s, task \"%s\".",
                           DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&copy.at_work.job))),
                           copy.at_work.task)
                : psprintf("It is at: %s.", copy.doing);
        if (overstay == Overstay::told)
            ereport(WARNING,
                    (errcode(ERRCODE_QUERY_CANCELED),
                     errmsg("jobs_ext: the worker with PID %d for database %u is told to end, since a piece of "
                            "its work does not",
                            copy.pid, copy.oid),
                     errdetail_internal("%s", at)));
        else if (overstay == Overstay::ends_not)
            ereport(
                WARNING,
                (errcode(ERRCODE_QUERY_CANCELED),
                 errmsg("jobs_ext: the worker with PID %d for database %u does not end, though it was told to",
                        copy.pid, copy.oid),
                 errdetail_internal("%s", at),
                 errhint("It runs code that never looks whether it is to end. Until that returns, its process is not "
                         "free for other databases; kill -9 would restart the whole server.")));
    }
}

// Workers come to a piece at any time: so that none is overlooked, at least once in the time that one may last.
long until_next_overstay()
{
    long wait = look_at_databases_ms;
    const pg::Moment now = pg::moment();
    for (Database &database : shared::databases::all_databases()) {
        if (database.pid == 0)
            continue;
        wait = std::min<long>(wait, settings::longest_piece);
        const pg::Moment ends_at = {static_cast<std::int64_t>(pg_atomic_read_u64(&database.overstays_at))};
        if (ends_at.is_set() && !database.ends_not)
            wait = std::min(wait, ends_at > now ? pg::milliseconds_until(now, ends_at) : look_for_free_process_ms);
    }
    return std::max(wait, 10L);
}

long until_next_start()
{
    long wait = look_at_databases_ms;
    for (const Database &database : shared::databases::all_databases())
        if (OidIsValid(database.oid) && database.service == Service::failing && database.holders == 0)
            wait = std::min(wait, pg::milliseconds_until(database.retry_at));
    return std::max(wait, 10L);
}

void left(int, Datum) { shared::launcher::launcher_ends(); }

// What an earlier launcher started and nobody watches any more.
void take_over()
{
    shared::databases::Lock lock;
    for (Database &database : shared::databases::all_databases())
        if (database.service == Service::starting) {
            database.service = Service::wanted;
            ++database.generation;
            ConditionVariableBroadcast(&database.changed);
        }
}

[[noreturn]] void run_launcher()
{
    MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "jobs_ext launcher", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSwitchTo(memory);
    pg::Moment read_at = pg::long_ago;
    for (;;) {
        const bool changed = shared::launcher::take_databases_changed();
        if (changed || pg::is_over(read_at, look_at_databases_ms)) {
            read_databases();
            read_at = pg::moment();
        }
        end_overstaying();
        const int waiting = start_workers();
        MemoryContextReset(memory);
        const long until_start = waiting > 0 ? look_for_free_process_ms : until_next_start();
        if (sleep(std::min(until_start, until_next_overstay()), "JobsLauncher"))
            read_at = pg::long_ago; // other databases may be excluded
    }
}

} // namespace

void register_launcher()
{
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished; // on a standby at its promotion
    worker.bgw_restart_time = 5;
    snprintf(worker.bgw_name, BGW_MAXLEN, "jobs_ext launcher");
    snprintf(worker.bgw_type, BGW_MAXLEN, "jobs_ext launcher");
    snprintf(worker.bgw_library_name, BGW_MAXLEN, "jobs_ext");
    snprintf(worker.bgw_function_name, BGW_MAXLEN, "jobs_ext_launcher_main");
    RegisterBackgroundWorker(&worker);
}

} // namespace worker

void jobs_ext_launcher_main(Datum)
{
    using namespace worker;
    handle_signals(1); // the postmaster starts it again
    before_shmem_exit(left, Datum{0});
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
    SetConfigOption("application_name", "jobs_ext launcher", PGC_USERSET, PGC_S_OVERRIDE);
    shared::launcher::begin();
    take_over();
    run_launcher();
}
