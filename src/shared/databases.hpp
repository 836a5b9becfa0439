// What the processes know of each database: whether it has the extension, and the worker that serves it.
//
// The launcher, the workers and all sessions meet here. Who does what:
// - The launcher gives a database an entry, frees it when the database is gone, starts workers and ends those that
//   overstay.
// - A worker takes its entry over (attach()) and gives it up at its exit (leave_entry()), after an error or SIGTERM
//   too.
// - A session keeps workers away (keep_away()), says that the extension came or went, and tells the worker what is due.
//
// The identity of a worker is (entry, generation). The launcher counts the generation up for each start, and
// forget_database() for each change of its database; a worker that finds another number in its entry, or another worker
// at work, leaves. So a worker that was started long ago, by a launcher that died, for a database that is gone, does no
// harm.
//
// All fields but the atomic ones are written under the lock, and read under it where a decision depends on them. The
// exceptions: the worker writes `at_work` and reads `audit` without it, the launcher looks for candidates without it,
// and a session that wakes the worker reads `process`: at worst a process wakes for nothing.
//
// The atomic fields are what sessions tell the worker, and the worker sessions, at each commit: without a lock, because
// all sessions of a database would meet at it. A session finds its entry by mine(). That entry may become another
// database's between then and the write: that database's worker looks once too often, or sleeps a round too short.
#pragma once

#include "logic/counts.hpp"
#include "logic/parents.hpp"
#include "pg/time.hpp"
#include "shared/segment.hpp"

namespace shared {

// An entry takes about 1 kB of shared memory. Where there are more databases, the launcher says so once.
constexpr int max_databases = 256;

enum class Service : std::uint8_t {
    wanted,   // a worker is to be started: to serve it, or to find that the extension is not there
    starting, // asked for, not there yet
    working,
    absent,   // no extension: nothing to do until one is made
    failing,  // its worker failed: another one at `retry_at`
    unlisted, // a session keeps workers away from it; the launcher has not found that it may be served
};

// By Service; the last is shown to nobody.
constexpr const char *service_names[] = {"waiting for a worker", "starting", "working",
                                         "no extension",         "failing",  "not to be served"};
static_assert(std::size(service_names) == static_cast<std::size_t>(Service::unlisted) + 1);

// What a worker has done since the server started.
using Tally = logic::Sums<std::int64_t>;

// How far the audit is (worker/auditing.hpp), kept here so that the next worker goes on there.
struct AuditPlace {
    pg::Moment began;  // of the pass; unset: none has begun since the server started
    int part;          // the table that is walked (store::audit::part_count)
    BlockNumber block; // of that table, the next one
    double done;       // of the whole, from 0 to 1
};

// The last failure of a database, for the view.
struct Failure {
    TimestampTz at; // 0: none
    int sqlstate;
    char message[256];
};

// The job that a worker is working on, or one that an earlier worker did not end.
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
    int holders;           // so many sessions keep workers away
    bool to_leave;         // its worker is to leave: the database is not in the list any more
    int failures;          // in a row
    pg::Moment retry_at;
    TimestampTz shown_retry_at; // the same by the server's clock, for people
    pg::Moment came_at;         // when its worker attached
    TimestampTz started_at;     // the same, for people
    pg::Moment served_at;       // until when it was served: the longest not served has its turn first
    TimestampTz round_at;       // when the last round ended
    TimestampTz audited_at;     // when the last pass of the audit ended
    AuditPlace audit;
    char doing[64];
    // When the launcher told the worker to end, since a piece of its work did not end in time. Unset: it did not.
    pg::Moment told_to_end_at;
    bool ends_not; // the worker is still there, seconds after it was told: said once
    // Written by the worker alone, and without the lock, because it changes with each job. While the worker is stuck it
    // stands still; so the worker's own exit reads it right, and the launcher's line in the log as a rule.
    AtWork at_work;
    // The job that an earlier worker did not end. The next worker sets it aside before it does anything else with jobs.
    AtWork unfinished;
    Failure failure;
    Tally tally;
    ConditionVariable changed; // its worker came or left; for sessions in keep_away()

    // When the worker looks again, at the latest. A session that commits something that is due earlier lowers it and
    // wakes the worker. DT_NOEND while the worker finds out. logic/agenda.hpp says why nothing is lost.
    pg_atomic_uint64 planned;
    // The worker is to look at everything: after COMMIT PREPARED, a change of job types, an extension that came or
    // went, anything that nobody counted.
    pg_atomic_uint32 look_again;
    // Which blocked jobs the worker is to look at, since a child of theirs has left (logic/parents.hpp), and that there
    // is such news.
    pg_atomic_uint64 parents[logic::Parents::words];
    pg_atomic_uint32 parents_told;
    // How often a job began to wait for its children, and how often at the last look that found none waiting. While the
    // two are equal nobody waits, and a child that ends tells nobody. See tell_parents().
    pg_atomic_uint64 blocked, none_blocked;
    // The worker is counting the queue, so sessions note places (shared/own_counts.hpp). A hint: one that has not seen
    // it makes the count doubtful.
    pg_atomic_uint32 counting;
    pg_atomic_uint64 steps_of_count; // that have begun
    // Jobs came or became due: the worker is to send NOTIFY jobs. Set while jobs_ext.notify is on.
    pg_atomic_uint32 to_notify;
    // The worker has found the extension and wakes sleepers. Else sleepers look by themselves, once a second.
    pg_atomic_uint32 serving;
    // When the piece that its worker is in will have lasted too long: microseconds of a pg::Moment; 0: it is in no
    // piece.
    pg_atomic_uint64 overstays_at;
    // Calls of sessions of this database that were asked to wait, since the server started: those that did not wait,
    // since that would have been wrong (call/wait_loop.cpp), and those that looked again and again, since
    // jobs_ext.max_waiters had all places taken.
    pg_atomic_uint64 waits_refused;
    pg_atomic_uint64 waits_polled;
};

namespace databases {

// To be called from _PG_init while libraries are preloaded.
void request_databases();

// All entries, the free ones too; no entry where nothing is shared. at() gives one by its number.
std::span<Database> all_databases();
Database &at(int entry);

// The lock of the entries: one for all, because it is taken when workers come and leave and not at a commit. Held for
// moments: nothing that may raise an error is called under it.
class Lock : public HeldLock {
public:
    explicit Lock(LWLockMode mode = LW_EXCLUSIVE);
};

// The entry of a database; a new one, unlisted, where there is none. Null: all entries are taken. A database without
// the extension loses its entry to one that needs it. To be called under the lock.
Database *enter_database(Oid oid);
// Frees an entry of which no worker and no session has hold; a worker that is on its way finds another generation and
// leaves. To be called under the lock.
void forget_database(Database &database);

// Notes that the worker of an entry failed: the next one comes after 1 s, then 2 s, twice as long after each failure in
// a row, 60 s at most. To be called under the lock.
void fail_database(Database &database);

// How the worker of this process leaves.
enum class Leaving : std::uint8_t {
    failed,
    no_extension,
    in_turn, // other databases wait for a process
};

// Makes this process the worker of an entry, as which it was started. Null: the start was superseded, or a session
// keeps workers away by now. From here on the end of the process is noted in the entry, however it comes: as a failure,
// unless will_leave() said before how it leaves.
Database *attach(int entry, std::uint32_t generation);
void will_leave(Leaving how);

// For the worker of an entry; in other processes these do nothing.
//
// A piece of work begins, which is to end within so many milliseconds. When they are over, the launcher ends the
// process: a user's code can catch a cancel again and again, but not that.
void piece_begins(int longest_ms);
// The piece goes on, and all is well: its time begins anew.
void piece_goes_on();
void piece_ends();
// The job that the worker works on from now on, and for which task (15 bytes of its name are kept). Null: no job.
void works_on(const char *task, const pg_uuid_t *job);
// The job that an earlier worker did not end; an empty task: none. It is forgotten once it is set aside; a crash of the
// server forgets it too.
AtWork unfinished();
void forget_unfinished();

// For the launcher. Whether the worker is in a piece for too long: a hint, read without the lock, so that nothing is
// locked where all is well.
bool overstays(Database &database);
// Sends the worker SIGTERM if it overstays, and notes that it was told. To be called under the lock: a worker gives up
// its entry under it before its process ends, so the pid is not of another process.
enum class Overstay : std::uint8_t {
    no,
    told,    // now
    ends_not // it was told seconds ago and is still there; returned once
};
Overstay end_if_overstaying(Database &database);

// The entry of this session's database. Null: it has none, or nothing is shared. Without a lock, for each commit.
Database *mine();

// Lowers `planned` to that time. False: it was not later, so the worker looks early enough and need not be woken.
bool lower_plan(Database &database, TimestampTz instant);
// Something in this database is due at that time: lowers the worker's plan, and wakes it where that was later. To be
// called after it was made visible. For callbacks at the end of a transaction: raises nothing, nor do the next two.
void tell_due(TimestampTz instant);
// Has the worker, if there is one, look at all that is due.
void ask_for_a_look();
// Children of these jobs have left, and where `any_blocked`, jobs among them have begun to wait: has the worker look at
// them. For callbacks at the end of a transaction, likewise.
//
// The race: job P begins to wait, and its last child ends. P's session makes P visible, counts `blocked` up, and tells
// of P. The child's session makes the end visible, and then reads `blocked` (a full barrier between). If it finds that
// nobody waits, P's session has not told yet: the worker that P's session wakes sees the end. The worker reads
// `blocked` before it takes the snapshot by which it says that none waits (none_is_blocked()): a job that was counted
// by then is one that the snapshot shows.
void tell_parents(const logic::Parents &parents, bool any_blocked);
// For the worker: takes what was told. Visible to each snapshot that is taken after it.
void take_parents(logic::Parents &parents);
bool are_parents_told();
// For the worker, as above. Where jobs wait that nobody has counted (COMMIT PREPARED, a start of the server), they are
// counted by some_are_blocked(): before the worker looks, where it knows that there may be some, and else when it has
// found them.
std::uint64_t blocked_so_far();
void none_is_blocked(std::uint64_t so_far);
void some_are_blocked();

// Whether the worker of this database counts the queue; for the worker, that it does, or has done so.
bool is_queue_counted();
void say_counting(bool counting);
// How many steps counts of the queue of this database have begun so far; for the worker, that one begins.
std::uint64_t steps_of_count();
void note_step_of_count();

// Has the worker send NOTIFY jobs; wakes it unless an earlier call has and it has not been sent yet.
void notify();

// Whether a worker is at work here and wakes sleepers. A hint: a worker that leaves wakes all sleepers, so they ask
// again.
bool served();

// Count a call of this session, for the view.
void count_refused_wait();
void count_polled_wait();

// The extension came or went in this database, or is another version. To be called after the commit; raises nothing.
void extension_changed();
// Whether a worker has found that the extension is not in this database.
bool has_no_extension();

// Keeps workers away from a database until the end of this transaction, or until the subtransaction is rolled back, and
// waits until none is there. For commands that Postgres refuses while anybody is connected. The wait ends with a
// cancel, which ends what began here as well. Where there is no entry left, workers are not kept away: none serves that
// database.
void keep_away(Oid database);
// Ends what began at this level of the transaction (GetCurrentTransactionNestLevel()) or below; 0: all. So a command
// that is refused in a savepoint keeps workers away no longer than that, however long the transaction stays open.
void let_come(int level);
// Hands what began below this level up to it: a subtransaction has committed, and the command's effect ends with its
// parent.
void keep_away_above(int level);

} // namespace databases

} // namespace shared
