// The runs of `ended` that a task has to read: the jobs of one lane that ended well or badly, and are to leave `jobs`
// after so long. There may be thousands of lanes, the worker looks at all of them again and again, and most have
// nothing that is due: of these the heads in shared memory say so (shared/hints.hpp), and no index is read.
#pragma once

#include <algorithm>

#include "store/run_scan.hpp"
#include "upkeep/work.hpp"

namespace upkeep {

struct EndedLane {
    shared::hints::LaneSpot lane;
    std::array<Keep, logic::ended_ranks> keeps; // by rank
};

// All of them in the order of their numbers. Valid until the next call.
std::span<EndedLane> ended_lanes();

// The earliest times at which a job of the lane ended, or earlier ones; infinity: none did. At first at a glance, then
// as exactly as hints are. Gives the lane room for hints, unless there is none: then `is_full` says so to the next
// ones.
class EndedAt {
public:
    EndedAt(const store::KeyTable &ended, EndedLane &lane, store::Hints hints, bool &is_full);
    void look_closely();
    TimestampTz operator[](std::size_t rank) const { return times_[rank]; }

private:
    const store::KeyTable &ended_;
    EndedLane &lane_;
    bool is_known_; // of the lane, by its hints
    std::array<TimestampTz, logic::ended_ranks> times_;
};

// Calls `each(lane, rank, keep)` for the runs for which `may(keep, ended_at)` says that a job that ended then matters,
// until it returns false. Begins with the lanes behind `from`, and goes around.
template <class May, class Each>
void each_ended_run(const store::KeyTable &ended, store::Hints hints, std::int32_t from, May may, Each each)
{
    const std::span<EndedLane> lanes = ended_lanes();
    const auto behind =
        std::upper_bound(lanes.begin(), lanes.end(), from,
                         [](std::int32_t number, const EndedLane &lane) { return number < lane.lane.lane; });
    const auto first = static_cast<std::size_t>(behind - lanes.begin());
    bool is_full = false;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
        EndedLane &lane = lanes[(first + i) % lanes.size()];
        EndedAt ended_at(ended, lane, hints, is_full);
        auto matters = [&](std::size_t rank) { return may(lane.keeps[rank], ended_at[rank]); };
        if (!matters(logic::completed_rank) && !matters(logic::failed_rank) && !matters(logic::cancelled_rank))
            continue;
        ended_at.look_closely();
        for (std::size_t rank = 0; rank < lane.keeps.size(); ++rank)
            if (matters(rank) && !each(lane.lane.lane, static_cast<std::int16_t>(rank), lane.keeps[rank]))
                return;
    }
}

} // namespace upkeep
