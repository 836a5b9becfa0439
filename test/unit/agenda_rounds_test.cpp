// When the worker looks at everything, and what it hears of and sleeps until in between.
#include "agenda_bench.hpp"

namespace {

using namespace agenda_test;
using enum ChoreKind;

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

} // namespace
