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
    StatusSet next = 0; // where a verb or a direct UPDATE may take it
    // Where a direct UPDATE, or the wait for a decision on a step, may besides: the lease is given back with it.
    StatusSet with_release = 0;
    StatusSet after_retry = 0; // where job_retry alone may
    StatusSet by_children = 0; // where job_await_children and the end of the children alone may
};

// In the order of Status. Moves that one may not expect: a waiting job fails when it has been started as often as can
// be counted (moves::give_up()); a running job goes back to pending with a retry left, by job_release, or when it is
// reaped. An UPDATE pauses a running job, which gives it back as well; job_pause does not, since it names no lease.
inline constexpr auto states = [] {
    using enum Status;
    return std::array{
        State{"pending", Phase::waiting, set_of(in_progress, paused, cancelled, failed)},
        State{"queued", Phase::waiting, set_of(in_progress, paused, cancelled, failed)},
        State{.name = "in_progress",
              .phase = Phase::running,
              .next = set_of(completed, failed, pending, cancelled),
              .with_release = set_of(paused),
              .by_children = set_of(blocked, queued)},
        State{"paused", Phase::held, set_of(queued, cancelled)},
        State{.name = "blocked", .phase = Phase::held, .next = set_of(cancelled), .by_children = set_of(queued)},
        State{"completed", Phase::ended},
        State{.name = "failed", .phase = Phase::ended, .after_retry = set_of(queued)},
        State{.name = "cancelled", .phase = Phase::ended, .after_retry = set_of(queued)},
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

// Who asks for a move: a verb; a direct UPDATE; job_retry, which alone brings an ended job back; the wait of a job for
// its children, and for a decision on one of its steps.
enum class Mover : std::uint8_t { verb, update, job_retry, children, steps };

constexpr bool legal(Status from, Status to, Mover mover = Mover::verb)
{
    const State &state = state_of_status(from);
    StatusSet next = mover == Mover::children ? state.by_children : state.next;
    if (mover == Mover::update || mover == Mover::steps)
        next |= state.with_release;
    if (mover == Mover::job_retry)
        next |= state.after_retry;
    return (next & bit_of_status(to)) != 0;
}

// Whether a direct UPDATE that sets this status moves nothing: it is there already, or the job waits either way, and
// which of the two words says so is the server's to tell.
constexpr bool stays(Status from, Status to) { return from == to || (waiting(from) && waiting(to)); }

// What a client may insert: a job begins in the queue or paused. The owner of `jobs` may insert any state (a restore, a
// migration).
constexpr bool insertable(Status status) { return waiting(status) || status == Status::paused; }

} // namespace logic
