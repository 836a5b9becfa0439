#include "shared/databases.hpp"

#include "shared/board.hpp"

namespace shared::databases {

namespace {

bool keeping_away = false;

Database *find(Oid oid)
{
    for (Database &database : board()->databases)
        if (database.oid == oid)
            return &database;
    return nullptr;
}

// Also one that is on its way: it will find that it is not wanted.
bool has_worker(const Database &database)
{
    return database.pid != 0 || database.service == Service::starting;
}

// The worker is asked to end, or there is none. Called again until there is none: it may have been on its way.
bool dismiss(Oid oid)
{
    BoardLock lock(Lock::databases);
    Database *database = find(oid);
    if (database == nullptr || !has_worker(*database))
        return true;
    if (database->pid != 0)
        kill(database->pid, SIGTERM);
    return false;
}

} // namespace

void initialise(Database &database)
{
    database.process = no_process;
    ConditionVariableInit(&database.changed);
    pg_atomic_init_u64(&database.planned, 0);
    pg_atomic_init_u32(&database.look_again, 0);
    pg_atomic_init_u32(&database.to_notify, 0);
}

Database *mine()
{
    // The place of an entry does not change while the database lives; that of another one may be given to it.
    static Database *known = nullptr;
    if (board() == nullptr)
        return nullptr;
    if (known == nullptr || known->oid != MyDatabaseId)
        known = find(MyDatabaseId);
    return known;
}

void due(TimestampTz instant)
{
    Database *database = mine();
    if (database == nullptr)
        return;
    pg_memory_barrier(); // what was made visible comes before the look at what is planned
    auto planned = pg_atomic_read_u64(&database->planned);
    while (instant < static_cast<TimestampTz>(planned))
        if (pg_atomic_compare_exchange_u64(&database->planned, &planned, static_cast<uint64>(instant))) {
            wake_process(database->process);
            return;
        }
}

void look_again()
{
    Database *database = mine();
    if (database == nullptr)
        return;
    pg_atomic_write_u32(&database->look_again, 1);
    wake_process(database->process);
}

void notify()
{
    Database *database = mine();
    if (database != nullptr && pg_atomic_exchange_u32(&database->to_notify, 1) == 0)
        wake_process(database->process);
}

bool served()
{
    const Database *database = mine();
    return database != nullptr && database->pid != 0;
}

void extension_changed()
{
    Board *shared = board();
    if (shared == nullptr)
        return;
    {
        BoardLock lock(Lock::databases);
        if (Database *database = find(MyDatabaseId)) {
            if (database->service == Service::absent || database->service == Service::failing)
                database->service = Service::wanted;
            pg_atomic_write_u32(&database->look_again, 1);
            wake_process(database->process);
        }
    }
    note_databases_changed();
}

void keep_away(Oid oid)
{
    if (board() == nullptr)
        return;
    Database *database;
    {
        BoardLock lock(Lock::databases);
        database = find(oid);
        if (database == nullptr)
            return;
        database->held_by = MyProcPid;
        keeping_away = true;
    }
    ConditionVariablePrepareToSleep(&database->changed);
    while (!dismiss(oid))
        ConditionVariableTimedSleep(&database->changed, 100, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
}

void let_come()
{
    if (!keeping_away)
        return;
    keeping_away = false;
    {
        BoardLock lock(Lock::databases);
        for (Database &database : board()->databases)
            if (database.held_by == MyProcPid)
                database.held_by = 0;
    }
    note_databases_changed();
}

} // namespace shared::databases
