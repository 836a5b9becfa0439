#include "store/queue_scan.hpp"

#include <algorithm>

namespace store {

namespace {

enum QueueColumn : AttrNumber { lane_column = 1, rank_column };

} // namespace

LaneScan::LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, TimestampTz from)
    : LaneScan(queue, snapshot, lane, now, from, Hints{})
{
}

LaneScan::LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, Hints hints)
    : LaneScan(queue, snapshot, lane, now, DT_NOBEGIN, hints)
{
}

LaneScan::LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, TimestampTz from,
                   Hints hints)
    : lane_(lane), now_(now), from_(from), has_hints_(read_places(queue, lane, hints, places_)),
      run_(queue, snapshot, has_hints_ ? hints : Hints{})
{
    if (has_hints_)
        run_.heed_takers();
    else
        ranks_ = pg::begin_index_scan(queue.table(), queue.index(), snapshot, 2);
    if (!has_hints_)
        ranks_->xs_want_itup = true; // before the first rescan, in which the b-tree allocates the room for it
    advance();
}

LaneScan::~LaneScan()
{
    if (ranks_ != nullptr)
        index_endscan(ranks_);
}

// Starts the run of the next rank that may have a due row. False: there is none.
bool LaneScan::next_rank() { return has_hints_ ? next_hinted_rank() : next_found_rank(); }

bool LaneScan::next_hinted_rank()
{
    while (++rank_ <= logic::worst_rank) {
        const auto rank = static_cast<std::int16_t>(rank_);
        if (place_at(places_, rank).due_at > now_)
            continue;
        run_.start(lane_, rank, place_at(places_, rank), now_);
        return true;
    }
    return false;
}

bool LaneScan::next_found_rank()
{
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], lane_column, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(lane_));
    ScanKeyInit(&keys[1], rank_column, BTGreaterStrategyNumber, F_INT2GT, Int16GetDatum(static_cast<int16>(rank_)));
    index_rescan(ranks_, keys, 2, nullptr, 0);
    // No heap fetch, so a rank may be found of which no row is visible: advance() then goes on to the next one. None
    // that has a visible row is missed, because an index tuple goes only when its row is dead to every snapshot.
    if (index_getnext_tid(ranks_, ForwardScanDirection) == nullptr)
        return false;
    rank_ = DatumGetInt16(pg::indexed(ranks_, rank_column));
    run_.start(lane_, static_cast<std::int16_t>(rank_), logic::first_place(from_), now_);
    return true;
}

void LaneScan::skip_rank()
{
    run_.leave();
    advance();
}

void LaneScan::advance()
{
    for (;;) {
        head_ = run_.next();
        if (head_ == nullptr && !next_rank())
            return;
        if (head_ != nullptr && !run_.is_going())
            return;
        met_changes_ = met_changes_ || head_ != nullptr;
    }
}

TimestampTz next_due_in_lane(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz after)
{
    TimestampTz first = DT_NOEND;
    // From the next microsecond on, without an end: the head of each rank is its earliest row.
    for (LaneScan later(queue, snapshot, lane, DT_NOEND, after + 1); later.head() != nullptr; later.skip_rank())
        first = std::min(first, later.head()->key.due_at);
    return first;
}

TimestampTz next_due_of(KeyTable &queue, std::span<shared::hints::LaneSpot> lanes, TimestampTz after, Hints hints)
{
    TimestampTz first = DT_NOEND;
    each_due_lane(queue, lanes, after, hints, first, [&](std::int32_t lane) {
        first = std::min(first, next_due_in_lane(queue, GetActiveSnapshot(), lane, after));
    });
    return first;
}

std::optional<std::int32_t> next_lane(KeyTable &queue, std::int32_t lane)
{
    ScanKeyData key;
    ScanKeyInit(&key, lane_column, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(lane));
    IndexScanDesc scan = pg::begin_index_scan(queue.table(), queue.index(), GetActiveSnapshot(), 1);
    scan->xs_want_itup = true;
    index_rescan(scan, &key, 1, nullptr, 0);
    std::optional<std::int32_t> found;
    if (index_getnext_tid(scan, ForwardScanDirection) != nullptr)
        found = DatumGetInt32(pg::indexed(scan, lane_column));
    index_endscan(scan);
    return found;
}

} // namespace store
