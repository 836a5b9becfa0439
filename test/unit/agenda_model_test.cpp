// The worker and its agenda among sessions that commit, in any order: nothing that becomes due is lost or late.
#include <random>

#include "agenda_bench.hpp"

namespace {

using namespace agenda_test;
using enum ChoreKind;

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
        else if (is_in_slices(action.kind) && done)
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
