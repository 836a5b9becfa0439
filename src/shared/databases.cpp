#include "shared/databases.hpp"

#include <algorithm>
#include <utility>

#include "shared/launcher.hpp"
#include "shared/process.hpp"
#include "shared/sleepers.hpp"

namespace shared::databases {

namespace {

struct Area {
    // Counted up after each change of which database has which entry, so that mine() need not search at each commit.
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
    for (pg_atomic_uint64 &word : database.parents)
        pg_atomic_init_u64(&word, 0);
    pg_atomic_init_u32(&database.parents_told, 0);
    // Unequal: until a worker has looked, jobs may wait.
    pg_atomic_init_u64(&database.blocked, 1);
    pg_atomic_init_u64(&database.none_blocked, 0);
    pg_atomic_init_u32(&database.counting, 0);
    pg_atomic_init_u64(&database.steps_of_count, 0);
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

bool keeping_away = false; // whether `kept` has anything
// By entry: the level of the (sub)transaction in which this session began to keep workers away; 0: it does not.
int kept[max_databases];

// In a worker: its entry, and what leave_entry() is to take its end for. A worker that says nothing has failed.
Database *attached = nullptr;
Leaving leaving = Leaving::failed;

// A walk over all entries: under the lock, or by mine(), which knows how far to trust it.
Database *find_entry(Oid oid)
{
    for (Database &database : area->list)
        if (database.oid == oid)
            return &database;
    return nullptr;
}

// Whether a worker is there or on its way. One on its way may connect before it looks whether it is wanted, so it
// counts.
bool has_worker(const Database &database) { return database.pid != 0 || database.service == Service::starting; }

// Sends the worker SIGTERM. True: there is none. Called again and again until there is none, because a worker that was
// on its way attaches only after the first call. The entry is looked for each time, since it may be freed meanwhile.
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

// A worker that was there for so long was healthy: earlier failures do not count any more.
constexpr int healthy_after_ms = 60000;
constexpr int longest_pause_s = 60;
// How long a process that was told to end may take, for the abort of its transaction, until that is on record.
constexpr int longest_way_out_ms = 5000;

// Gives up the entry: says what becomes of it, and wakes sessions in keep_away(). A worker that was told to end in the
// middle of a job leaves that job for its successor to set aside; where it ends for another reason (DROP DATABASE,
// pg_terminate_backend(), an error), the job is not at fault.
//
// A worker that was sent away is wanted again as soon as nobody keeps it away. One that found no extension is not,
// unless a session has made one since the worker looked: that session found the worker at work, and did not make the
// entry `wanted`.
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
    else if (leaving == Leaving::no_extension)
        database.service = pg_atomic_read_u32(&database.look_again) != 0 ? Service::wanted : Service::absent;
    else
        fail_database(database);
    database.to_leave = false;
    database.told_to_end_at = pg::unset;
    database.ends_not = false;
    ConditionVariableBroadcast(&database.changed);
}

// The worker's exit callback: also after SIGTERM, FATAL and errors, not after SIGKILL or a crash, which empty shared
// memory. Registered before the process connects, so it runs after ShutdownPostgres() has rolled back the transaction
// (the callbacks of before_shmem_exit() run last in, first out). The process is still in the list of processes then; a
// session that waits in keep_away() goes on to CountOtherDBBackends(), which waits up to five seconds for that.
void leave_entry(int, Datum)
{
    const Oid oid = attached->oid;
    {
        Lock lock;
        leave_locked(*attached);
    }
    sleepers::wake_all_sleepers(oid); // they have to look by themselves until the next worker serves
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
        // The launcher has started another worker since, or the entry is another database's: this one touches nothing.
        if (database.generation != generation || database.pid != 0)
            return nullptr;
        // A session keeps workers away since this one was started, and may be waiting for it to be gone.
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
        // Overwrites what sessions told when no worker was there. Nothing is lost: what they told of was visible
        // before, and the first round, which comes after this, looks at everything.
        pg_atomic_write_u64(&database.planned, static_cast<uint64>(DT_NOEND));
        attached = &database;
    }
    // No interrupt is looked at since the entry was taken, so no end of the process goes unnoted.
    before_shmem_exit(leave_entry, Datum{0});
    return &database;
}

void will_leave(Leaving how) { leaving = how; }

namespace {

int longest_piece_ms = 0; // of the piece that this process is in

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
    // Last, since the task says whether there is a job.
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
    // SIGTERM once. A second one would change nothing: `die` has set its flags, which stay set.
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
    // A database without the extension makes room, and is given an entry again when the launcher reads the list and
    // there is one. Entries that a worker, a session or the launcher may have hold of (wanted, starting, failing) are
    // never taken.
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
    // It counts the number up as well; here that is not enough, because the new owner is written only after it.
    forget_database(*free);
    free->oid = oid;
    free->service = Service::unlisted;
    pg_atomic_fetch_add_u32(&area->entries, 1);
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
    pg_atomic_fetch_add_u64(&database.blocked, 1); // the next database's jobs may wait
    pg_atomic_write_u32(&database.counting, 0);
    database.audited_at = 0;
    database.audit = {};
    database.to_leave = false;
    database.doing[0] = '\0';
    // A full barrier: a session that reads the new number reads the entry as it is now.
    pg_atomic_fetch_add_u32(&area->entries, 1);
}

void fail_database(Database &database)
{
    // A worker that had to be told to end was not healthy, however long it was there.
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
        // The number is read before the entries, because a process that changes an entry counts up afterwards: a
        // session that read an entry as it was before sees the number change once more. Without the barrier a processor
        // may read them the other way round.
        pg_read_barrier();
        known = find_entry(MyDatabaseId);
        seen = entries;
    }
    return known;
}

bool lower_plan(Database &database, TimestampTz instant)
{
    // Pairs with the exchange in the worker's take_plan(), a full barrier before the worker's snapshot: the session
    // sees the plan that the worker left, or the worker's snapshot sees what the session made visible.
    pg_memory_barrier(); // the rows are visible before the look at the plan
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

// The flag before the latch, as the worker takes the flag after it reset its latch.
void ask_for_a_look()
{
    Database *database = mine();
    if (database == nullptr)
        return;
    pg_atomic_write_u32(&database->look_again, 1);
    wake_process(database->process);
}

void tell_parents(const logic::Parents &parents, bool any_blocked)
{
    Database *database = mine();
    if (database == nullptr)
        return;
    if (any_blocked)
        pg_atomic_fetch_add_u64(&database->blocked, 1);
    pg_memory_barrier(); // the rows are visible before the look whether anybody waits
    if (pg_atomic_read_u64(&database->blocked) == pg_atomic_read_u64(&database->none_blocked))
        return;
    for (std::size_t i = 0; i < logic::Parents::words; ++i)
        if (parents.word(i) != 0)
            pg_atomic_fetch_or_u64(&database->parents[i], parents.word(i));
    if (pg_atomic_exchange_u32(&database->parents_told, 1) == 0)
        wake_process(database->process);
}

// The flag before the words, since a session sets it after them.
void take_parents(logic::Parents &parents)
{
    if (attached == nullptr || pg_atomic_exchange_u32(&attached->parents_told, 0) == 0)
        return;
    for (std::size_t i = 0; i < logic::Parents::words; ++i)
        parents.add_word(i, pg_atomic_exchange_u64(&attached->parents[i], 0));
}

bool are_parents_told() { return attached != nullptr && pg_atomic_read_u32(&attached->parents_told) != 0; }

std::uint64_t blocked_so_far() { return attached != nullptr ? pg_atomic_read_u64(&attached->blocked) : 0; }

void none_is_blocked(std::uint64_t so_far)
{
    if (attached != nullptr)
        pg_atomic_write_u64(&attached->none_blocked, so_far);
}

void some_are_blocked()
{
    if (attached != nullptr && pg_atomic_read_u64(&attached->blocked) == pg_atomic_read_u64(&attached->none_blocked))
        pg_atomic_fetch_add_u64(&attached->blocked, 1);
}

bool is_queue_counted()
{
    Database *database = mine();
    return database != nullptr && pg_atomic_read_u32(&database->counting) != 0;
}

void say_counting(bool counting)
{
    if (attached != nullptr)
        pg_atomic_write_u32(&attached->counting, counting ? 1 : 0);
}

std::uint64_t steps_of_count()
{
    Database *database = mine();
    return database != nullptr ? pg_atomic_read_u64(&database->steps_of_count) : 0;
}

void note_step_of_count()
{
    if (attached != nullptr)
        pg_atomic_fetch_add_u64(&attached->steps_of_count, 1);
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
            // A worker at work gets the flag and stays: it looks, and leaves if there is nothing. A worker that is
            // leaving for want of the extension looks at the flag under this lock (leave_locked()). So a CREATE
            // EXTENSION that commits at any moment of that finds either the entry `absent` or a worker that sees the
            // flag.
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
        // Also of a database that the launcher has not met yet: it would start a worker when it reads the list.
        database = enter_database(oid);
        if (database == nullptr)
            return;
        keeping_away = true;
        // Several sessions may keep workers away from one database: two that copy it. Each counts once, however often
        // it asks.
        if (int &level = kept[database - area->list]; level == 0) {
            level = GetCurrentTransactionNestLevel();
            ++database->holders;
        }
    }
    // Ready to be woken before the first look, so that a worker that leaves in between is not missed. The timeout is
    // for a worker that was on its way when it was looked for, and is sent SIGTERM by the next look. An error or a
    // cancel in here ends in AbortTransaction() or AbortSubTransaction(), which call ConditionVariableCancelSleep(),
    // and let_come() at the end of that (at_commit.cpp).
    ConditionVariablePrepareToSleep(&database->changed);
    while (!dismiss_worker(oid))
        ConditionVariableTimedSleep(&database->changed, 100, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
}

// COMMIT, ROLLBACK and PREPARE: level 0, all of it. ROLLBACK TO SAVEPOINT: what began in there. By entries, not by
// databases: an entry with a holder is not freed, so it is still the one that was counted.
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

// RELEASE SAVEPOINT. Nothing is to be told: workers stay away until the parent ends.
void keep_away_above(int level)
{
    if (keeping_away)
        for (int &kept_at : kept)
            kept_at = std::min(kept_at, level);
}

} // namespace shared::databases
