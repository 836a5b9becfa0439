#include "worker/waking.hpp"

#include <algorithm>

#include "settings.hpp"
#include "shared/sleepers.hpp"
#include "store/lane_set.hpp"
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

// The lanes for which sleepers are to be woken. Nobody can claim jobs of a paused type: sleepers would be woken for
// them again and again. The end of the pause wakes all sleepers of the database (anything_changed()).
std::span<shared::hints::LaneSpot> lanes_of(const shared::sleepers::Wanted &wanted)
{
    const store::LaneSet all = store::lanes_for({}, {});
    if (wanted.all_lanes || settings::notify)
        return all.lanes;
    auto named = static_cast<shared::hints::LaneSpot *>(palloc(sizeof(shared::hints::LaneSpot) * wanted.lanes.size()));
    std::size_t count = 0;
    for (int i = 0; i < wanted.lane_count; ++i)
        if (const std::int32_t lane = wanted.lanes[static_cast<std::size_t>(i)]; all.has(lane))
            named[count++] = {lane};
    return {named, count};
}

} // namespace

Woken wake_sleepers(TimestampTz from, TimestampTz told_until, TimestampTz now)
{
    Woken result;
    const shared::sleepers::Wanted wanted = shared::sleepers::lanes_wanted(MyDatabaseId);
    // `next_due` stays DT_NOEND: the next sleeper tells the worker when it has to wake (tell_due()).
    if (wanted.sleepers == 0 && !settings::notify)
        return result;

    const store::Hints hints = store::note_hints();
    PushActiveSnapshot(GetTransactionSnapshot());
    {
        store::KeyTable queue(store::PrivateTable::queue, AccessShareLock);
        store::each_due_lane(queue, lanes_of(wanted), now, hints, result.next_due, [&](std::int32_t lane) {
            const int due = count_due(queue, lane, from, now, std::max(wanted.sleepers, 1));
            result.any_new = result.any_new || (settings::notify && count_due(queue, lane, told_until, now, 1) > 0);
            result.sleepers += shared::sleepers::wake_up_to(MyDatabaseId, lane, due);
            result.next_due = std::min(result.next_due, store::next_due_in_lane(queue, GetActiveSnapshot(), lane, now));
        });
    }
    PopActiveSnapshot();
    return result;
}

} // namespace worker
