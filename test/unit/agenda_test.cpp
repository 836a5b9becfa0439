#include "logic/agenda.hpp"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace logic::agenda;
using enum ChoreKind;

constexpr Span minute = 60 * second;
constexpr Moment boot = 1000 * second;        // the moment at which a test begins,
constexpr Instant epoch = 1'000'000 * second; // and the time by the queue's clock

// A worker whose chores come to what a test says, and the little of shared memory that its plan needs.
class Bench {
public:
    explicit Bench(Span interval = minute) : interval_(interval) { dues.fill(never); }

    using Kinds = std::vector<ChoreKind>;

    // Does a round. Returns what was tried.
    Kinds round(bool asked = false)
    {
        Kinds tried;
        begin(asked);
        while (const auto action = next()) {
            tried.push_back(action->kind);
            act(*action);
        }
        end();
        return tried;
    }

    void begin(bool asked = false)
    {
        agenda.begin_round(now(), clock, {take(), asked, children}, interval_);
        agenda.turn(audit).opens = never;
    }
    std::optional<Action> next() { return agenda.next(now()); }
    void end()
    {
        if (agenda.is_present())
            planned = std::min(planned, agenda.publish(moment));
    }

    void act(const Action &action)
    {
        const Outcome outcome = outcomes[position_of(action.kind)];
        const bool done = !agenda.turn(action.kind).is_resting(moment) && outcome == Outcome::done;
        children = children && action.kind != unblock;
        if (!agenda.turn(action.kind).is_resting(moment) && (action.kind != unfinished || !done))
            makes_way = agenda.chore_ended(action.kind, outcome, moment);
        if (action.kind == waking && done) {
            whole_waking = action.whole;
            agenda.sleepers_woken(action.now, next_wake);
        } else if (action.kind == presence && done)
            agenda.presence_seen(present);
        else if (action.kind == unfinished && !done)
            agenda.unfinished_stays(moment);
        else if (action.kind == ahead)
            agenda.dues_seen(done ? &dues : nullptr, moment);
        else if ((action.kind == heal || action.kind == statistics) && done)
            agenda.slice_done(action.kind, more == action.kind, rest, moment);
        else if (is_task(action.kind)) {
            if (done)
                agenda.piece_done(action.kind, more == action.kind, rest, moment);
            agenda.hear(take());
        }
    }

    // As a session does.
    void tell(Instant due) { planned = std::min(planned, due); }

    Instant take() { return std::exchange(planned, never); }
    Now now() const { return {clock, moment, stands}; }
    Span wait(bool listeners = false, Span until_log = never) const
    {
        return agenda.time_to_sleep(now(), {planned, false, children}, listeners, until_log);
    }
    void pass(Span span)
    {
        clock += span;
        moment += span;
    }

    Agenda agenda;
    Instant clock = epoch, planned = never, next_wake = never;
    Moment moment = boot;
    bool stands = false, present = true, makes_way = false, whole_waking = false;
    bool children = false; // of jobs that wait for them have ended
    Dues dues;
    std::array<Outcome, chore_count> outcomes = {};
    ChoreKind more = audit; // of this task another piece waits; the audit: of none
    Span rest = 0;

private:
    Span interval_;
};

using Kinds = Bench::Kinds;
const Kinds all_chores = {presence, waking,  notifying, unfinished, reap,  expire, unblock,
                          remove,   archive, months,    erase,      ahead, heal,   statistics};

TEST(Agenda, looks_at_everything_once_in_the_interval)
{
    Bench bench;
    EXPECT_EQ(bench.round(), all_chores);
    EXPECT_TRUE(bench.agenda.is_whole());
    EXPECT_EQ(bench.wait(), minute);
    bench.pass(minute - 1);
    EXPECT_EQ(bench.round(), (Kinds{notifying, unfinished}));
    EXPECT_EQ(bench.wait(), 1);
    bench.pass(notify_rest);
    EXPECT_EQ(bench.round(), all_chores);
    bench.agenda.settings_changed();
    EXPECT_EQ(bench.wait(), 0);
    bench.round();
    EXPECT_TRUE(bench.agenda.is_whole());
    EXPECT_EQ(bench.wait(), minute);
}

TEST(Agenda, looks_at_everything_when_it_is_asked)
{
    Bench bench;
    bench.round();
    EXPECT_EQ(bench.agenda.told_until(), epoch);
    EXPECT_EQ(bench.agenda.time_to_sleep(bench.now(), {never, true, false}, false, never), 0);
    bench.begin(true);
    EXPECT_TRUE(bench.agenda.is_whole());
    EXPECT_EQ(bench.agenda.told_until(), at_once);
}

TEST(Agenda, does_nothing_without_the_extension_and_looks_for_it)
{
    Bench bench;
    bench.present = false;
    EXPECT_EQ(bench.round(), (Kinds{presence}));
    EXPECT_EQ(bench.wait(), presence_interval);
    bench.outcomes[position_of(presence)] = Outcome::failed;
    EXPECT_EQ(bench.round(), (Kinds{presence}));
    EXPECT_EQ(bench.round(), Kinds{}); // it rests
    EXPECT_EQ(bench.wait(), presence_interval);
    bench.pass(second);
    bench.present = true;
    bench.outcomes[position_of(presence)] = Outcome::done;
    EXPECT_EQ(bench.round(), all_chores);
    // What could not be looked at is as it was.
    bench.outcomes[position_of(presence)] = Outcome::locked;
    bench.pass(minute);
    EXPECT_EQ(bench.round(), all_chores);
    EXPECT_TRUE(bench.agenda.is_present());
}

TEST(Agenda, sleeps_until_the_next_time)
{
    Bench bench;
    bench.next_wake = epoch + 30 * second;
    bench.dues = {epoch + 20 * second, never, never, epoch + 40 * second, never, never, never};
    bench.round();
    EXPECT_EQ(bench.planned, epoch + 20 * second);
    EXPECT_EQ(bench.wait(), 20 * second);
    EXPECT_EQ(bench.wait(false, second), second); // a line for the log
    EXPECT_EQ(bench.wait(true), notify_rest);     // somebody listens
    bench.agenda.turn(audit).opens = boot + 5 * second;
    EXPECT_EQ(bench.wait(), 5 * second);
    bench.agenda.turn(audit).opens = never;
    bench.stands = true;
    EXPECT_EQ(bench.wait(), minute); // by a clock that stands nothing becomes due
}

TEST(Agenda, at_the_time_of_its_plan_it_looks_at_all_that_sessions_would_have_told)
{
    Bench bench;
    bench.dues[5] = epoch + 20 * second;
    bench.round();
    bench.pass(20 * second);
    EXPECT_EQ(bench.round(), (Kinds{waking, notifying, unfinished, reap, expire, months, ahead}));
}

TEST(Agenda, hears_what_sessions_tell)
{
    Bench bench;
    bench.round();
    bench.tell(epoch + 5 * second);
    EXPECT_EQ(bench.wait(), 0);
    bench.pass(second);
    EXPECT_EQ(bench.round(), (Kinds{notifying, unfinished})); // nothing is due yet
    EXPECT_EQ(bench.planned, epoch + 5 * second);
    EXPECT_EQ(bench.wait(), 4 * second);
    bench.pass(4 * second);
    EXPECT_EQ(bench.round(), (Kinds{waking, notifying, unfinished, reap, expire, ahead}));
    EXPECT_FALSE(bench.whole_waking);
    EXPECT_EQ(bench.agenda.told_until(), bench.clock);
}

TEST(Agenda, looks_at_jobs_whose_children_end_at_once_and_then_a_hundred_times_a_second)
{
    Bench bench;
    bench.round();
    bench.rest = unblock_rest;
    bench.children = true;
    EXPECT_EQ(bench.wait(), 0);
    bench.pass(1);
    EXPECT_EQ(bench.round(), (Kinds{unfinished, unblock, ahead}));
    EXPECT_FALSE(bench.children);
    bench.pass(1);
    bench.children = true; // another one has ended
    EXPECT_EQ(bench.wait(), unblock_rest - 1);
    EXPECT_EQ(bench.round(), (Kinds{unfinished}));
    EXPECT_TRUE(bench.children); // is news still
    bench.pass(unblock_rest - 1);
    EXPECT_EQ(bench.wait(), 0);
    EXPECT_EQ(bench.round(), (Kinds{unfinished, unblock, ahead}));
    EXPECT_EQ(bench.agenda.turn(unblock).due, never);
}

TEST(Agenda, looks_again_at_jobs_whose_children_end_where_that_failed)
{
    Bench bench;
    bench.round();
    bench.outcomes[position_of(unblock)] = Outcome::failed;
    bench.children = true;
    bench.round();
    EXPECT_FALSE(bench.children); // the worker has them in mind
    EXPECT_EQ(bench.wait(), second);
    bench.outcomes = {};
    bench.pass(second);
    EXPECT_EQ(bench.round(), (Kinds{notifying, unfinished, unblock, ahead}));
}

TEST(Agenda, counts_a_job_again_that_was_committed_long_after_it_was_due)
{
    Bench bench;
    bench.next_wake = epoch - second; // however long something waits already
    bench.round();
    EXPECT_EQ(bench.planned, epoch + 1);
    bench.tell(epoch - 3 * second);
    bench.begin();
    EXPECT_EQ(bench.agenda.told_until(), epoch - 3 * second - 1);
    EXPECT_EQ(bench.next()->kind, waking);
}

TEST(Agenda, keeps_to_its_plan_when_the_reason_is_gone)
{
    Bench bench;
    bench.more = archive;
    bench.rest = second / 2;
    bench.dues[0] = epoch + 10 * second; // a lease ends; who brings a job that is due later tells nobody
    bench.round();
    bench.dues[0] = never; // its job ends
    bench.more = audit;
    bench.pass(second / 2);
    bench.round(); // archiving goes on
    EXPECT_EQ(bench.planned, epoch + 10 * second);
    bench.pass(19 * second / 2);
    EXPECT_EQ(bench.round().front(), waking);
}

TEST(Agenda, wakes_whom_it_hears_of_between_two_pieces)
{
    Bench bench;
    bench.begin();
    for (const ChoreKind kind : {presence, waking, notifying, unfinished, reap}) {
        const auto action = bench.next();
        ASSERT_EQ(action->kind, kind);
        if (kind == reap) {
            bench.pass(second);
            bench.tell(bench.clock);
        }
        bench.act(*action);
    }
    const auto woken = bench.next();
    EXPECT_EQ(woken->kind, waking);
    EXPECT_EQ(woken->now, epoch + second);
    EXPECT_FALSE(woken->whole);
    bench.outcomes[position_of(waking)] = Outcome::failed;
    bench.act(*woken);
    EXPECT_EQ(bench.next()->kind, expire);
    while (const auto action = bench.next())
        bench.act(*action);
    bench.agenda.turn(expire).due = never;
    bench.end();
    EXPECT_EQ(bench.planned, never); // for waking rests
}

TEST(Agenda, what_becomes_due_in_a_round_has_its_turn_in_the_next_one)
{
    Bench bench;
    bench.dues[1] = epoch + 10 * second;
    bench.round();
    bench.pass(9 * second);
    bench.begin();
    bench.pass(second);
    EXPECT_EQ(bench.next()->kind, notifying);
    EXPECT_EQ(bench.next()->kind, unfinished);
    EXPECT_FALSE(bench.next());
    bench.end();
    EXPECT_EQ(bench.wait(), 0);
    EXPECT_EQ(bench.round(), (Kinds{waking, notifying, unfinished, reap, expire, ahead}));
}

TEST(Agenda, a_clock_that_is_set_back_makes_it_look_at_everything)
{
    Bench bench;
    bench.round();
    bench.clock -= 10 * second;
    bench.begin();
    EXPECT_TRUE(bench.agenda.is_whole());
    EXPECT_EQ(bench.agenda.told_until(), at_once);
}

TEST(Agenda, what_fails_rests_twice_as_long_each_time_while_others_go_on)
{
    Bench bench(3600 * second);
    bench.outcomes[position_of(expire)] = Outcome::failed;
    bench.round();
    for (const Span rest : {1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60}) {
        EXPECT_EQ(bench.agenda.turn(expire).not_before, bench.moment + rest * second);
        EXPECT_EQ(bench.agenda.trouble(bench.moment), Outcome::failed);
        EXPECT_EQ(bench.wait(), rest * second);
        EXPECT_EQ(bench.planned, never); // it waits for nothing: who brings something is to be heard
        bench.dues[0] = bench.clock + rest * second / 2;
        bench.tell(bench.dues[0]);
        bench.round();
        EXPECT_EQ(bench.wait(), rest * second / 2);
        bench.pass(rest * second / 2);
        bench.dues[0] = never;
        EXPECT_EQ(bench.round(), (Kinds{waking, notifying, unfinished, reap, ahead}));
        bench.pass(rest * second / 2);
        EXPECT_EQ(bench.round(), (Kinds{notifying, unfinished, expire, ahead}));
    }
    bench.outcomes[position_of(expire)] = Outcome::done;
    bench.pass(minute);
    bench.round();
    EXPECT_EQ(bench.agenda.turn(expire).failures, 0);
    EXPECT_EQ(bench.agenda.trouble(bench.moment), Outcome::done);
    EXPECT_FALSE(bench.makes_way);
}

TEST(Agenda, a_locked_table_is_no_failure)
{
    for (const Span interval : {minute, second / 5}) {
        Bench bench(interval);
        bench.outcomes[position_of(reap)] = Outcome::locked;
        bench.round();
        EXPECT_EQ(bench.agenda.turn(reap).failures, 0);
        EXPECT_EQ(bench.agenda.turn(reap).not_before, boot + std::min(interval, lock_rest));
        EXPECT_EQ(bench.agenda.trouble(boot), Outcome::locked);
        EXPECT_EQ(bench.agenda.trouble(boot + lock_rest), Outcome::done);
    }
}

TEST(Agenda, makes_way_after_ten_failures_in_a_row_that_may_be_its_own)
{
    Agenda agenda;
    for (int failures = 1; failures <= most_failures; ++failures) {
        EXPECT_FALSE(agenda.chore_ended(reap, Outcome::locked, boot));
        EXPECT_EQ(agenda.chore_ended(reap, Outcome::failed_in_process, boot), failures == most_failures);
    }
    EXPECT_FALSE(agenda.chore_ended(reap, Outcome::failed, boot));
    EXPECT_FALSE(agenda.chore_ended(reap, Outcome::locked, boot));
    EXPECT_FALSE(agenda.chore_ended(reap, Outcome::done, boot));
    EXPECT_FALSE(agenda.chore_ended(reap, Outcome::failed_in_process, boot));
}

TEST(Agenda, when_waking_failed_all_that_is_due_is_counted_again)
{
    Bench bench;
    bench.round();
    bench.outcomes[position_of(waking)] = Outcome::locked;
    bench.tell(epoch + 1);
    bench.pass(second);
    bench.round();
    EXPECT_EQ(bench.agenda.told_until(), at_once);
    EXPECT_EQ(bench.planned, never); // it rests: who brings something is to be heard
    EXPECT_EQ(bench.wait(), lock_rest);
    bench.outcomes[position_of(waking)] = Outcome::done;
    bench.pass(lock_rest);
    EXPECT_EQ(bench.round().front(), waking);
    EXPECT_EQ(bench.agenda.told_until(), bench.clock);
}

TEST(Agenda, who_listens_is_told_ten_times_a_second)
{
    Bench bench;
    bench.round();
    EXPECT_EQ(bench.round(), (Kinds{unfinished}));
    EXPECT_EQ(bench.wait(true), notify_rest);
    EXPECT_EQ(bench.wait(false), minute);
    bench.pass(notify_rest);
    EXPECT_EQ(bench.wait(true), 0);
    EXPECT_EQ(bench.round(), (Kinds{notifying, unfinished}));
}

TEST(Agenda, a_task_with_more_to_do_goes_on_after_its_rest)
{
    Bench bench;
    bench.more = archive;
    bench.round();
    EXPECT_EQ(bench.wait(), 0);
    bench.rest = second / 2;
    bench.pass(1);
    EXPECT_EQ(bench.round(), (Kinds{waking, unfinished, reap, expire, archive, ahead}));
    EXPECT_EQ(bench.planned, never);
    EXPECT_EQ(bench.wait(), second / 2);
    EXPECT_EQ(bench.agenda.trouble(bench.moment), Outcome::done); // all is well
    bench.pass(second / 2);
    bench.more = audit;
    EXPECT_EQ(bench.round(), (Kinds{notifying, unfinished, archive, ahead}));
}

TEST(Agenda, archiving_takes_a_share_of_the_processors)
{
    EXPECT_EQ(rest_after_archiving(10, 10, 1), 190);
    EXPECT_EQ(rest_after_archiving(10, 10, 2), 90);
    EXPECT_EQ(rest_after_archiving(10, 10, 64), 10); // never more than half of one
    EXPECT_EQ(rest_after_archiving(10, 500, 2), 500);
    EXPECT_EQ(rest_after_archiving(0, 0, 1), 19);
}

TEST(Agenda, tasks_whose_next_times_are_not_known_rest_a_second)
{
    Bench bench;
    bench.outcomes[position_of(ahead)] = bench.outcomes[position_of(reap)] = Outcome::failed;
    bench.round();
    bench.pass(second);
    bench.round(); // reap fails once more; ahead too
    EXPECT_EQ(bench.agenda.turn(reap).not_before, bench.moment + 2 * second);
    EXPECT_EQ(bench.agenda.turn(expire).not_before, bench.moment + second);
    bench.pass(second);
    EXPECT_EQ(bench.round().back(), ahead); // which rests still
    EXPECT_EQ(bench.agenda.turn(expire).not_before, bench.moment + second);
}

TEST(Agenda, a_job_that_held_an_earlier_worker_is_set_aside_before_tasks_go_on)
{
    Bench bench;
    bench.outcomes[position_of(unfinished)] = Outcome::failed;
    EXPECT_EQ(bench.round(), (Kinds{presence, waking, notifying, unfinished, heal, statistics}));
    EXPECT_EQ(bench.wait(), task_rest);
    bench.pass(task_rest);
    bench.round();
    bench.pass(task_rest); // of two seconds after the second failure
    EXPECT_EQ(bench.round(), (Kinds{notifying, unfinished}));
    EXPECT_EQ(bench.wait(), task_rest);
    bench.outcomes[position_of(unfinished)] = Outcome::done;
    bench.pass(task_rest);
    EXPECT_EQ(bench.round(),
              (Kinds{notifying, unfinished, reap, expire, unblock, remove, archive, months, erase, ahead}));
}

TEST(Agenda, healing_goes_on_after_its_rest_until_it_is_done)
{
    Bench bench;
    bench.more = heal;
    bench.rest = 100 * millisecond;
    bench.round();
    EXPECT_EQ(bench.wait(), 100 * millisecond);
    bench.pass(100 * millisecond);
    bench.more = audit;
    EXPECT_EQ(bench.round(), (Kinds{notifying, unfinished, heal}));
    EXPECT_EQ(bench.wait(), minute - 100 * millisecond);
    bench.pass(second);
    EXPECT_EQ(bench.round(), (Kinds{notifying, unfinished})); // till everything is looked at again
}

TEST(Agenda, the_audit_goes_by_its_own_time)
{
    Bench bench;
    bench.begin();
    bench.agenda.turn(audit).opens = boot + second;
    Kinds tried;
    const auto rest_of_round = [&] {
        tried.clear();
        while (const auto action = bench.next()) {
            tried.push_back(action->kind);
            bench.act(*action);
        }
        bench.end();
    };
    rest_of_round();
    EXPECT_EQ(tried, all_chores);
    EXPECT_EQ(bench.wait(), second);
    EXPECT_EQ(bench.planned, never); // no session tells of what it is about
    bench.pass(second);
    bench.begin();
    bench.agenda.turn(audit).opens = boot + second;
    bench.agenda.turn(audit).rest(second, bench.moment);
    rest_of_round();
    EXPECT_EQ(tried, (Kinds{notifying, unfinished}));
    EXPECT_EQ(bench.wait(), second);
}

class Random {
public:
    explicit Random(unsigned seed) : engine_(seed) {}
    int below(int limit) { return static_cast<int>(engine_() % static_cast<unsigned>(limit)); }
    bool one_in(int many) { return below(many) == 0; }
    Span span(Span limit) { return static_cast<Span>(engine_() % static_cast<std::uint64_t>(limit)); }

private:
    std::mt19937_64 engine_;
};

// Sessions that commit, and a worker that lives by the agenda, atomic step by atomic step in any order. A thing
// becomes due by the queue's clock: a job that sleepers wait for, a lease, an expiry. Who does it is a chore.
class World {
public:
    explicit World(unsigned seed)
        : random_(seed), rarely_(3 + static_cast<int>(seed % 16)), may_fail_(seed % 3 == 1),
          clock_is_set_(seed % 3 == 2)
    {
        interval_ = std::array{second / 10, second, minute, 3600 * second}[seed / 3 % 4];
    }

    void live(int steps)
    {
        while (steps-- > 0 && !testing::Test::HasFailure()) {
            if (random_.one_in(rarely_))
                advance_session(static_cast<std::size_t>(random_.below(sessions)));
            else if (random_.one_in(rarely_))
                happen();
            else
                advance_worker();
            check_sleep();
        }
    }

    // Nobody commits any more, nothing fails: what is due in the next second is done. Returns how much is not.
    long settle()
    {
        outcomes_ = {};
        for (std::size_t i = 0; i < sessions; ++i)
            while (session_[i].at != At::away)
                advance_session(i);
        const Instant last = clock_ + second;
        const auto is_undone = [&](const Thing &thing) { return !thing.done && thing.due <= last; };
        long undone = 1;
        // Two of a backlog are done in each round of some fifty steps; the largest of these worlds takes 20 500.
        for (int steps = 0; steps < 30000 && undone > 0; ++steps) {
            advance_worker();
            check_sleep();
            undone = std::count_if(things_.begin(), things_.end(), is_undone);
        }
        return undone;
    }

private:
    static constexpr int sessions = 3;
    enum class At { away, writes, lowers, sets_latch };
    enum class WorkerAt { takes_plan, begins, goes_on, looks, ends, publishes, waits, asleep };

    struct Thing {
        ChoreKind kind;
        Instant due;
        bool done = false;
    };
    struct Session {
        At at = At::away;
        Thing thing;
    };

    void advance_session(std::size_t number)
    {
        Session &session = session_[number];
        switch (session.at) {
        case At::away:
            session.thing = {
                std::array{waking, waking, reap, expire, unblock}[static_cast<std::size_t>(random_.below(5))],
                clock_ + random_.span(random_.one_in(4) ? 4 * minute : 2 * second)};
            session.thing.due +=
                session.thing.kind == waking ? 1 : -random_.span(second); // due at once: the session wakes
            if (session.thing.kind == unblock)
                session.thing.due = 0; // not by the clock
            session.at = At::writes;
            return;
        case At::writes:
            if (random_.one_in(4)) // it has a long time to go until it commits
                return;
            things_.push_back(session.thing);
            session.at = At::lowers;
            return;
        case At::lowers:
            if (session.thing.kind == unblock) {
                session.at = std::exchange(children_, true) ? At::away : At::sets_latch;
                return;
            }
            session.at = session.thing.due < planned_ ? At::sets_latch : At::away;
            planned_ = std::min(planned_, session.thing.due);
            return;
        case At::sets_latch:
            latch_ = true;
            session.at = At::away;
            return;
        }
    }

    void pass(Span span)
    {
        clock_ += span;
        moment_ += span;
        idle_rounds_ = span > 0 ? 0 : idle_rounds_;
    }

    // What is not the worker's, nor a commit.
    void happen()
    {
        switch (random_.below(12)) {
        case 0:
            if (random_.one_in(rarely_))
                asked_ = latch_ = true;
            break;
        case 1:
            if (random_.one_in(rarely_))
                reload_ = latch_ = true;
            break;
        case 2:
            clock_ -= clock_is_set_ ? random_.span(minute) : 0;
            break;
        case 3:
        case 4:
        case 5:
            if (may_fail_)
                outcomes_[static_cast<std::size_t>(random_.below(chore_count))] =
                    static_cast<Outcome>(random_.below(4));
            break;
        case 6:
            archive_backlog_ += random_.below(8);
            break;
        case 7:
            if (random_.one_in(4))
                outcomes_ = {};
            break;
        case 8:
            end_early();
            break;
        default:
            pass(random_.span(second));
        }
    }

    // The next lease, since its job ends; or the next expiry, since its job was started.
    void end_early()
    {
        Thing *first = nullptr;
        for (Thing &thing : things_)
            if (!thing.done && thing.kind != waking && (first == nullptr || thing.due < first->due))
                first = &thing;
        if (first != nullptr)
            first->done = true;
    }

    Now now() const { return {clock_, moment_}; }

    void advance_worker()
    {
        switch (worker_at_) {
        case WorkerAt::takes_plan:
            news_ = {std::exchange(planned_, never), std::exchange(asked_, false), children_};
            worker_at_ = WorkerAt::begins;
            return;
        case WorkerAt::begins:
            ASSERT_LT(++idle_rounds_, 100) << "it spins";
            ++clock_; // no two rounds begin at the same time
            agenda_.begin_round(now(), clock_, news_, interval_);
            agenda_.turn(audit).opens = audit_at_;
            worker_at_ = WorkerAt::goes_on;
            return;
        case WorkerAt::goes_on:
            action_ = agenda_.next(now());
            worker_at_ = action_ ? WorkerAt::looks : WorkerAt::publishes;
            return;
        case WorkerAt::looks:
            look();
            worker_at_ = WorkerAt::ends;
            return;
        case WorkerAt::ends:
            end_chore(*action_);
            return;
        case WorkerAt::publishes:
            if (agenda_.is_present())
                planned_ = std::min(planned_, agenda_.publish(moment_));
            worker_at_ = WorkerAt::waits;
            return;
        case WorkerAt::waits: {
            const Span wait = agenda_.time_to_sleep(now(), {planned_, asked_, children_}, false, never);
            ASSERT_LE(wait, interval_);
            wakes_at_ = moment_ + wait;
            worker_at_ = WorkerAt::asleep;
            return;
        }
        case WorkerAt::asleep:
            wake_up();
        }
    }

    void wake_up()
    {
        if (!latch_)
            pass(wakes_at_ > moment_ ? wakes_at_ - moment_ : 0);
        latch_ = false;
        if (std::exchange(reload_, false))
            agenda_.settings_changed();
        worker_at_ = WorkerAt::takes_plan;
    }

    // Under a snapshot; what comes of it is told later.
    void look()
    {
        told_until_ = agenda_.told_until();
        snapshot_ = things_.size();
        looked_at_ = clock_;
        rests_ = agenda_.turn(action_->kind).is_resting(moment_);
        children_ = children_ && action_->kind != unblock;
        latch_ = latch_ && random_.one_in(2); // whatever waits for a lock resets it
        ASSERT_TRUE(!rests_ || action_->kind == unfinished || action_->kind == ahead);
    }

    std::span<Thing> seen() { return std::span(things_).first(snapshot_); }

    Instant first_due(ChoreKind kind)
    {
        Instant first = never;
        for (const Thing &thing : seen())
            if (thing.kind == kind && !thing.done)
                first = std::min(first, thing.due);
        return first;
    }

    void end_chore(const Action &action)
    {
        worker_at_ = WorkerAt::goes_on;
        const Outcome outcome = outcomes_[position_of(action.kind)];
        const bool done = !rests_ && outcome == Outcome::done;
        const bool is_free = action.kind == unfinished && outcome == Outcome::done; // nothing is unfinished
        if (!rests_ && !is_free && agenda_.chore_ended(action.kind, outcome, moment_)) {
            agenda_ = {}; // another process
            planned_ = never;
            outcomes_ = {};
            worker_at_ = WorkerAt::takes_plan;
            return;
        }
        // Tasks rest beyond the time that is published for them: what is due later than that, sessions do not tell
        // meanwhile.
        if (!done && (action.kind == ahead || (action.kind == unfinished && !is_free)))
            hidden_until_ = moment_ + task_rest;
        if (action.kind == presence && done)
            agenda_.presence_seen(true);
        else if (action.kind == waking && done)
            wake(action);
        else if (action.kind == unfinished && !is_free)
            agenda_.unfinished_stays(moment_);
        else if (action.kind == ahead)
            look_ahead(done);
        else if (action.kind == audit)
            audit_at_ = agenda_.turn(audit).opens = moment_ + random_.span(minute);
        else if ((action.kind == heal || action.kind == statistics) && done)
            agenda_.slice_done(action.kind, random_.one_in(4), random_.span(second), moment_);
        else if (is_task(action.kind)) {
            if (done)
                do_piece(action);
            agenda_.hear(std::exchange(planned_, never));
        }
    }

    void wake(const Action &action)
    {
        Instant next = never;
        for (Thing &thing : seen())
            if (thing.kind == waking && thing.due > action.now)
                next = std::min(next, thing.due);
            else if (thing.kind == waking && (action.whole || thing.due > told_until_))
                thing.done = true;
        agenda_.sleepers_woken(action.now, next);
    }

    void do_piece(const Action &action)
    {
        int most = 2;
        for (Thing &thing : seen())
            if (thing.kind == action.kind && !thing.done && thing.due <= action.now && most-- > 0)
                thing.done = true;
        archive_backlog_ -= action.kind == archive && archive_backlog_ > 0 ? 1 : 0;
        const bool more = action.kind == archive ? archive_backlog_ > 0 : most < 0;
        const Span rest = action.kind == archive && more ? random_.span(second) : 0;
        agenda_.piece_done(action.kind, more, action.kind == unblock && !more ? unblock_rest : rest, moment_);
    }

    void look_ahead(bool done)
    {
        const Dues dues = {
            first_due(reap), first_due(expire), never, never, archive_backlog_ > 0 ? looked_at_ : never, never, never};
        agenda_.dues_seen(done ? &dues : nullptr, moment_);
    }

    // When it sleeps, and who lowered the plan has set its latch, it wakes up in time for all that is there.
    void check_sleep()
    {
        const bool is_told = std::none_of(session_.begin(), session_.end(), [](const Session &session) {
            return session.at == At::lowers || session.at == At::sets_latch;
        });
        if (worker_at_ != WorkerAt::asleep || latch_ || !is_told || !agenda_.is_present())
            return;
        for (const Thing &thing : things_) {
            if (thing.done)
                continue;
            const Moment in_time =
                std::max(moment_ + span_until(clock_, thing.due), agenda_.turn(thing.kind).not_before);
            ASSERT_LE(wakes_at_, std::max(in_time, hidden_until_)) << "chore " << position_of(thing.kind);
        }
    }

    Random random_;
    int rarely_; // somebody commits: in one world the worker has more to do, in another it sleeps for long
    bool may_fail_, clock_is_set_;
    Span interval_;
    Instant clock_ = epoch;
    Moment moment_ = boot;
    std::vector<Thing> things_; // that are committed
    std::array<Session, sessions> session_ = {};
    // Shared memory.
    Instant planned_ = never;
    bool asked_ = false, latch_ = false, reload_ = false, children_ = false;
    // The worker.
    Agenda agenda_;
    WorkerAt worker_at_ = WorkerAt::takes_plan;
    News news_ = {};
    std::optional<Action> action_;
    Instant told_until_ = at_once, looked_at_ = at_once;
    std::size_t snapshot_ = 0;
    bool rests_ = false;
    Moment wakes_at_ = boot, audit_at_ = boot, hidden_until_ = boot;
    std::array<Outcome, chore_count> outcomes_ = {};
    int archive_backlog_ = 0, idle_rounds_ = 0;
};

TEST(Agenda, nothing_that_becomes_due_is_lost_or_late)
{
    for (unsigned seed = 0; seed < 1000; ++seed) {
        World world(seed);
        world.live(1500);
        ASSERT_EQ(world.settle(), 0) << "seed " << seed;
        ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    }
}

} // namespace
