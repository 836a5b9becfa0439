// The states of a job and the legal moves between them: the one table that verbs and our triggers ask. job/moves.hpp
// has what each move does to the row. Pure C++, unit-tested.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace logic {

enum class Status : std::uint8_t { pending, queued, in_progress, paused, blocked, completed, failed, cancelled };

using StatusSet = std::uint32_t; // a bit for each Status
constexpr StatusSet bit_of_status(Status status) { return StatusSet{1} << static_cast<unsigned>(status); }
template <class... Statuses>
constexpr StatusSet set_of(Statuses... statuses)
{
    return (StatusSet{0} | ... | bit_of_status(statuses));
}

// Waiting: a job in the queue, claimable as soon as it is due; pending and queued differ only in what people see. Held:
// paused, or blocked by its children, in no queue. Ended: for good, unless job_retry brings it back.
enum class Phase : std::uint8_t { waiting, running, held, ended };

struct State {
    std::string_view name;
    Phase phase;
    StatusSet next = 0;        // where a verb or a direct UPDATE may take it
    StatusSet after_retry = 0; // where job_retry alone may
    StatusSet by_children = 0; // where job_await_children and the end of the children alone may
    StatusSet by_steps = 0;    // where job_step_await alone may
};

// In the order of Status. Moves that one may not expect: a waiting job fails when it has been started as often as can
// be counted (moves::give_up()); a running job goes back to pending with a retry left, by job_release, or when it is
// reaped.
inline constexpr auto states = [] {
    using enum Status;
    return std::array{
        State{"pending", Phase::waiting, set_of(in_progress, paused, cancelled, failed)},
        State{"queued", Phase::waiting, set_of(in_progress, paused, cancelled, failed)},
        State{"in_progress", Phase::running, set_of(completed, failed, pending, cancelled), 0, set_of(blocked, queued),
              set_of(paused)},
        State{"paused", Phase::held, set_of(queued, cancelled)},
        State{"blocked", Phase::held, set_of(cancelled), 0, set_of(queued)},
        State{"completed", Phase::ended},
        State{"failed", Phase::ended, 0, set_of(queued)},
        State{"cancelled", Phase::ended, 0, set_of(queued)},
    };
}();

constexpr const State &state_of_status(Status status) { return states[static_cast<std::size_t>(status)]; }
constexpr std::string_view name_of_status(Status status) { return state_of_status(status).name; }

constexpr std::optional<Status> parse_status(std::string_view text)
{
    for (std::size_t i = 0; i < states.size(); ++i)
        if (states[i].name == text)
            return static_cast<Status>(i);
    return std::nullopt;
}

constexpr StatusSet statuses_in(Phase phase)
{
    StatusSet result = 0;
    for (std::size_t i = 0; i < states.size(); ++i)
        if (states[i].phase == phase)
            result |= bit_of_status(static_cast<Status>(i));
    return result;
}
inline constexpr StatusSet all_statuses = (StatusSet{1} << states.size()) - 1;

constexpr bool waiting(Status status) { return state_of_status(status).phase == Phase::waiting; }
constexpr bool held(Status status) { return state_of_status(status).phase == Phase::held; }
constexpr bool has_ended(Status status) { return state_of_status(status).phase == Phase::ended; }

// Who asks for a move: a verb or a direct UPDATE; job_retry, which alone brings an ended job back; the wait of a job
// for its children, and for a decision on one of its steps.
enum class Mover : std::uint8_t { anyone, job_retry, children, steps };

constexpr bool legal(Status from, Status to, Mover mover = Mover::anyone)
{
    const State &state = state_of_status(from);
    const StatusSet next = mover == Mover::job_retry  ? state.next | state.after_retry
                           : mover == Mover::children ? state.by_children
                           : mover == Mover::steps    ? state.by_steps
                                                      : state.next;
    return (next & bit_of_status(to)) != 0;
}

// What a client may insert: a job begins in the queue or paused. The owner of `jobs` may insert any state (a restore, a
// migration).
constexpr bool insertable(Status status) { return waiting(status) || status == Status::paused; }

} // namespace logic
