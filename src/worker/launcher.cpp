#include "worker/launcher.hpp"

#include <algorithm>

#include "pg/scope.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/databases.hpp"
#include "shared/launcher.hpp"
#include "shared/process.hpp"
#include "shared/statistics.hpp"
#include "worker/loop.hpp"

extern "C" PGDLLEXPORT void jobs_ext_launcher_main(Datum);

namespace worker {

namespace {

using shared::Database;
using shared::Service;

// The commands that change the list of databases tell the launcher (worker/commands.cpp). The minute is for changes
// that no command makes: an UPDATE of pg_database by hand, an ALTER DATABASE that was prepared and then committed.
constexpr long look_at_databases_ms = 60000;
// Nobody tells the launcher when another extension gives a process back, so it looks.
constexpr long look_for_free_process_ms = 1000;

// By entry: the worker that the launcher registered last, until the launcher has noticed that its process ended. In
// this process alone: a launcher that starts anew has none, and take_over() makes up for that.
BackgroundWorkerHandle *started[shared::max_databases];

// Whether jobs_ext.exclude_databases names the database. SplitIdentifierString() writes into its argument, hence the
// copy; the setting's check hook has already refused a list that cannot be read.
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

// The OIDs of all databases, or of those that a worker may serve, in the caller's memory context. Not among the latter:
// - templates, because CREATE DATABASE cannot copy a database to which somebody is connected;
// - databases that allow no connections, or whose DROP was interrupted: a worker could not connect.
// The launcher is connected to no database, so it can read shared catalogs only, and reads pg_database as the
// autovacuum launcher does (get_database_list() in autovacuum.c).
enum class Listed : bool { all, to_be_served };
List *list_databases(Listed which)
{
    List *oids = NIL;
    MemoryContext caller = CurrentMemoryContext;
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    Relation catalog = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(catalog, 0, nullptr);
    while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
        auto form = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
        if (which == Listed::to_be_served && (!form->datallowconn || form->datistemplate ||
                                              database_is_invalid_form(form) || excluded(NameStr(form->datname))))
            continue;
        MemoryContext before = MemoryContextSwitchTo(caller);
        oids = lappend_oid(oids, form->oid);
        MemoryContextSwitchTo(before);
    }
    table_endscan(scan);
    table_close(catalog, AccessShareLock);
    PopActiveSnapshot();
    // Before PostgreSQL 18 the commit leaves TopMemoryContext as the current one.
    CommitTransactionCommand();
    MemoryContextSwitchTo(caller);
    return oids;
}

// Frees the entries of databases that are not in the list any more. A database from which a session keeps workers away
// keeps its entry, because that session goes back to it by its number (let_come()). Where a worker is still there, it
// is sent SIGTERM; its exit makes the launcher read the list again, and the entry is freed then. To be called under the
// lock.
void drop_entries(List *oids)
{
    for (Database &database : shared::databases::all_databases()) {
        if (!OidIsValid(database.oid) || database.holders != 0 || list_member_oid(oids, database.oid))
            continue;
        if (database.pid == 0) {
            shared::databases::forget_database(database);
            continue;
        }
        database.to_leave = true; // leave_locked() then does not take the end for a failure
        kill(database.pid, SIGTERM);
    }
}

// Gives each database of the list an entry. One that only a session had named so far is known to be served from now on.
// False: there is no entry for all. To be called under the lock.
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

// Frees the statistics of databases that are gone. The list of those that have some comes first: a database that is
// made between the two looks is not in it.
void forget_gone_databases()
{
    List *counted = shared::statistics::list_databases();
    if (counted == NIL)
        return;
    ListCell *cell;
    foreach (cell, list_difference_oid(counted, list_databases(Listed::all)))
        shared::statistics::forget_database(lfirst_oid(cell));
}

// Brings the entries in line with pg_database. The scan comes before the lock, because it may raise an error. What the
// list misses by that, a database that is made or dropped meanwhile, is told to the launcher when that command commits,
// and read in the next turn.
void read_databases()
{
    static bool warned = false;
    forget_gone_databases();
    List *oids = list_databases(Listed::to_be_served);
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

// Registers a worker with the postmaster. False: max_worker_processes are in use. The postmaster wakes the launcher
// when the process starts and when it ends (bgw_notify_pid).
bool start_worker(int entry, Oid oid, std::uint32_t generation)
{
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART; // the launcher does, later after each failure
    worker.bgw_notify_pid = MyProcPid;
    worker.bgw_main_arg = Int32GetDatum(entry);
    snprintf(worker.bgw_name, BGW_MAXLEN, "jobs_ext worker for database %u", oid);
    snprintf(worker.bgw_type, BGW_MAXLEN, "jobs_ext worker");
    snprintf(worker.bgw_library_name, BGW_MAXLEN, "jobs_ext");
    snprintf(worker.bgw_function_name, BGW_MAXLEN, "jobs_ext_worker_main");
    // Whole, and not packed into bgw_main_arg beside the entry, where a Datum of 4 bytes would cut it.
    std::memcpy(worker.bgw_extra, &generation, sizeof(generation));
    forget_started(entry);
    // The handle outlives the memory of this turn of the loop.
    pg::InMemory long_lived(TopMemoryContext);
    return RegisterDynamicBackgroundWorker(&worker, &started[entry]);
}

// A worker that ended before it attached (a database that cannot be connected to, a fork that failed) left no note in
// its entry: the launcher makes up for it, and starts another one later. Where the worker did attach, it has noted its
// end itself, and only the handle is to be let go.
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

// The entries that are to have a worker now, the one longest not served first. Read without the lock, because
// start_for() looks again under it. Such an entry does not change its database in between: the launcher alone frees
// entries that wait for a worker, and enter_database() takes only free ones and those without the extension.
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

// Starts a worker for a database. False: no process is free.
//
// The race is with keep_away(): a session may begin to keep workers away between who_waits() and here, or while the
// worker is on its way. So the entry is looked at again under the lock; and it says `starting` before the postmaster is
// asked, because the worker may attach before RegisterDynamicBackgroundWorker() has returned, and because a session
// that keeps workers away waits for one that is on its way. Without a process the entry goes back to `wanted`, unless
// it has changed since, and sessions that wait for that worker are told.
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

// Wakes all workers, so that those that had their turn see that others wait, and leave. Without this a worker could
// sleep for jobs_ext.maintenance_interval, which may be an hour.
void wake_workers()
{
    shared::databases::Lock lock(LW_SHARED);
    for (const Database &database : shared::databases::all_databases())
        if (database.pid != 0)
            shared::wake_process(database.process);
}

// Starts what is to be started. Returns how many databases wait because no process is free. Their number is said before
// workers are woken: a worker that was woken looks at it (others_wait()).
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

// Ends workers that are in a piece for too long: a user's code that catches each cancel would keep its worker for ever,
// and with it a process that other databases need. The log is written after the lock was let go, from a copy, because
// ereport() may raise an error. The worker writes `at_work` without the lock, so the copy may be torn if it is not
// stuck after all: that concerns a line in the log.
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

// Milliseconds until the launcher is to look for workers that overstay. A worker may begin a piece just after the
// launcher looked, and does not tell it. So the launcher looks at least once in jobs_ext.longest_piece wherever a
// worker is: a piece that overstays is found late by no more than that. A worker that was told to end is looked at once
// a second, until it is gone or known not to end.
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

// Milliseconds until a database whose worker failed is due for another one. Ten at least, here and above, so that a
// time that lies in the past for any reason does not make the launcher spin.
long until_next_start()
{
    long wait = look_at_databases_ms;
    for (const Database &database : shared::databases::all_databases())
        if (OidIsValid(database.oid) && database.service == Service::failing && database.holders == 0)
            wait = std::min(wait, pg::milliseconds_until(database.retry_at));
    return std::max(wait, 10L);
}

// At the launcher's exit, however it comes: FATAL, SIGTERM and an error of the loop all pass proc_exit().
void left(int, Datum) { shared::launcher::launcher_ends(); }

// The launcher before this one died after it had registered these workers. The postmaster would have told that one of
// their end, so nobody would notice if they never came. Each is started once more; the generation makes the earlier one
// leave if it comes after all.
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

// The flag is taken before pg_database is read: a command that commits after the read sets it again, and sets the
// latch.
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
        if (sleep_on_latch(std::min(until_start, until_next_overstay()), "JobsLauncher"))
            read_at = pg::long_ago; // jobs_ext.exclude_databases may name others now
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
    // Without a database: the launcher must not be in the way of DROP DATABASE, whichever.
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
    SetConfigOption("application_name", "jobs_ext launcher", PGC_USERSET, PGC_S_OVERRIDE);
    shared::launcher::begin();
    shared::statistics::begin(); // on a standby from its promotion on
    take_over();
    run_launcher();
}
