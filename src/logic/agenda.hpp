// The plan of a database's worker: what it does now, how long it sleeps, and what it tells the sessions of that. The
// plan alone, without processes, tables and clocks: worker/worker.cpp runs the chore that the agenda names, says what
// came of it, and carries what the agenda publishes to shared memory.
//
// A chore is one kind of work. What it waits for follows from its Turn:
//
//      ┌─────────┐  its due time comes, or a session lowers the plan  ┌─────┐
//      │ waiting │ ─────────────────────────────────────────────────▶ │ due │ ──┐ it has done a piece,
//      │         │ ◀───────────────────────────────────────────────── │     │ ◀─┘ and more waits
//      └─────────┘  it has done all, and knows its next due time      └─────┘
//                                                                      │   ▲
//          it found a table locked: rests 1 s at most;                 ▼   │ its rest is over
//          it failed: 1 s, twice as long each time, 60 s at most;    ┌─────────┐
//          it archived, or left a month: others have their turn      │ resting │
//                                                                    └─────────┘
//
// The worker goes over all chores in a round, in the order of ChoreKind; a chore that rests keeps no other from its
// turn. After each piece of a task it wakes the sleepers whose jobs became due meanwhile. Once in
// jobs_ext.maintenance_interval a round is whole: it looks at everything, because what nobody tells the worker (a
// prepared transaction, a row that somebody held) would never be due.
//
// Sessions tell the worker of a job by one number in shared memory, `planned`: when the worker looks again, at the
// latest.
//
//      a session that commits                     planned       the worker
//      ──────────────────────                     ───────       ──────────
//      1. makes its job visible                                 1. takes `planned` and leaves `never` there   (hear)
//      2. lowers `planned` to the job's due time,               2. does what is due                           (next)
//         by compare-and-swap, if that is earlier ──▶  ◀──      3. lowers `planned` to its own plan, likewise (publish)
//      3. sets the worker's latch, if it lowered                4. does not sleep if `planned` is lower than
//                                                                  its plan                          (time_to_sleep)
//                                                               5. sleeps until its plan, or its latch is set
//
// No lowered plan is lost, because neither side ever raises `planned` but the worker in 1, which hears what it takes:
//   - a session that lowers it before 1 is heard in 1;
//   - a session that lowers it between 1 and 3 finds `never` there. The worker does not write over an earlier time in
//     3, finds in 4 that there is one, and hears it in the next round;
//   - a session that lowers it after 3 is found in 4 or sets the latch, which ends the sleep of 5.
// A job that a session did not tell of is found as well. The session saw a plan that is not later than its job is due.
// At the time of that plan the worker looks at sleepers, leases and expiry, whatever it planned to do then, because
// what it was not told may concern any of them; and it sees the job, because the session made it visible before it read
// `planned`. A round before that time keeps to it, even if it finds that the reason of the plan is gone.
// A transaction may commit a job long after the time at which it is due. The worker has woken sleepers for all that was
// due until `told_until`; so its plan is later than that, the session lowers it, and the worker sets told_until back to
// count that job too.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace logic::agenda {

// Two clocks, both in microseconds. An Instant is by the queue's clock, which says what is due: somebody may set it,
// and in tests it stands. A Moment is by a clock that nobody sets: rests and intervals go by it. The two do not
// compare.
using Instant = std::int64_t;
using Moment = std::int64_t;
using Span = std::int64_t;

constexpr std::int64_t at_once = INT64_MIN, never = INT64_MAX;
constexpr Span millisecond = 1000, second = 1000 * millisecond;

constexpr Span longest_rest = 60 * second; // after a failure
constexpr Span lock_rest = second;         // after a table that somebody has locked, if the interval is not shorter
constexpr Span task_rest = second; // of tasks, where it is not known when they are due, or they must not be done yet
constexpr Span notify_rest = 100 * millisecond; // between two NOTIFY: ten a second, however many commits ask for one
// Between two looks at jobs whose children end: a hundred a second, however many children end.
constexpr Span unblock_rest = 10 * millisecond;
constexpr Span presence_interval = second; // to look for an extension that is there and can't be served yet
constexpr int most_failures = 10;          // in a row, if they may be the process's own: four minutes of rests
constexpr double archive_share = 0.05;     // of all processors, that archiving may take from clients

struct Now {
    Instant instant;
    Moment moment;
    bool stands = false; // the queue's clock does
};

// In the order of a round.
enum class ChoreKind : std::uint8_t {
    presence,   // looks for the extension
    waking,     // wakes sleepers for jobs that became due
    notifying,  // sends NOTIFY jobs
    unfinished, // sets the job aside at which an earlier worker did not end
    reap,       // from here on the tasks, in the order of upkeep::Task
    expire,
    unblock,
    remove,
    archive,
    months,
    erase,
    ahead,      // looks when tasks are due next
    audit,      // looks at a slice of all tables
    heal,       // looks for rows before the hints of where to read
    statistics, // loads them, and writes them down
    depths,     // counts the queue for types of which nobody has told how many jobs wait
};
constexpr std::size_t chore_count = static_cast<std::size_t>(ChoreKind::depths) + 1;
constexpr std::size_t task_count =
    static_cast<std::size_t>(ChoreKind::ahead) - static_cast<std::size_t>(ChoreKind::reap);
using Dues = std::array<Instant, task_count>;

constexpr std::size_t position_of(ChoreKind kind) { return static_cast<std::size_t>(kind); }
constexpr bool is_task(ChoreKind kind) { return kind >= ChoreKind::reap && kind <= ChoreKind::erase; }

enum class Outcome : std::uint8_t {
    done,
    locked, // somebody else is at the tables, for as long as it takes: no failure
    failed,
    failed_in_process, // for what may be this process's own: memory, files, internal errors
};

// Microseconds from one time to another by the same clock.
constexpr Span span_until(std::int64_t from, std::int64_t to)
{
    Span span = 0;
    return to <= from ? 0 : __builtin_sub_overflow(to, from, &span) ? never : span;
}

// Milliseconds to rest after a piece of archiving that used so many milliseconds of a processor and took so many by the
// clock. Its share of the time of one processor is archive_share of all of them, at most half of one: with share s,
// used / (used + rest) = s. It rests at least as long as the piece took: where it waits for the disk, so do clients.
constexpr long rest_after_archiving(double used, long took, long processors)
{
    const double share = std::clamp(archive_share * static_cast<double>(processors), archive_share, 0.5);
    return std::max(static_cast<long>(std::max(used, 1.0) * (1 / share - 1)), took);
}

// When a chore has its turn. Three times of two clocks hold it back: all must be over.
struct Turn {
    Instant due = at_once;       // when there is something to do
    Moment opens = at_once;      // likewise, for what goes by an interval
    Moment not_before = at_once; // it rests until then
    int failures = 0;            // in a row
    Outcome last = Outcome::done;
    bool more = false; // another piece waits, or the last one once more

    constexpr bool is_resting(Moment now) const { return not_before > now; }
    constexpr bool is_time(Instant instant, Moment moment) const
    {
        return due <= instant && opens <= moment && !is_resting(moment);
    }
    constexpr Span until(const Now &now) const
    {
        // By a clock that stands nothing becomes due.
        const Span until_due = now.stands && due > now.instant ? never : span_until(now.instant, due);
        return std::max({until_due, span_until(now.moment, opens), span_until(now.moment, not_before)});
    }
    constexpr void rest(Span span, Moment now) { not_before = now + span; }
};

// A chore that the worker is to do now; `now` is the time by which it judges what is due. `whole`: it looks at
// everything, and not only at what it knows to be due.
struct Action {
    ChoreKind kind;
    Instant now;
    bool whole;
};

// The news that the worker reads in shared memory.
struct News {
    Instant planned;
    bool asked;    // to look at everything
    bool children; // of jobs that wait for them have ended: `unblock` is due. It stays news until that is tried
};

class Agenda {
public:
    // `server_now`: by the server's clock, which goes on where the queue's stands.
    constexpr void begin_round(const Now &now, Instant server_now, const News &news, Span maintenance_interval)
    {
        // By a clock that was set back, what was due is not any more, and what sleepers were woken for lies ahead.
        if (server_now < server_at_)
            whole_at_ = told_until_ = at_once;
        hear(news.planned);
        whole_ = news.asked || !present_ || now.moment >= whole_at_;
        server_at_ = server_now;
        round_at_ = now.instant;
        interval_ = maintenance_interval;
        position_ = 0;
        turn(ChoreKind::ahead).due = never;
        turn(ChoreKind::presence).due = whole_ ? at_once : never;
        if (news.children)
            turn(ChoreKind::unblock).due = at_once;
        if (!whole_)
            return;
        whole_at_ = now.moment + interval_;
        for (const ChoreKind kind : {ChoreKind::waking, ChoreKind::heal, ChoreKind::statistics, ChoreKind::depths})
            turn(kind).due = at_once;
        for (Turn &task : tasks())
            task.due = at_once;
        if (news.asked)
            told_until_ = at_once;
    }

    // The next chore of this round; nothing: the round is over.
    constexpr std::optional<Action> next(const Now &now)
    {
        if (std::exchange(after_piece_, false) && turn(ChoreKind::waking).is_time(now.instant, now.moment))
            return Action{ChoreKind::waking, now.instant, false};
        while (position_ < chore_count) {
            const auto kind = static_cast<ChoreKind>(position_++);
            // A rest of these two is heeded where they are done (worker/chore.hpp): while they rest, run() returns
            // false, and then the tasks have to be put off (unfinished_stays(), dues_seen()).
            const bool may_rest = kind == ChoreKind::unfinished || kind == ChoreKind::ahead;
            const bool is_wanted = may_rest ? turn(kind).due <= round_at_ : turn(kind).is_time(round_at_, now.moment);
            if (is_wanted && (present_ || kind == ChoreKind::presence))
                return Action{kind, round_at_, whole_};
        }
        return std::nullopt;
    }

    // A chore was tried. Returns true when the process is to make way for another one, which begins with fresh memory.
    constexpr bool chore_ended(ChoreKind kind, Outcome outcome, Moment now)
    {
        Turn &turn = this->turn(kind);
        const bool failed = outcome >= Outcome::failed;
        turn.last = outcome;
        turn.more = outcome != Outcome::done;
        if (failed)
            turn.rest(std::min(longest_rest, second << std::min(turn.failures, 6)), now);
        else if (outcome == Outcome::locked)
            turn.rest(std::min(interval_, lock_rest), now);
        else if (kind == ChoreKind::notifying)
            turn.rest(notify_rest, now);
        if (outcome != Outcome::locked)
            turn.failures = failed ? turn.failures + 1 : 0;
        if (is_task(kind)) {
            after_piece_ = true;
            this->turn(ChoreKind::ahead).due = at_once;
        } else if (kind == ChoreKind::waking && turn.more)
            told_until_ = turn.due = at_once; // it may have been asked to look at everything
        return outcome == Outcome::failed_in_process && turn.failures >= most_failures;
    }

    // The extension was looked for; it can be served, or not.
    constexpr void presence_seen(bool present) { present_ = present; }

    // Sleepers were woken for what was due until then.
    constexpr void sleepers_woken(Instant until, Instant next_due)
    {
        told_until_ = until;
        turn(ChoreKind::waking).due = next_due;
    }

    // A piece of a task was done, and it is to rest for so long.
    constexpr void piece_done(ChoreKind task, bool more, Span rest, Moment now)
    {
        turn(task).more = more;
        turn(task).rest(rest, now);
    }

    // A slice of healing, of the work for statistics, or of counting the queue, was done.
    constexpr void slice_done(ChoreKind kind, bool more, Span rest, Moment now)
    {
        turn(kind).due = more ? at_once : never;
        turn(kind).rest(rest, now);
    }

    // The tasks' next times were looked for; null: they were not found.
    constexpr void dues_seen(const Dues *dues, Moment now)
    {
        for (std::size_t i = 0; i < task_count; ++i)
            if (Turn &task = tasks()[i]; dues != nullptr)
                task.due = task.more ? at_once : (*dues)[i];
            else if (!task.is_resting(now))
                task.rest(task_rest, now);
    }

    // The job at which an earlier worker did not end is not set aside yet: it would hold this one as well.
    constexpr void unfinished_stays(Moment now)
    {
        for (Turn &task : tasks())
            task.rest(task_rest, now);
    }

    constexpr void settings_changed() { whole_at_ = at_once; }

    // What sessions have lowered the plan to since it was published may concern sleepers, leases or expiry. So may what
    // they did not tell of, because it is due at the plan's own time or later: also where this round comes earlier, and
    // plans anew. A job of which a session tells may have been due long before it was committed, at a time for which
    // sleepers have been woken already: told_until goes back to just before that, so that the job is counted.
    constexpr void hear(Instant lowered)
    {
        const Instant plan = std::exchange(planned_, never);
        if (lowered < plan && lowered > at_once)
            told_until_ = std::min(told_until_, lowered - 1);
        for (const ChoreKind kind : {ChoreKind::waking, ChoreKind::reap, ChoreKind::expire})
            turn(kind).due = std::min({turn(kind).due, lowered, plan});
    }

    // The round is over. Returns what `planned` is to be lowered to. What is due and rests is left out: else the plan
    // would lie in the past, and a session that brings something would not lower it and wake the worker. However long
    // something is due already, the plan is later than what sleepers were woken for.
    constexpr Instant publish(Moment now)
    {
        const auto time_of = [&](const Turn &turn) {
            return turn.is_resting(now) && turn.due <= round_at_ ? never : turn.due;
        };
        planned_ = time_of(turn(ChoreKind::waking));
        for (const Turn &task : tasks())
            planned_ = std::min(planned_, time_of(task));
        return planned_ = std::max(planned_, told_until_ == at_once ? round_at_ : told_until_ + 1);
    }

    // How long the worker sleeps, unless its latch is set. `listeners`: wait to be told. `until_log`: until a line is
    // to be written.
    constexpr Span time_to_sleep(const Now &now, const News &news, bool listeners, Span until_log) const
    {
        const Span until_whole = span_until(now.moment, whole_at_);
        if (news.planned < planned_ || news.asked)
            return 0;
        if (!present_)
            return std::min(until_whole, presence_interval);
        Span wait = std::min(until_whole, until_log);
        for (const ChoreKind kind :
             {ChoreKind::waking, ChoreKind::audit, ChoreKind::heal, ChoreKind::statistics, ChoreKind::depths})
            wait = std::min(wait, turn(kind).until(now));
        for (const Turn &task : tasks())
            wait = std::min(wait, task.until(now));
        if (news.children)
            wait = std::min(wait, span_until(now.moment, turn(ChoreKind::unblock).not_before));
        return listeners ? std::min(wait, turn(ChoreKind::notifying).until(now)) : wait;
    }

    // What keeps the worker from a chore, for the view; `done`: nothing.
    constexpr Outcome trouble(Moment now) const
    {
        using enum ChoreKind;
        for (const ChoreKind kind : {presence, waking, notifying, ahead, reap, expire, unblock, remove, archive, months,
                                     erase, audit, heal, statistics, depths})
            if (turn(kind).is_resting(now) && turn(kind).last != Outcome::done)
                return turn(kind).last;
        return Outcome::done;
    }

    constexpr Turn &turn(ChoreKind kind) { return turns_[position_of(kind)]; }
    constexpr const Turn &turn(ChoreKind kind) const { return turns_[position_of(kind)]; }
    constexpr bool is_present() const { return present_; }
    constexpr bool is_whole() const { return whole_; }
    constexpr Instant told_until() const { return told_until_; }

private:
    constexpr std::span<Turn> tasks() { return std::span(turns_).subspan(position_of(ChoreKind::reap), task_count); }
    constexpr std::span<const Turn> tasks() const { return const_cast<Agenda *>(this)->tasks(); }

    std::array<Turn, chore_count> turns_ = {};
    bool present_ = false;         // all that the worker needs is there
    Instant told_until_ = at_once; // sleepers were woken for what was due then
    Instant planned_ = at_once;    // as it was published; `never` during a round
    Moment whole_at_ = at_once;    // when everything is looked at again
    // Of the last round.
    Instant round_at_ = at_once, server_at_ = at_once; // when it began
    Span interval_ = 0;
    bool whole_ = false;
    bool after_piece_ = false; // what was tried last is a task
    std::size_t position_ = 0; // of the chore that is next
};

} // namespace logic::agenda
