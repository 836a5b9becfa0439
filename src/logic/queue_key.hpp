// Where a job stands in the queue, and among the ended jobs: a function of its row alone, so that a row of a derived
// table can be found, checked and made anew from the jobs row, and nothing else has to be remembered. Pure C++,
// unit-tested.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>

#include "logic/states.hpp"

namespace logic {

// Microseconds since 2000-01-01, as Postgres counts.
using Instant = std::int64_t;

// Lanes of types begin at 1 (store/lanes.hpp).
inline constexpr std::int32_t running_lane = 0;

// The ranks of a lane: check_priority allows -10 to 10. An owner who drops it has what is beyond counted as the last.
inline constexpr std::int16_t best_rank = -10, worst_rank = 10;
inline constexpr std::size_t rank_count = worst_rank - best_rank + 1;
constexpr bool is_rank(std::int16_t rank) { return rank >= best_rank && rank <= worst_rank; }

// In the order in which the queue's index has them: by it a lane is read best first.
struct QueueKey {
    std::int32_t lane;
    std::int16_t rank;
    Instant due_at;

    friend constexpr auto operator<=>(const QueueKey &, const QueueKey &) = default;
};

// A waiting job stands in the lane of its type by rank and due time, the rank being -priority; a running job in lane 0
// by the moment at which it must be looked at again, the end of its lease or of its run time; any other job has no row.
// Nor has a running job without either time: nothing would ever be due.
constexpr std::optional<QueueKey> make_queue_key(Status status, std::int32_t lane_of_type, std::int32_t priority,
                                                 Instant run_at, std::optional<Instant> lease_expires_at,
                                                 std::optional<Instant> timeout_at)
{
    if (waiting(status))
        return QueueKey{lane_of_type,
                        static_cast<std::int16_t>(-std::clamp<std::int32_t>(priority, -worst_rank, -best_rank)),
                        run_at};
    if (status != Status::in_progress)
        return std::nullopt;
    if (!lease_expires_at && !timeout_at)
        return std::nullopt;
    const Instant due = lease_expires_at && timeout_at ? std::min(*lease_expires_at, *timeout_at)
                                                       : lease_expires_at.value_or(timeout_at.value_or(0));
    return QueueKey{running_lane, 0, due};
}

inline constexpr std::int16_t completed_rank = 0, failed_rank = 1, cancelled_rank = 2;
inline constexpr std::int16_t ended_ranks = 3;
constexpr std::int16_t rank_of_ended(Status status)
{
    return status == Status::completed ? completed_rank : status == Status::failed ? failed_rank : cancelled_rank;
}

// Where an ended job waits to leave `jobs`: in the lane of its type, by how it ended. The type keeps what completed for
// another time than the others; who looks wants each. No row without finished_at, which check_finished_timestamp keeps
// from happening as long as the owner leaves it there.
constexpr std::optional<QueueKey> make_ended_key(Status status, std::int32_t lane_of_type,
                                                 std::optional<Instant> finished_at)
{
    if (!has_ended(status) || !finished_at)
        return std::nullopt;
    return QueueKey{lane_of_type, rank_of_ended(status), *finished_at};
}

} // namespace logic
