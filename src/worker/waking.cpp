#include "worker/waking.hpp"

#include <algorithm>

#include "settings.hpp"
#include "shared/sleepers.hpp"
#include "store/lanes.hpp"
#include "store/queue_scan.hpp"

namespace worker {

namespace {

// How many jobs of the lane became due later than `from` and not later than `now`; counts no further than `most`,
// because more sleepers than there are cannot be woken, and a lane may have millions.
int count_due(store::KeyTable &queue, std::int32_t lane, TimestampTz from, TimestampTz now, int most)
{
    int count = 0;
    for (store::LaneScan due(queue, GetActiveSnapshot(), lane, now, from + 1); due.head() != nullptr; due.advance())
        if (++count >= most)
            break;
    return count;
}

// Nobody can claim jobs of a paused type: sleepers would be woken for them again and again. The end of the pause wakes
// all sleepers of the database (anything_changed()).
bool is_paused(std::int32_t lane)
{
    const auto type = store::lanes::type_of(lane);
    return type && store::types::settings_of(*type).paused;
}

} // namespace

Woken wake_sleepers(TimestampTz from, TimestampTz told_until, TimestampTz now)
{
    Woken result;
    const shared::sleepers::Wanted wanted = shared::sleepers::lanes_wanted(MyDatabaseId);
    // `next_due` stays DT_NOEND: the next sleeper tells the worker when it has to wake (tell_due()).
    if (wanted.sleepers == 0 && !settings::notify)
        return result;

    PushActiveSnapshot(GetTransactionSnapshot());
    {
        store::KeyTable queue(store::PrivateTable::queue, AccessShareLock);
        auto look = [&](std::int32_t lane) {
            if (is_paused(lane))
                return;
            const int due = count_due(queue, lane, from, now, std::max(wanted.sleepers, 1));
            result.any_new = result.any_new || (settings::notify && count_due(queue, lane, told_until, now, 1) > 0);
            result.sleepers += shared::sleepers::wake_up_to(MyDatabaseId, lane, due);
            result.next_due = std::min(result.next_due, store::next_due_in_lane(queue, GetActiveSnapshot(), lane, now));
        };
        // One index probe for each lane there is, for a sleeper that wants any, or more than it can name.
        if (wanted.all_lanes || settings::notify)
            for (auto lane = store::next_lane(queue, logic::running_lane); lane; lane = store::next_lane(queue, *lane))
                look(*lane);
        else
            std::for_each(wanted.lanes.begin(), wanted.lanes.begin() + wanted.lane_count, look);
    }
    PopActiveSnapshot();
    return result;
}

} // namespace worker
