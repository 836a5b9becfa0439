// When a chore comes again: after a failure, a locked table, a piece that left something to do.
#include "agenda_bench.hpp"

namespace {

using namespace agenda_test;
using enum ChoreKind;

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
    EXPECT_EQ(bench.round(), (Kinds{presence, waking, notifying, unfinished, heal, statistics, depths}));
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

} // namespace
