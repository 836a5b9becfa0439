#include "shared/databases.hpp"

#include <algorithm>
#include <utility>

#include "shared/launcher.hpp"
#include "shared/process.hpp"
#include "shared/sleepers.hpp"

namespace shared::databases {

namespace {

struct Area {
    // Another number after each change of which database has which entry.
    pg_atomic_uint32 entries;
    Database list[max_databases];
};

void initialise(Database &database)
{
    database.process = no_process;
    ConditionVariableInit(&database.changed);
    pg_atomic_init_u64(&database.planned, 0);
    pg_atomic_init_u32(&database.look_again, 0);
    pg_atomic_init_u32(&database.to_notify, 0);
    pg_atomic_init_u32(&database.serving, 0);
    pg_atomic_init_u64(&database.overstays_at, 0);
    pg_atomic_init_u64(&database.waits_refused, 0);
    pg_atomic_init_u64(&database.waits_polled, 0);
}

void initialise_databases(void *memory)
{
    auto &databases = *static_cast<Area *>(memory);
    pg_atomic_init_u32(&databases.entries, 1);
    for (Database &database : databases.list)
        initialise(database);
}

constinit Segment<Area> area(
    {.name = "JobsDatabases", .locks = 1, .size = [] { return sizeof(Area); }, .initialise = initialise_databases});

bool keeping_away = false;
// By entry: at which level of the transaction this session began to keep workers away; 0: it does not.
int kept[max_databases];

Database *attached = nullptr;
Leaving leaving = Leaving::failed;

Database *find_entry(Oid oid)
{
    for (Database &database : area->list)
        if (database.oid == oid)
            return &database;
    return nullptr;
}

// Also one that is on its way: it will find that it is not wanted.
bool has_worker(const Database &database) { return database.pid != 0 || database.service == Service::starting; }

// The worker is asked to end, or there is none. Called again until there is none: it may have been on its way.
bool dismiss_worker(Oid oid)
{
    Lock lock;
    Database *database = find_entry(oid);
    if (database == nullptr || !has_worker(*database))
        return true;
    if (database->pid != 0)
        kill(database->pid, SIGTERM);
    return false;
}

constexpr int healthy_after_ms = 60000; // what failed before that many does not count any more
constexpr int longest_pause_s = 60;
constexpr int longest_way_out_ms = 5000; // of a process that was told to end

void leave_locked(Database &database)
{
    if (database.told_to_end_at.is_set() && database.at_work.task[0] != '\0')
        database.unfinished = database.at_work;
    database.at_work = {};
    pg_atomic_write_u64(&database.overstays_at, 0);
    database.pid = 0;
    database.process = no_process;
    pg_atomic_write_u32(&database.serving, 0);
    database.served_at = pg::moment();
    database.doing[0] = '\0';
    if (database.holders != 0 || database.to_leave || leaving == Leaving::in_turn)
        database.service = Service::wanted;
    else if (leaving == Leaving::no_extension) // unless one was made since it looked
        database.service = pg_atomic_read_u32(&database.look_again) != 0 ? Service::wanted : Service::absent;
    else
        fail_database(database);
    database.to_leave = false;
    database.told_to_end_at = pg::unset;
    database.ends_not = false;
    ConditionVariableBroadcast(&database.changed);
}

// Also after SIGTERM and FATAL. Registered before the process connects, so that it runs late; those who wait for the
// database to be free of sessions wait a moment themselves.
void leave_entry(int, Datum)
{
    const Oid oid = attached->oid;
    {
        Lock lock;
        leave_locked(*attached);
    }
    sleepers::wake_all_sleepers(oid); // they have to look by themselves from now on
    launcher::note_databases_changed();
}

} // namespace

void request_databases() { area.request(); }

std::span<Database> all_databases() { return area ? std::span<Database>(area->list) : std::span<Database>(); }

Database &at(int entry) { return area->list[entry]; }

Lock::Lock(LWLockMode mode) : HeldLock(area.lock(), mode) {}

Database *attach(int entry, std::uint32_t generation)
{
    Database &database = area->list[entry];
    {
        Lock lock;
        if (database.generation != generation || database.pid != 0)
            return nullptr;
        if (database.holders != 0 || database.to_leave || !OidIsValid(database.oid)) {
            database.service = Service::wanted;
            ConditionVariableBroadcast(&database.changed);
            return nullptr;
        }
        database.service = Service::working;
        database.pid = MyProcPid;
        database.process = pg::my_process_number();
        database.came_at = pg::moment();
        database.started_at = GetCurrentTimestamp();
        pg_atomic_write_u64(&database.planned, static_cast<uint64>(DT_NOEND));
        attached = &database;
    }
    before_shmem_exit(leave_entry, Datum{0});
    return &database;
}

void will_leave(Leaving how) { leaving = how; }

namespace {

int longest_piece_ms = 0;

} // namespace

void piece_begins(int longest_ms)
{
    longest_piece_ms = longest_ms;
    piece_goes_on();
}

void piece_goes_on()
{
    if (attached != nullptr)
        pg_atomic_write_u64(&attached->overstays_at,
                            static_cast<uint64>(pg::in_milliseconds(longest_piece_ms).microseconds));
}

void piece_ends()
{
    if (attached == nullptr)
        return;
    pg_atomic_write_u64(&attached->overstays_at, 0);
    works_on("", nullptr);
}

void works_on(const char *task, const pg_uuid_t *job)
{
    if (attached == nullptr)
        return;
    AtWork &at_work = attached->at_work;
    if (job != nullptr)
        at_work.job = *job;
    strlcpy(at_work.task, job != nullptr ? task : "", sizeof(at_work.task));
}

AtWork unfinished()
{
    if (attached == nullptr)
        return {};
    Lock lock(LW_SHARED);
    return attached->unfinished;
}

void forget_unfinished()
{
    Lock lock;
    attached->unfinished = {};
}

bool overstays(Database &database)
{
    const pg::Moment since = {static_cast<std::int64_t>(pg_atomic_read_u64(&database.overstays_at))};
    return since.is_set() && since <= pg::moment();
}

Overstay end_if_overstaying(Database &database)
{
    if (database.pid == 0 || !overstays(database))
        return Overstay::no;
    if (!database.told_to_end_at.is_set()) {
        database.told_to_end_at = pg::moment();
        database.failure = {GetCurrentTimestamp(), ERRCODE_QUERY_CANCELED,
                            "a piece of work did not end, and its process was told to end"};
        kill(database.pid, SIGTERM);
        return Overstay::told;
    }
    if (database.ends_not || !pg::is_over(database.told_to_end_at, longest_way_out_ms))
        return Overstay::no;
    database.ends_not = true;
    strlcpy(database.doing, "does not end, though it was told to", sizeof(database.doing));
    return Overstay::ends_not;
}

Database *enter_database(Oid oid)
{
    if (Database *known = find_entry(oid))
        return known;
    // One without the extension makes room, and is looked at again when there is some.
    Database *free = nullptr;
    for (Database &database : area->list) {
        if (database.holders != 0 || database.pid != 0)
            continue;
        if (!OidIsValid(database.oid)) {
            free = &database;
            break;
        }
        if (database.service == Service::absent && free == nullptr)
            free = &database;
    }
    if (free == nullptr)
        return nullptr;
    forget_database(*free);
    free->oid = oid;
    free->service = Service::unlisted;
    pg_atomic_fetch_add_u32(&area->entries, 1); // once more: sessions look for theirs when it changes
    return free;
}

void forget_database(Database &database)
{
    database.oid = InvalidOid;
    database.service = Service::wanted;
    ++database.generation;
    database.failures = 0;
    database.retry_at = database.came_at = database.served_at = pg::unset;
    database.shown_retry_at = database.started_at = database.round_at = 0;
    database.failure = {};
    database.tally = {};
    database.at_work = database.unfinished = {};
    pg_atomic_write_u64(&database.waits_refused, 0);
    pg_atomic_write_u64(&database.waits_polled, 0);
    database.audited_at = 0;
    database.audit = {};
    database.to_leave = false;
    database.doing[0] = '\0';
    pg_atomic_fetch_add_u32(&area->entries, 1); // a full barrier: who sees the number sees the entry as it is now
}

void fail_database(Database &database)
{
    // However long it was there, one that did not end was not healthy.
    if (!database.told_to_end_at.is_set() && database.came_at.is_set() &&
        pg::is_over(database.came_at, healthy_after_ms))
        database.failures = 0;
    const int pause_ms = 1000 * std::min(longest_pause_s, 1 << std::min(database.failures, 6));
    ++database.failures;
    database.retry_at = pg::in_milliseconds(pause_ms);
    database.shown_retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
    database.service = Service::failing;
    ConditionVariableBroadcast(&database.changed);
}

Database *mine()
{
    static Database *known = nullptr;
    static std::uint32_t seen = 0;
    if (!area || !OidIsValid(MyDatabaseId))
        return nullptr;
    const std::uint32_t entries = pg_atomic_read_u32(&area->entries);
    if (entries != seen) {
        // The number is read before the entries, because who changes an entry counts up afterwards: a session that read
        // an entry as it was sees the number change once more. Without the barrier a processor may do it the other way
        // round.
        pg_read_barrier();
        known = find_entry(MyDatabaseId);
        seen = entries;
    }
    return known;
}

bool lower_plan(Database &database, TimestampTz instant)
{
    pg_memory_barrier(); // what was made visible comes before the look at what is planned
    auto planned = pg_atomic_read_u64(&database.planned);
    while (instant < static_cast<TimestampTz>(planned))
        if (pg_atomic_compare_exchange_u64(&database.planned, &planned, static_cast<uint64>(instant)))
            return true;
    return false;
}

void tell_due(TimestampTz instant)
{
    if (Database *database = mine(); database != nullptr && lower_plan(*database, instant))
        wake_process(database->process);
}

void ask_for_a_look()
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
    return database != nullptr && pg_atomic_read_u32(const_cast<pg_atomic_uint32 *>(&database->serving)) != 0;
}

void count_refused_wait()
{
    if (Database *database = mine())
        pg_atomic_fetch_add_u64(&database->waits_refused, 1);
}

void count_polled_wait()
{
    if (Database *database = mine())
        pg_atomic_fetch_add_u64(&database->waits_polled, 1);
}

void extension_changed()
{
    if (!area)
        return;
    {
        Lock lock;
        if (Database *database = find_entry(MyDatabaseId)) {
            if (database->service == Service::absent || database->service == Service::failing)
                database->service = Service::wanted;
            pg_atomic_write_u32(&database->look_again, 1);
            wake_process(database->process);
        }
    }
    launcher::note_databases_changed();
}

bool has_no_extension()
{
    const Database *database = mine();
    return database != nullptr && database->service == Service::absent;
}

void keep_away(Oid oid)
{
    if (!area)
        return;
    Database *database;
    {
        Lock lock;
        // Also of one that the launcher has not met yet.
        database = enter_database(oid);
        if (database == nullptr)
            return;
        keeping_away = true;
        // Several sessions may: two that copy the same database.
        if (int &level = kept[database - area->list]; level == 0) {
            level = GetCurrentTransactionNestLevel();
            ++database->holders;
        }
    }
    ConditionVariablePrepareToSleep(&database->changed);
    while (!dismiss_worker(oid))
        ConditionVariableTimedSleep(&database->changed, 100, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
}

void let_come(int level)
{
    if (!keeping_away)
        return;
    keeping_away = false;
    {
        Lock lock;
        for (int i = 0; i < max_databases; ++i) {
            if (kept[i] >= level && kept[i] != 0) {
                kept[i] = 0;
                --area->list[i].holders;
            }
            keeping_away = keeping_away || kept[i] != 0;
        }
    }
    launcher::note_databases_changed();
}

void keep_away_above(int level)
{
    if (keeping_away)
        for (int &kept_at : kept)
            kept_at = std::min(kept_at, level);
}

} // namespace shared::databases
