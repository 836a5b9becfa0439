// What the processes know of each database: whether it has the extension, and the worker that serves it.
//
// The identity of a worker is (entry, generation): whoever starts one counts the generation up, and a worker that finds
// another number in its entry, or another one at work, leaves. All fields but the atomic ones are written under the
// lock.
#pragma once

#include "logic/counts.hpp"
#include "pg/time.hpp"
#include "shared/segment.hpp"

namespace shared {

constexpr int max_databases = 256;

enum class Service : std::uint8_t {
    wanted,   // a worker is to be started: to serve it, or to find that the extension is not there
    starting, // asked for, not there yet
    working,
    absent,   // no extension: nothing to do until one is made
    failing,  // its worker failed: another one at `retry_at`
    unlisted, // known to who keeps its worker away; the launcher has not found that it may be served
};

// By Service; the last is shown to nobody.
constexpr const char *service_names[] = {"waiting for a worker", "starting", "working",
                                         "no extension",         "failing",  "not to be served"};
static_assert(std::size(service_names) == static_cast<std::size_t>(Service::unlisted) + 1);

// What a worker has done since the server started.
using Tally = logic::Sums<std::int64_t>;

// How far the audit is (worker/auditing.hpp).
struct AuditPlace {
    pg::Moment began; // the pass; unset: none did yet
    int part;         // of what it walks
    BlockNumber block;
    double done; // of the whole, from 0 to 1
};

struct Failure {
    TimestampTz at; // 0: none
    int sqlstate;
    char message[256];
};

// A job that a worker is working on, or did not end.
struct AtWork {
    char task[16]; // empty: none
    pg_uuid_t job;
};

struct Database {
    Oid oid; // InvalidOid: a free entry
    Service service;
    std::uint32_t generation;
    int pid;               // of the worker at work; 0: none
    std::uint32_t process; // its number
    int holders;           // sessions that keep workers away
    bool to_leave;         // its worker is to leave
    int failures;          // in a row
    pg::Moment retry_at;
    TimestampTz shown_retry_at; // the same by the server's clock, for people
    pg::Moment came_at;         // its worker did
    TimestampTz started_at;     // the same, for people
    pg::Moment served_at;       // until when it was served
    TimestampTz round_at;       // when the last round ended
    TimestampTz audited_at;     // when the last pass of the audit ended
    AuditPlace audit;
    char doing[64];
    // Its worker is in a piece of work that did not end in time: the launcher has told it to end, at that time. Unset:
    // it is not.
    pg::Moment told_to_end_at;
    bool ends_not; // though it was told
    // Written by the worker alone, without the lock: while that is stuck, it stands still. For its exit, and for
    // people.
    AtWork at_work;
    // What an earlier worker did not end. This one sets it aside before it does anything else with jobs.
    AtWork unfinished;
    Failure failure;
    Tally tally;
    ConditionVariable changed; // its worker came or left

    // When the worker looks again, at the latest. A session that commits something that is due earlier lowers it and
    // wakes the worker. DT_NOEND while the worker finds out. logic/agenda.hpp says why nothing is lost.
    pg_atomic_uint64 planned;
    // Everything that is due is to be looked at: prepared transactions, job types, anything that nobody counted.
    pg_atomic_uint32 look_again;
    // Jobs came of which those who LISTEN are to hear.
    pg_atomic_uint32 to_notify;
    // Its worker has found all that it needs.
    pg_atomic_uint32 serving;
    // When the piece that its worker is in has lasted too long, a pg::Moment; 0: it is in none.
    pg_atomic_uint64 overstays_at;
    // Calls of sessions here that were to wait, since the server started: those that did not, since waiting would have
    // been wrong, and those that looked again and again, since as many as may were asleep already.
    pg_atomic_uint64 waits_refused;
    pg_atomic_uint64 waits_polled;
};

namespace databases {

// To be called from _PG_init while libraries are preloaded.
void request_databases();

// All entries, the free ones too; none where nothing is shared.
std::span<Database> all_databases();
Database &at(int entry);

// Of the entries. Held for moments: nothing that may raise an error is called under it.
class Lock : public HeldLock {
public:
    explicit Lock(LWLockMode mode = LW_EXCLUSIVE);
};

// To be called under the lock. The entry of a database, made where there is none, unlisted; null: all are taken.
Database *enter_database(Oid oid);
// The entry is free, and a worker that is on its way finds it so. Under the lock as well.
void forget_database(Database &database);

// The worker of an entry failed: another one comes, later after each failure. To be called under the lock.
void fail_database(Database &database);

// How the worker of this process leaves.
enum class Leaving : std::uint8_t {
    failed,
    no_extension,
    in_turn, // others wait for a process
};

// This process is the worker of an entry from now on. Null: it is not wanted any more. Its end, however it comes, is
// noted.
Database *attach(int entry, std::uint32_t generation);
void will_leave(Leaving how);

// For the worker of an entry; in other processes these do nothing.
//
// A piece of work begins, which is to end within so many milliseconds. A process that is still in it when they are over
// is told to end by the launcher: code of a user's can catch a cancel again and again, but not that.
void piece_begins(int longest_ms);
// It goes on, and all is well: its time begins anew.
void piece_goes_on();
void piece_ends();
// The job that it works on from now on. Null: none.
void works_on(const char *task, const pg_uuid_t *job);
// What an earlier worker did not end; an empty task: nothing.
AtWork unfinished();
void forget_unfinished();

// For the launcher. Whether the worker is in a piece for too long: a hint, read without the lock.
bool overstays(Database &database);
// Tells a worker to end if it overstays, and notes that it was told. Under the lock: a worker gives up its
// entry under it before it ends, so the pid is not of another process.
enum class Overstay : std::uint8_t {
    no,
    told,    // now
    ends_not // it was told seconds ago and is still there; returned once
};
Overstay end_if_overstaying(Database &database);

// The entry of this session's database, or null.
Database *mine();

// Lowers `planned` to that time; false: it was not later.
bool lower_plan(Database &database, TimestampTz instant);
// Something in this database is due at that time. For callbacks at the end of a transaction: nothing here fails.
void tell_due(TimestampTz instant);
// Its worker, if it has one, is to look at all that is due.
void ask_for_a_look();
void notify();

// Whether a worker is at work here: it wakes who sleeps.
bool served();

// Counts a call of this session.
void count_refused_wait();
void count_polled_wait();

// The extension came or went in this database, or is another one.
void extension_changed();
// Whether it is known not to be here.
bool has_no_extension();

// Keeps workers away from a database until the end of this transaction, or until the subtransaction is rolled back, and
// waits until none is there. For commands that fail while anybody is connected.
void keep_away(Oid database);
// Ends what began at this level of the transaction or below: a command that is refused in a savepoint keeps nobody away
// any longer, however long the transaction stays open.
void let_come(int level);
// What began below this level belongs to it from now on: a subtransaction has committed.
void keep_away_above(int level);

} // namespace databases

} // namespace shared
