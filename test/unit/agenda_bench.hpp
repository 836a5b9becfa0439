// The bench on which the tests of the agenda run: a worker whose chores come to what a test says.
#pragma once

#include <vector>

#include <gtest/gtest.h>

#include "logic/agenda.hpp"

namespace agenda_test {

using namespace logic::agenda;
using enum ChoreKind;

constexpr Span minute = 60 * second;
constexpr Moment boot = 1000 * second;        // the moment at which a test begins,
constexpr Instant epoch = 1'000'000 * second; // and the time by the queue's clock

// What is done in slices, as often as it takes.
inline bool is_in_slices(ChoreKind kind) { return kind == heal || kind == statistics || kind == depths; }

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
        else if (is_in_slices(action.kind) && done)
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
inline const Kinds all_chores = {presence, waking, notifying, unfinished, reap, expire,     unblock, remove,
                                 archive,  months, erase,     ahead,      heal, statistics, depths};

} // namespace agenda_test
