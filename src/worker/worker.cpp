// The process that serves one database: wakes who sleeps when something becomes due, and does the maintenance.
//
// It sleeps until the next time at which something is due, of which the commits that bring something earlier tell it
// (shared::databases::due), and looks at everything once in jobs_ext.maintenance_interval. What it does, it does in small
// pieces, so that nobody waits long for its locks, nor for being woken.
#include <algorithm>
#include <ctime>
#include <unistd.h>

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

using shared::Database;
using shared::databases::Leaving;
using upkeep::Count;
using upkeep::Counts;
using upkeep::Task;

constexpr int attempts_in_piece = 6; // each for one job, or for some at once: a trigger of the user's may not end
constexpr long set_aside_again_ms = 1000;
constexpr long turn_ms = 1000; // how long it stays when other databases wait for a process
constexpr long notify_every_ms = 100;
// The share of all processors that archiving may take from those who claim.
constexpr double archive_share = 0.05;
constexpr long keeps_statistics_ms = 1000;   // and not longer
constexpr long look_for_extension_ms = 1000; // that is there and can't be served yet
constexpr long look_without_plan_ms = 1000;

struct TaskStep {
    Task task;
    Step step;
    upkeep::Pace pace = {};
    logic::Stall stall = {};
    int due = 0;       // jobs, at the last look
    bool more = false; // another piece waits, or this one once more
};

// Milliseconds of processor that this process has used.
double processor_ms()
{
    timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

// Milliseconds without archiving, after a piece that used so many of a processor and took so many: where it waits for the
// disk, so do others.
long rest_after(double used, long took)
{
    static const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const double share = std::clamp(archive_share * static_cast<double>(processors), archive_share, 0.5);
    return std::max(static_cast<long>(std::max(used, 1.0) * (1 / share - 1)), took);
}

class Worker {
public:
    explicit Worker(Database &database) : database_(database), report_(database) {}
    [[noreturn]] void run();

private:
    void round();
    bool begin_whole();
    bool is_present(bool whole);
    void wake(TimestampTz now, bool whole);
    void tell_listeners();
    void set_unfinished_aside(TimestampTz now);
    void maintain(TimestampTz now);
    void note_progress(TaskStep &task, bool done, const Counts &counts);
    void do_piece(TaskStep &task, TimestampTz now);
    void note_months(TaskStep &task, const Counts &counts);
    void hear_plan();
    void notice_clock();
    void plan(TimestampTz now);
    bool has_news() const;
    void say_what_for();
    long until_next() const;
    void leave_if_others_wait();
    [[noreturn]] void leave(Leaving why);

    Database &database_;
    Report report_;
    bool present_ = false;
    Step presence_{report_, "looking at the extension", Step::Limit::none};
    Step wake_{report_, "waking who waits for jobs"};
    Step notify_{report_, "notifying who listens"};
    Step ahead_{report_, "looking what is due next"};
    Step unfinished_{report_, "setting aside what did not end"};
    TaskStep tasks_[5] = {
        {Task::reap, {report_, "reaping leases"}},
        {Task::expire, {report_, "cancelling what expired"}},
        {Task::remove, {report_, "deleting what ended"}},
        {Task::archive, {report_, "archiving"}},
        {Task::months, {report_, "making and dropping months of the archive"}},
    };
    Auditing audit_{database_, report_};
    std::uint64_t types_seen_ = 0;
    TimestampTz told_until_ = DT_NOBEGIN; // sleepers were woken for what was due then
    pg::Moment whole_at_ = pg::long_ago;  // when everything is looked at again
    TimestampTz planned_ = DT_NOBEGIN;    // as it was published; DT_NOEND during a round
    TimestampTz clock_ = DT_NOBEGIN;      // of the server, in the last round
    pg::Moment began_ = pg::moment();
};

// Whether everything is to be looked at, whatever is known to be due.
bool Worker::begin_whole()
{
    const bool asked = pg_atomic_exchange_u32(&database_.look_again, 0) != 0;
    if (!asked && present_ && pg::moment() < whole_at_)
        return false;
    whole_at_ = pg::in_milliseconds(settings::maintenance_interval);
    for (TaskStep &task : tasks_)
        task.step.due = DT_NOBEGIN;
    if (asked) {
        told_until_ = DT_NOBEGIN;
        shared::sleepers::wake_all_waiters(MyDatabaseId);
    }
    return true;
}

// Ends the process when the extension is not there.
bool Worker::is_present(bool whole)
{
    if (!whole)
        return present_;
    Presence presence = Presence::absent;
    // What could not be looked at is as it was: a lock on a table, for example.
    if (presence_.is_resting() || !presence_.run([&] { presence = look_for_extension(); }))
        return present_;
    present_ = presence == Presence::ready;
    if (!present_)
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
    return present_;
}

void Worker::wake(TimestampTz now, bool whole)
{
    Woken woken;
    std::uint64_t types = types_seen_;
    const bool done = wake_.run([&] {
        store::AsOwnerOfJobs owner;
        woken = wake_sleepers(whole ? DT_NOBEGIN : told_until_, told_until_, now);
        if (whole)
            types = store::lanes::version_of_types_and_lanes();
    });
    // While waking fails, sleepers look by themselves.
    const bool serving = wake_.failures() == 0;
    if (pg_atomic_exchange_u32(&database_.serving, serving) != 0 && !serving)
        shared::sleepers::wake_all_sleepers(MyDatabaseId);
    if (!done) {
        told_until_ = wake_.due = DT_NOBEGIN; // at all, as it may have been asked to
        return;
    }
    // Sleepers want lanes of the types as they were. Whoever changes a type wakes them, but not COMMIT PREPARED.
    if (std::exchange(types_seen_, types) != types && whole)
        shared::sleepers::wake_all_sleepers(MyDatabaseId);
    told_until_ = now;
    wake_.due = woken.next_due;
    report_.count_woken(woken.sleepers);
    if (woken.any_new)
        shared::databases::notify();
}

void Worker::tell_listeners()
{
    if (notify_.is_resting() || pg_atomic_exchange_u32(&database_.to_notify, 0) == 0 || !settings::notify)
        return;
    if (notify_.run([] { Async_Notify("jobs", ""); })) {
        report_.count_notified();
        notify_.rest(notify_every_ms);
    } else
        pg_atomic_write_u32(&database_.to_notify, 1);
}

// One piece of each task that is due; then, when the next ones are. Whoever is to be woken meanwhile waits for one piece.
void Worker::maintain(TimestampTz now)
{
    bool any = false;
    for (TaskStep &task : tasks_) {
        if (!task.step.is_time(now))
            continue;
        do_piece(task, now);
        any = true;
        hear_plan();
        if (wake_.is_time(settings::now()))
            wake(settings::now(), false);
    }
    if (!any)
        return;
    upkeep::Dues dues;
    const bool known = !ahead_.is_resting() && ahead_.run([&] {
        store::AsOwnerOfJobs owner;
        dues = upkeep::next_due(settings::now());
    });
    for (TaskStep &task : tasks_)
        if (known)
            task.step.due = task.more ? DT_NOBEGIN : dues[static_cast<std::size_t>(task.task)];
        else if (!task.step.is_resting())
            task.step.rest(look_without_plan_ms);
}

// Whatever the reason is, that nothing goes on is on record sooner or later: a lock on the tables, for one, is no failure.
void Worker::note_progress(TaskStep &task, bool done, const Counts &counts)
{
    using Look = logic::Stall::Look;
    if (done)
        task.due = counts[Count::due];
    // A month that stays, or is lacking, is not due, and nothing waits for it.
    const int undone = task.task == Task::months ? 0 : counts[Count::due] + counts[Count::left];
    const bool stands = !done || (!counts.any() && undone > 0);
    const Look look = stands ? Look::none_done : counts.any() ? Look::some_done : Look::nothing_due;
    const std::int64_t now = pg::moment().microseconds;
    if (task.stall.note(look, now, settings::stalled_after * store::Microseconds{1000}))
        report_.stalled(task.step.doing(), (now - task.stall.since()) / USECS_PER_SEC, task.due);
}

void Worker::do_piece(TaskStep &task, TimestampTz now)
{
    Counts counts;
    const pg::Moment began = pg::moment();
    const double used = processor_ms();
    task.more = true; // if it fails
    const bool done =
        task.step.run([&] { counts = upkeep::run_piece(task.task, task.pace, now, upkeep::Months::may_change); });
    note_progress(task, done, counts);
    if (!done)
        return;
    task.more = counts.more;
    report_.count(counts);
    if (task.task == Task::archive && counts.more)
        task.step.rest(rest_after(processor_ms() - used, pg::milliseconds_since(began)));
    note_months(task, counts);
}

void Worker::note_months(TaskStep &task, const Counts &counts)
{
    int sqlstate;
    const char *message;
    if (upkeep::take_trouble_with_months(sqlstate, message))
        report_.has_trouble_with_months(sqlstate, message);
    // A month that can't be made, or not be dropped, is no reason to try all the time: once a minute.
    if (task.task == Task::months && counts[Count::left] > 0)
        task.step.rest(settings::stalled_after / 10);
}

// What commits have lowered the plan to since it was made may concern sleepers, leases or expiry. What comes later than the
// plan said they have told nobody: so when its time has come, all three are looked at.
void Worker::hear_plan()
{
    const TimestampTz plan = std::exchange(planned_, DT_NOEND);
    const auto lowered =
        static_cast<TimestampTz>(pg_atomic_exchange_u64(&database_.planned, static_cast<uint64>(DT_NOEND)));
    if (lowered < plan)
        told_until_ = std::min(told_until_, lowered - 1); // its commit may have come long after that
    else if (plan > settings::now())
        return;
    const TimestampTz first = std::min(lowered, plan);
    wake_.due = std::min(wake_.due, first);
    for (TaskStep &task : tasks_)
        if (task.task == Task::reap || task.task == Task::expire)
            task.step.due = std::min(task.step.due, first);
}

// By a clock that was set back, what was due is not any more, and what sleepers were woken for lies ahead.
void Worker::notice_clock()
{
    const TimestampTz now = GetCurrentTimestamp();
    if (now < clock_) {
        whole_at_ = pg::long_ago;
        told_until_ = DT_NOBEGIN;
    }
    clock_ = now;
}

// Says when the next round will be. What rests is left out: those who bring something are to be heard all the same.
void Worker::plan(TimestampTz now)
{
    planned_ = wake_.is_resting() && wake_.due <= now ? DT_NOEND : wake_.due;
    for (const TaskStep &task : tasks_)
        if (!task.step.is_resting() || task.step.due > now)
            planned_ = std::min(planned_, task.step.due);
    // However long something waits already: of what sleepers were woken for, and comes to light later, it is to hear.
    planned_ = std::max(planned_, told_until_ == DT_NOBEGIN ? now : told_until_ + 1);
    auto before = pg_atomic_read_u64(&database_.planned);
    while (planned_ < static_cast<TimestampTz>(before) &&
           !pg_atomic_compare_exchange_u64(&database_.planned, &before, static_cast<uint64>(planned_))) {
    }
}

// Looked at before it sleeps, since the latch may have been reset on the way.
bool Worker::has_news() const
{
    return static_cast<TimestampTz>(pg_atomic_read_u64(&database_.planned)) < planned_ ||
           pg_atomic_read_u32(&database_.look_again) != 0;
}

// What people are to see while it sleeps.
void Worker::say_what_for()
{
    const char *from = presence_.resting_from();
    for (const Step *step : {&wake_, &notify_, &ahead_})
        from = from != nullptr ? from : step->resting_from();
    for (const TaskStep &task : tasks_)
        from = from != nullptr ? from : task.step.resting_from();
    from = from != nullptr ? from : audit_.resting_from();
    if (from != nullptr)
        report_.doing(from);
    else if (present_)
        report_.idle();
}

long Worker::until_next() const
{
    const TimestampTz now = settings::now();
    long wait = pg::milliseconds_until(whole_at_);
    if (!present_)
        return std::min(wait, look_for_extension_ms);
    wait = std::min({wait, wake_.until(now), audit_.until()});
    for (const TaskStep &task : tasks_)
        wait = std::min(wait, task.step.until(now));
    if (settings::notify && pg_atomic_read_u32(&database_.to_notify) != 0)
        wait = std::min(wait, notify_.until(now));
    return std::min(wait, report_.until_log());
}

void Worker::leave_if_others_wait()
{
    if (!shared::launcher::others_wait() || !pg::is_over(began_, turn_ms))
        return;
    leave(Leaving::in_turn);
}

void Worker::leave(Leaving why)
{
    report_.log();
    shared::databases::will_leave(why);
    proc_exit(0);
}

// A job at which an earlier worker did not end is set aside first: it would hold this one as well.
void Worker::set_unfinished_aside(TimestampTz now)
{
    const shared::AtWork unfinished = shared::databases::unfinished();
    if (unfinished.task[0] == '\0')
        return;
    bool noted = false;
    if (!unfinished_.is_resting())
        unfinished_.run([&] { noted = upkeep::set_unfinished_aside(unfinished.task, &unfinished.job, now); });
    if (noted)
        shared::databases::forget_unfinished();
    else
        for (TaskStep &task : tasks_)
            task.step.rest(set_aside_again_ms);
}

void Worker::round()
{
    pg::longest_attempt_ms = settings::longest_piece / attempts_in_piece;
    notice_clock();
    hear_plan();
    const bool whole = begin_whole();
    const TimestampTz now = settings::now();
    if (!is_present(whole))
        return;
    if (whole ? !wake_.is_resting() : wake_.is_time(now))
        wake(now, whole);
    tell_listeners();
    set_unfinished_aside(now);
    maintain(now);
    if (audit_.is_time())
        audit_.run();
    if (whole)
        report_.round_ended();
    if (report_.until_log() == 0)
        report_.log();
    plan(now);
}

void Worker::run()
{
    MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "jobs_ext worker", ALLOCSET_DEFAULT_SIZES);
    for (;;) {
        MemoryContextSwitchTo(memory);
        round();
        MemoryContextReset(memory);
        leave_if_others_wait();
        const long wait = has_news() ? 0 : until_next();
        if (wait > 0)
            say_what_for();
        if (wait > keeps_statistics_ms)
            pgstat_report_stat(true);
        if (sleep(wait, "JobsWorker"))
            whole_at_ = pg::long_ago; // settings may have changed
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
