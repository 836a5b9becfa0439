// The worker: the process that serves one database. It wakes sleepers when jobs become due, reaps leases, expires,
// archives and audits.
//
// What it does when, and for how long it sleeps, is decided in logic/agenda.hpp, which also draws what sessions and the
// worker tell each other; this file does what the agenda names. Each piece is small and has a transaction of its own,
// so that nobody waits long for the worker's locks, or to be woken.
//
// Sessions tell the worker by atomic fields of its entry (shared/databases.hpp): `planned`, `look_again`, `to_notify`.
// No news is lost, because a session writes the field and then sets the worker's latch; the worker takes the field
// (exchanges it) at the beginning of a round or piece, and looks at it once more before it sleeps (until_next()):
// sleep() resets the latch after the sleep, and calls in between may have reset it on the way.
//
// What ends it, and what follows:
// - SIGTERM in a piece (DROP DATABASE, pg_terminate_backend(), the launcher): FATAL at the next CHECK_FOR_INTERRUPTS();
//   the transaction is rolled back, leave_entry() gives up the entry.
// - SIGTERM while it sleeps: the process ends without a line in the log.
// - an ERROR in a piece: in_transaction() catches it, the chore rests, the worker goes on. A cancel in a piece is an
//   ERROR.
// - an ERROR outside of a piece: Postgres ends the process; the launcher starts another one later.
// - a crash of the server: what was not flushed is undone and done again. Everything that a worker remembers is a hint.
#include <ctime>
#include <unistd.h>
#include <utility>

#include "logic/stall.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/databases.hpp"
#include "shared/launcher.hpp"
#include "shared/sleepers.hpp"
#include "shared/statistics.hpp"
#include "store/healing.hpp"
#include "store/lanes.hpp"
#include "store/owner.hpp"
#include "upkeep/next_due.hpp"
#include "upkeep/piece.hpp"
#include "worker/auditing.hpp"
#include "worker/chore.hpp"
#include "worker/loop.hpp"
#include "worker/presence.hpp"
#include "worker/statistics.hpp"
#include "worker/waking.hpp"

extern "C" PGDLLEXPORT void jobs_ext_worker_main(Datum);

namespace worker {

namespace {

using namespace logic::agenda;
using shared::Database;
using shared::databases::Leaving;
using upkeep::Count;
using upkeep::Counts;

// One job may take a sixth of a piece's time, 5 s of 30: a trigger that does not end costs its own job that long, and
// leaves the piece time for others.
constexpr int attempts_in_piece = 6;
// How long a worker stays when other databases wait for a process: long against the start of one.
constexpr long turn_ms = 1000;
// pgstat_report_stat() keeps what comes within a second of its last report (PGSTAT_MIN_INTERVAL). A worker that is
// going to sleep for longer reports it by force: else autovacuum would not see it until the worker wakes.
constexpr long keeps_statistics_ms = 1000;
// How often it looks at all jobs that wait for their children, and not only at those of which sessions tell.
constexpr long all_parents_ms = 60000;

// What the worker remembers of a task from piece to piece, beside the agenda.
struct TaskMemory {
    upkeep::Pace pace = {};
    logic::Stall stall = {};
    int due = 0; // so many jobs were due at the last look that succeeded
};

static_assert(task_count == upkeep::all_tasks.size());
std::size_t task_number_of(ChoreKind task) { return position_of(task) - position_of(ChoreKind::reap); }

// Both clocks at once. jobs_ext.now moves the first one only.
Now read_clocks() { return {settings::now(), pg::moment().microseconds, settings::clock_stands()}; }

// Milliseconds of processor time that this process has used.
double processor_ms()
{
    timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

class Worker {
public:
    explicit Worker(Database &database) : database_(database), report_(database) {}
    [[noreturn]] void run();

private:
    void round();
    void do_chore(const Action &action);
    void look_for_presence();
    void wake_for_due(const Action &action);
    void tell_listeners();
    void set_aside_unfinished_job(TimestampTz now);
    void do_task(ChoreKind kind, TimestampTz now);
    void choose_parents(upkeep::Pace &pace);
    void parents_looked_at(const upkeep::Pace &pace, std::uint64_t blocked, const Counts &counts);
    long rest_after(ChoreKind kind, const Counts &counts, double used, long took) const;
    void note_progress(ChoreKind kind, bool done, const Counts &counts);
    void look_ahead();
    void heal();
    void say_what_for();
    long until_next();
    [[noreturn]] void leave_process(Leaving why);
    Chore chore(ChoreKind kind) { return {agenda_, report_, kind}; }
    TimestampTz take_plan();

    Database &database_;
    Report report_;
    Agenda agenda_;
    TaskMemory tasks_[upkeep::all_tasks.size()];
    // After the agenda and the report, to which its chore refers.
    Auditing audit_{database_, chore(ChoreKind::audit)};
    Statistics statistics_{chore(ChoreKind::statistics)};
    Depths depths_{chore(ChoreKind::depths)};
    // The jobs of which children have left, and that are to be looked at; when it was all of them, last.
    logic::Parents parents_;
    pg::Moment all_parents_at_ = pg::long_ago;
    std::uint64_t types_seen_ = 0; // store::lanes::version_of_types_and_lanes() at the last whole look
    pg::Moment began_ = pg::moment();
    store::HealedUntil healed_;
};

// Takes what sessions have lowered the plan to. What a session told before this is visible to each snapshot that is
// taken after it. Sessions find DT_NOEND from now on, so one that brings something later lowers the plan anew and wakes
// the worker.
TimestampTz Worker::take_plan()
{
    return static_cast<TimestampTz>(pg_atomic_exchange_u64(&database_.planned, static_cast<uint64>(DT_NOEND)));
}

// Looks for the extension. Leaves if it is not there: the launcher starts a worker again when one is made. What could
// not be looked at, because a table is locked for example, stays as it was.
void Worker::look_for_presence()
{
    Presence presence = Presence::absent;
    if (!chore(ChoreKind::presence).run([&] { presence = look_for_extension(); }))
        return;
    agenda_.presence_seen(presence == Presence::ready);
    if (presence != Presence::ready)
        // Sleepers then look by themselves, once a second (call/wait_loop.cpp).
        pg_atomic_write_u32(&database_.serving, 0);
    switch (presence) {
    case Presence::absent:
        shared::statistics::forget_database(MyDatabaseId);
        leave_process(Leaving::no_extension);
    case Presence::other_version:
        report_.show_doing("waiting for ALTER EXTENSION jobs_ext UPDATE");
        break;
    case Presence::no_tables:
        report_.show_doing("waiting for jobs_ext.install() or jobs_ext.adopt()");
        break;
    case Presence::ready:
        break;
    }
}

// Wakes sleepers for jobs that became due since they were told last; in a whole round for all jobs that are due, which
// finds those that nobody told of, such as a job that a session skipped because its row was locked.
//
// Where this fails, sleepers have to look by themselves. The flag is cleared first and sleepers are woken after it, so
// each of them sees the flag when it goes to sleep again. Waiting for a locked table is no failure, because the chore
// comes again within a second.
void Worker::wake_for_due(const Action &action)
{
    Woken woken;
    std::uint64_t types = types_seen_;
    const TimestampTz told_until = agenda_.told_until();
    Chore waking = chore(ChoreKind::waking);
    const bool done = waking.run([&] {
        store::AsOwnerOfJobs owner;
        woken = wake_sleepers(action.whole ? DT_NOBEGIN : told_until, told_until, action.now);
        if (action.whole)
            types = store::lanes::version_of_types_and_lanes();
    });
    const bool serving = waking.turn().failures == 0;
    if (pg_atomic_exchange_u32(&database_.serving, serving) != 0 && !serving)
        shared::sleepers::wake_all_sleepers(MyDatabaseId);
    if (!done)
        return;
    // A sleeper names lanes of the types as they were when it armed its place. A session that changes a type wakes all
    // sleepers when it commits; but COMMIT PREPARED tells nothing except that the worker is to look, so the worker
    // wakes them.
    if (std::exchange(types_seen_, types) != types && action.whole)
        shared::sleepers::wake_all_sleepers(MyDatabaseId);
    agenda_.sleepers_woken(action.now, woken.next_due);
    report_.count_woken(woken.sleepers);
    if (woken.any_new)
        shared::databases::notify();
}

// Sends NOTIFY jobs, one for many jobs. The flag is cleared before, so that a session that commits meanwhile sets it
// again and is told of in the next one; where the transaction fails, it is set again.
void Worker::tell_listeners()
{
    if (pg_atomic_exchange_u32(&database_.to_notify, 0) == 0 || !settings::notify)
        return;
    if (chore(ChoreKind::notifying).run([] { Async_Notify("jobs", ""); }))
        report_.count_notified();
    else
        pg_atomic_write_u32(&database_.to_notify, 1);
}

// Sets the job aside at which an earlier worker did not end, before any task: this worker would not end there either.
// While that cannot be done, because somebody has locked the table for example, the tasks rest.
void Worker::set_aside_unfinished_job(TimestampTz now)
{
    const shared::AtWork unfinished = shared::databases::unfinished();
    if (unfinished.task[0] == '\0')
        return;
    bool noted = false;
    chore(ChoreKind::unfinished).run([&] {
        noted = upkeep::set_unfinished_aside(unfinished.task, &unfinished.job, now);
    });
    if (noted)
        shared::databases::forget_unfinished();
    else
        agenda_.unfinished_stays(pg::moment().microseconds);
}

// Notes whether due work was done, and puts it on record when nothing was for jobs_ext.stalled_after, for whatever
// reason: jobs that are locked are no failure and would be seen nowhere else.
void Worker::note_progress(ChoreKind kind, bool done, const Counts &counts)
{
    using Look = logic::Stall::Look;
    TaskMemory &task = tasks_[task_number_of(kind)];
    if (done)
        task.due = counts[Count::due];
    // For months, `due` and `left` count partitions that are kept or lacking. None of them waits for anything.
    const int undone = kind == ChoreKind::months ? 0 : counts[Count::due] + counts[Count::left];
    const bool stands = !done || (!counts.any() && undone > 0);
    const Look look = stands ? Look::none_done : counts.any() ? Look::some_done : Look::nothing_due;
    const std::int64_t now = pg::moment().microseconds;
    if (task.stall.note(look, now, settings::stalled_after * millisecond))
        report_.stalled(chore(kind).doing(), (now - task.stall.since()) / USECS_PER_SEC, task.due);
}

// Which jobs the next piece of `unblock` looks at. What is taken here is kept until a piece has found nothing left to
// do with it: an error undoes a piece, and nobody tells again.
void Worker::choose_parents(upkeep::Pace &pace)
{
    shared::databases::take_parents(parents_);
    if (pg::is_over(all_parents_at_, all_parents_ms)) {
        all_parents_at_ = pg::moment();
        parents_.add_all();
    }
    pace.parents = parents_;
}

// `blocked`: blocked_so_far(), from before the snapshot of the piece.
void Worker::parents_looked_at(const upkeep::Pace &pace, std::uint64_t blocked, const Counts &counts)
{
    if (pace.any_blocked == true)
        shared::databases::some_are_blocked();
    else if (pace.any_blocked == false)
        shared::databases::none_is_blocked(blocked);
    if (!counts.more && counts[Count::due] == counts[Count::unblocked])
        parents_.clear();
}

// Milliseconds to rest after a piece that used so many of a processor and took so many by the clock.
long Worker::rest_after(ChoreKind kind, const Counts &counts, double used, long took) const
{
    static const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (kind == ChoreKind::archive && counts.more)
        return rest_after_archiving(used, took, processors);
    // However many children end, and however many jobs wait: half of its time at most.
    if (kind == ChoreKind::unblock && !counts.more)
        return std::max(static_cast<long>(unblock_rest / millisecond), took);
    // A month that cannot be made or dropped now is tried again once a minute (a tenth of jobs_ext.stalled_after).
    return kind == ChoreKind::months && counts[Count::left] > 0 ? settings::stalled_after / 10 : 0;
}

// Does one piece of a task. What sessions have told meanwhile is heard after it, and not only in the next round, so
// that sleepers are woken between two pieces of a long round.
void Worker::do_task(ChoreKind kind, TimestampTz now)
{
    Counts counts;
    upkeep::Pace &pace = tasks_[task_number_of(kind)].pace;
    if (kind == ChoreKind::unblock)
        choose_parents(pace);
    const std::uint64_t blocked = shared::databases::blocked_so_far();
    const pg::Moment began = pg::moment();
    const double used = processor_ms();
    const bool done = chore(kind).run([&] {
        counts = upkeep::run_piece(upkeep::all_tasks[task_number_of(kind)], pace, now, upkeep::Months::may_change);
    });
    note_progress(kind, done, counts);
    if (done) {
        if (kind == ChoreKind::unblock)
            parents_looked_at(pace, blocked, counts);
        const long rest = rest_after(kind, counts, processor_ms() - used, pg::milliseconds_since(began));
        agenda_.piece_done(kind, counts.more, rest * millisecond, pg::moment().microseconds);
        report_.add_counts(counts);
        int sqlstate;
        const char *message;
        if (upkeep::take_trouble_with_months(sqlstate, message))
            report_.has_trouble_with_months(sqlstate, message);
    }
    agenda_.hear(take_plan());
}

// Asks when each task is due next. A session that brings something earlier after the snapshot lowers `planned`.
void Worker::look_ahead()
{
    upkeep::Dues dues;
    const bool known = chore(ChoreKind::ahead).run([&] {
        store::AsOwnerOfJobs owner;
        dues = upkeep::next_due(settings::now());
    });
    agenda_.dues_seen(known ? &dues : nullptr, pg::moment().microseconds);
}

// Rests so long that it takes a twentieth of a processor at most.
void Worker::heal()
{
    constexpr long rest_factor = 19;
    constexpr int slice_of_healing_ms = 5;
    const pg::Moment began = pg::moment();
    bool more = false;
    if (chore(ChoreKind::heal).run([&] { more = store::heal_hints(healed_, slice_of_healing_ms); }))
        agenda_.slice_done(ChoreKind::heal, more, rest_factor * pg::milliseconds_since(began) * millisecond,
                           pg::moment().microseconds);
}

void Worker::do_chore(const Action &action)
{
    switch (action.kind) {
    case ChoreKind::presence:
        return look_for_presence();
    case ChoreKind::waking:
        return wake_for_due(action);
    case ChoreKind::notifying:
        return tell_listeners();
    case ChoreKind::unfinished:
        return set_aside_unfinished_job(action.now);
    case ChoreKind::ahead:
        return look_ahead();
    case ChoreKind::audit:
        return audit_.audit_slice();
    case ChoreKind::heal:
        return heal();
    case ChoreKind::statistics:
        return statistics_.do_piece(agenda_);
    case ChoreKind::depths:
        return depths_.do_piece(agenda_);
    default:
        return do_task(action.kind, action.now);
    }
}

// Says in the views why it sleeps: for a lock, after an error, or until something is due. Without the extension's
// tables look_for_presence() has said so.
void Worker::say_what_for()
{
    const Outcome trouble = agenda_.trouble(pg::moment().microseconds);
    if (trouble != Outcome::done)
        report_.show_doing(trouble == Outcome::locked ? "waiting for a lock on the tables" : "resting after an error");
    else if (agenda_.is_present())
        report_.idle();
}

// Milliseconds that the worker may sleep; 0 when a session has told something since the round began. Shared memory is
// read here, after the round and before the sleep, because a wait inside of a piece (for a row lock, for example) may
// have reset the latch that told of it.
long Worker::until_next()
{
    const News news = {static_cast<TimestampTz>(pg_atomic_read_u64(&database_.planned)),
                       pg_atomic_read_u32(&database_.look_again) != 0, shared::databases::are_parents_told()};
    const bool listeners = settings::notify && pg_atomic_read_u32(&database_.to_notify) != 0;
    return pg::milliseconds_until(
        0, agenda_.time_to_sleep(read_clocks(), news, listeners, report_.until_log() * millisecond));
}

// Ends the process on purpose. will_leave() says why, so that leave_entry() does not take it for a failure.
void Worker::leave_process(Leaving why)
{
    if (why == Leaving::in_turn) // without the extension there is nowhere to
        save_at_end();
    report_.log();
    shared::databases::will_leave(why);
    proc_exit(0);
}

// One round: takes the news, does what the agenda names until it names nothing, tells sessions when it looks again.
//
// The order keeps the protocol of logic/agenda.hpp: `planned` is taken before any snapshot, and lowered to the agenda's
// own plan at the end, never raised. The settings are read anew, because SIGHUP may have changed them.
void Worker::round()
{
    pg::longest_attempt_ms = settings::longest_piece / attempts_in_piece;
    const TimestampTz server_now = GetCurrentTimestamp();
    const News news = {take_plan(), pg_atomic_exchange_u32(&database_.look_again, 0) != 0,
                       shared::databases::are_parents_told()};
    agenda_.begin_round(read_clocks(), server_now, news, settings::maintenance_interval * millisecond);
    audit_.set_next_time();
    if (news.asked) {
        // COMMIT PREPARED may have ended jobs, of which it tells nobody.
        shared::sleepers::wake_all_waiters(MyDatabaseId);
        // It may have made jobs wait, which nobody has counted: before the look, so that a child that ends after its
        // snapshot tells of it.
        shared::databases::some_are_blocked();
        parents_.add_all();
    }
    while (const std::optional<Action> action = agenda_.next(read_clocks()))
        do_chore(*action);
    if (!agenda_.is_present())
        return;
    if (agenda_.is_whole())
        report_.round_ended();
    if (report_.until_log() == 0)
        report_.log();
    shared::databases::lower_plan(database_, agenda_.publish(pg::moment().microseconds));
}

// Round after round, until the process ends. All that a round allocates goes with it: errors that were copied, texts.
void Worker::run()
{
    MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "jobs_ext worker", ALLOCSET_DEFAULT_SIZES);
    for (;;) {
        MemoryContextSwitchTo(memory);
        round();
        MemoryContextReset(memory);
        if (shared::launcher::others_wait() && pg::is_over(began_, turn_ms))
            leave_process(Leaving::in_turn);
        const long wait = until_next();
        if (wait > 0)
            say_what_for();
        if (wait > keeps_statistics_ms)
            pgstat_report_stat(true);
        if (sleep_on_latch(wait, "JobsWorker", save_at_end))
            agenda_.settings_changed(); // a whole round: archive_after and its like decide what is due
    }
}

// Settings that hold for the worker, whatever ALTER DATABASE or ALTER ROLE has set: a source of PGC_S_OVERRIDE wins
// over those, and over a later reload of the configuration. As AutoVacWorkerMain() does it.
void set_own_settings()
{
    static constexpr const char *own[][2] = {
        {"application_name", "jobs_ext worker"},
        {"role", "none"},
        {"search_path", "pg_catalog, pg_temp"},
        // For what a user's trigger locks: the worker's own tables are not waited for (pg::waits_for_tables).
        {"lock_timeout", "300ms"},
        // What a crash undoes is due again, and done again.
        {"synchronous_commit", "off"},
        {"default_transaction_isolation", "read committed"},
        {"default_transaction_read_only", "off"},
        {"default_transaction_deferrable", "off"},
        {"session_replication_role", "origin"},
        {"row_security", "on"},
    };
    for (const auto &[name, value] : own)
        SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
    for (const char *name : pg::timeout_settings)
        // A piece has a time limit of its own (pg::in_transaction()); transaction_timeout would also end a long build.
        SetConfigOption(name, "0", PGC_SUSET, PGC_S_OVERRIDE);
}

} // namespace

} // namespace worker

void jobs_ext_worker_main(Datum entry)
{
    using namespace worker;
    handle_signals(0); // the postmaster need not start it again: the launcher does
    std::uint32_t generation;
    std::memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
    shared::Database *database = shared::databases::attach(DatumGetInt32(entry), generation);
    // The start that this process is for was superseded, or a session keeps workers away since.
    if (database == nullptr)
        proc_exit(0);
    // After attach(), so that the end of a process that cannot connect is noted: the database may be gone by now.
    BackgroundWorkerInitializeConnectionByOid(database->oid, InvalidOid, 0);
    set_own_settings();
    pg::waits_for_tables = false;
    Worker(*database).run();
}
