// The process that serves one database: wakes who sleeps when something becomes due, and does the maintenance.
//
// What it does when, and how long it sleeps, says logic/agenda.hpp, which draws what sessions and the worker tell each
// other; here is what has an effect. The worker does everything in small pieces, so that nobody waits long for its
// locks, nor for being woken.
#include <ctime>
#include <unistd.h>
#include <utility>

#include "logic/stall.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/databases.hpp"
#include "shared/launcher.hpp"
#include "shared/sleepers.hpp"
#include "store/lanes.hpp"
#include "store/owner.hpp"
#include "upkeep/next_due.hpp"
#include "upkeep/piece.hpp"
#include "worker/auditing.hpp"
#include "worker/chore.hpp"
#include "worker/loop.hpp"
#include "worker/presence.hpp"
#include "worker/waking.hpp"

extern "C" PGDLLEXPORT void jobs_ext_worker_main(Datum);

namespace worker {

namespace {

using namespace logic::agenda;
using shared::Database;
using shared::databases::Leaving;
using upkeep::Count;
using upkeep::Counts;

constexpr int attempts_in_piece = 6;       // each for one job, or for some at once: a trigger of the user's may not end
constexpr long turn_ms = 1000;             // how long it stays when other databases wait for a process
constexpr long keeps_statistics_ms = 1000; // and not longer

// What the worker remembers of a task from piece to piece, beside the agenda.
struct TaskMemory {
    upkeep::Pace pace = {};
    logic::Stall stall = {};
    int due = 0; // jobs, at the last look
};

static_assert(task_count == upkeep::all_tasks.size());
std::size_t number_of(ChoreKind task) { return position_of(task) - position_of(ChoreKind::reap); }

Now read_clocks() { return {settings::now(), pg::moment().microseconds, settings::clock_stands()}; }

// Milliseconds of processor that this process has used.
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
    void wake(const Action &action);
    void tell_listeners();
    void set_unfinished_aside(TimestampTz now);
    void do_piece(ChoreKind kind, TimestampTz now);
    void note_progress(ChoreKind kind, bool done, const Counts &counts);
    void look_ahead();
    void say_what_for();
    long until_next();
    [[noreturn]] void leave(Leaving why);
    Chore chore(ChoreKind kind) { return {agenda_, report_, kind}; }
    TimestampTz take_plan();

    Database &database_;
    Report report_;
    Agenda agenda_;
    TaskMemory tasks_[upkeep::all_tasks.size()];
    Auditing audit_{database_, chore(ChoreKind::audit)};
    std::uint64_t types_seen_ = 0;
    pg::Moment began_ = pg::moment();
};

// What sessions have lowered the plan to. From now on they lower it anew.
TimestampTz Worker::take_plan()
{
    return static_cast<TimestampTz>(pg_atomic_exchange_u64(&database_.planned, static_cast<uint64>(DT_NOEND)));
}

// Ends the process when the extension is not there.
void Worker::look_for_presence()
{
    Presence presence = Presence::absent;
    // What could not be looked at is as it was: a lock on a table, for example.
    if (!chore(ChoreKind::presence).run([&] { presence = look_for_extension(); }))
        return;
    agenda_.presence_seen(presence == Presence::ready);
    if (presence != Presence::ready)
        pg_atomic_write_u32(&database_.serving, 0);
    switch (presence) {
    case Presence::absent:
        leave(Leaving::no_extension);
    case Presence::other_version:
        report_.doing("waiting for ALTER EXTENSION jobs_ext UPDATE");
        break;
    case Presence::no_tables:
        report_.doing("waiting for jobs_ext.install()");
        break;
    case Presence::ready:
        break;
    }
}

void Worker::wake(const Action &action)
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
    // While waking fails, sleepers look by themselves.
    const bool serving = waking.turn().failures == 0;
    if (pg_atomic_exchange_u32(&database_.serving, serving) != 0 && !serving)
        shared::sleepers::wake_all_sleepers(MyDatabaseId);
    if (!done)
        return;
    // Sleepers want lanes of the types as they were. Whoever changes a type wakes them, but not COMMIT PREPARED.
    if (std::exchange(types_seen_, types) != types && action.whole)
        shared::sleepers::wake_all_sleepers(MyDatabaseId);
    agenda_.sleepers_woken(action.now, woken.next_due);
    report_.count_woken(woken.sleepers);
    if (woken.any_new)
        shared::databases::notify();
}

void Worker::tell_listeners()
{
    if (pg_atomic_exchange_u32(&database_.to_notify, 0) == 0 || !settings::notify)
        return;
    if (chore(ChoreKind::notifying).run([] { Async_Notify("jobs", ""); }))
        report_.count_notified();
    else
        pg_atomic_write_u32(&database_.to_notify, 1);
}

// A job at which an earlier worker did not end is set aside first: it would hold this one as well.
void Worker::set_unfinished_aside(TimestampTz now)
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

// Whatever the reason is, that nothing goes on is on record sooner or later: a lock on the tables, for one, is no
// failure.
void Worker::note_progress(ChoreKind kind, bool done, const Counts &counts)
{
    using Look = logic::Stall::Look;
    TaskMemory &task = tasks_[number_of(kind)];
    if (done)
        task.due = counts[Count::due];
    // A month that stays, or is lacking, is not due, and nothing waits for it.
    const int undone = kind == ChoreKind::months ? 0 : counts[Count::due] + counts[Count::left];
    const bool stands = !done || (!counts.any() && undone > 0);
    const Look look = stands ? Look::none_done : counts.any() ? Look::some_done : Look::nothing_due;
    const std::int64_t now = pg::moment().microseconds;
    if (task.stall.note(look, now, settings::stalled_after * millisecond))
        report_.stalled(chore(kind).doing(), (now - task.stall.since()) / USECS_PER_SEC, task.due);
}

void Worker::do_piece(ChoreKind kind, TimestampTz now)
{
    static const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    Counts counts;
    const pg::Moment began = pg::moment();
    const double used = processor_ms();
    const bool done = chore(kind).run([&] {
        const auto task = number_of(kind);
        counts = upkeep::run_piece(upkeep::all_tasks[task], tasks_[task].pace, now, upkeep::Months::may_change);
    });
    note_progress(kind, done, counts);
    if (done) {
        long rest = 0;
        if (kind == ChoreKind::archive && counts.more)
            rest = rest_after_archiving(processor_ms() - used, pg::milliseconds_since(began), processors);
        // A month that can't be made, or not be dropped, is no reason to try all the time: once a minute.
        if (kind == ChoreKind::months && counts[Count::left] > 0)
            rest = settings::stalled_after / 10;
        agenda_.piece_done(kind, counts.more, rest * millisecond, pg::moment().microseconds);
        report_.count(counts);
        int sqlstate;
        const char *message;
        if (upkeep::take_trouble_with_months(sqlstate, message))
            report_.has_trouble_with_months(sqlstate, message);
    }
    agenda_.hear(take_plan());
}

void Worker::look_ahead()
{
    upkeep::Dues dues;
    const bool known = chore(ChoreKind::ahead).run([&] {
        store::AsOwnerOfJobs owner;
        dues = upkeep::next_due(settings::now());
    });
    agenda_.dues_seen(known ? &dues : nullptr, pg::moment().microseconds);
}

void Worker::do_chore(const Action &action)
{
    switch (action.kind) {
    case ChoreKind::presence:
        return look_for_presence();
    case ChoreKind::waking:
        return wake(action);
    case ChoreKind::notifying:
        return tell_listeners();
    case ChoreKind::unfinished:
        return set_unfinished_aside(action.now);
    case ChoreKind::ahead:
        return look_ahead();
    case ChoreKind::audit:
        return audit_.audit_slice();
    default:
        return do_piece(action.kind, action.now);
    }
}

// What people are to see while it sleeps.
void Worker::say_what_for()
{
    const Outcome trouble = agenda_.trouble(pg::moment().microseconds);
    if (trouble != Outcome::done)
        report_.doing(trouble == Outcome::locked ? "waiting for a lock on the tables" : "resting after an error");
    else if (agenda_.is_present())
        report_.idle();
}

// Looked at before it sleeps, since the latch may have been reset on the way.
long Worker::until_next()
{
    const News news = {static_cast<TimestampTz>(pg_atomic_read_u64(&database_.planned)),
                       pg_atomic_read_u32(&database_.look_again) != 0};
    const bool listeners = settings::notify && pg_atomic_read_u32(&database_.to_notify) != 0;
    return pg::milliseconds_until(0, agenda_.wait(read_clocks(), news, listeners, report_.until_log() * millisecond));
}

void Worker::leave(Leaving why)
{
    report_.log();
    shared::databases::will_leave(why);
    proc_exit(0);
}

void Worker::round()
{
    pg::longest_attempt_ms = settings::longest_piece / attempts_in_piece;
    const TimestampTz server_now = GetCurrentTimestamp();
    const News news = {take_plan(), pg_atomic_exchange_u32(&database_.look_again, 0) != 0};
    agenda_.begin_round(read_clocks(), server_now, news, settings::maintenance_interval * millisecond);
    audit_.set_time();
    if (news.asked)
        shared::sleepers::wake_all_waiters(MyDatabaseId);
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

void Worker::run()
{
    MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "jobs_ext worker", ALLOCSET_DEFAULT_SIZES);
    for (;;) {
        MemoryContextSwitchTo(memory);
        round();
        MemoryContextReset(memory);
        if (shared::launcher::others_wait() && pg::is_over(began_, turn_ms))
            leave(Leaving::in_turn);
        const long wait = until_next();
        if (wait > 0)
            say_what_for();
        if (wait > keeps_statistics_ms)
            pgstat_report_stat(true);
        if (sleep(wait, "JobsWorker"))
            agenda_.settings_changed();
    }
}

// Whatever the database or its owner has set.
void set_own_settings()
{
    static constexpr const char *own[][2] = {
        {"application_name", "jobs_ext worker"},
        {"role", "none"},
        {"search_path", "pg_catalog, pg_temp"},
        {"lock_timeout", "300ms"},     // of what is fired there: a row, a table of the user's
        {"synchronous_commit", "off"}, // what is lost in a crash is done again
        {"default_transaction_isolation", "read committed"},
        {"default_transaction_read_only", "off"},
        {"default_transaction_deferrable", "off"},
        {"session_replication_role", "origin"},
        {"row_security", "on"},
    };
    for (const auto &[name, value] : own)
        SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
    for (const char *name : pg::timeout_settings)
        SetConfigOption(name, "0", PGC_SUSET, PGC_S_OVERRIDE);
}

} // namespace

} // namespace worker

void jobs_ext_worker_main(Datum entry)
{
    using namespace worker;
    handle_signals(0); // the launcher starts another one
    std::uint32_t generation;
    std::memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
    shared::Database *database = shared::databases::attach(DatumGetInt32(entry), generation);
    if (database == nullptr)
        proc_exit(0);
    BackgroundWorkerInitializeConnectionByOid(database->oid, InvalidOid, 0);
    set_own_settings();
    pg::waits_for_tables = false;
    Worker(*database).run();
}
