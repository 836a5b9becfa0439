#include "store/queue_scan.hpp"

#include <algorithm>

namespace store {

namespace {

enum QueueColumn : AttrNumber { lane_column = 1, rank_column, due_column, job_column };

// A column of the index tuple at which the scan stands; needs xs_want_itup.
Datum indexed(IndexScanDesc scan, AttrNumber column)
{
    bool null;
    return index_getattr(scan->xs_itup, column, RelationGetDescr(scan->indexRelation), &null);
}

} // namespace

LaneScan::LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, TimestampTz from)
    : lane_(lane), now_(now), from_(from), rank_(PG_INT16_MIN),
      ranks_(pg::begin_index_scan(queue.table(), queue.index(), snapshot, 2)),
      run_(pg::begin_index_scan(queue.table(), queue.index(), snapshot, 4)), slot_(queue.table())
{
    ranks_->xs_want_itup = true; // before the first rescan, in which the b-tree allocates the room for it
    advance();
}

LaneScan::~LaneScan()
{
    index_endscan(ranks_);
    index_endscan(run_);
}

bool LaneScan::next_rank()
{
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], lane_column, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(lane_));
    ScanKeyInit(&keys[1], rank_column, BTGreaterStrategyNumber, F_INT2GT, Int16GetDatum(static_cast<int16>(rank_)));
    index_rescan(ranks_, keys, 2, nullptr, 0);
    // No heap fetch, so a rank may be found of which no row is visible: advance() then goes on to the next one. None
    // that has a visible row is missed, because an index tuple goes only when its row is dead to every snapshot.
    if (index_getnext_tid(ranks_, ForwardScanDirection) == nullptr)
        return false;
    rank_ = DatumGetInt16(indexed(ranks_, rank_column));
    return true;
}

void LaneScan::start_run(std::int32_t rank)
{
    ScanKeyData keys[4];
    ScanKeyInit(&keys[0], lane_column, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(lane_));
    ScanKeyInit(&keys[1], rank_column, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(static_cast<int16>(rank)));
    ScanKeyInit(&keys[2], due_column, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE, TimestampTzGetDatum(from_));
    ScanKeyInit(&keys[3], due_column, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(now_));
    index_rescan(run_, keys, 4, nullptr, 0);
    in_run_ = true;
}

void LaneScan::skip_rank()
{
    in_run_ = false;
    advance();
}

void LaneScan::advance()
{
    has_head_ = false;
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        if (in_run_ && index_getnext_slot(run_, ForwardScanDirection, slot_)) {
            slot_getallattrs(slot_);
            head_.key = {lane_, static_cast<std::int16_t>(rank_), as_time(slot_->tts_values[due_column - 1])};
            head_.job = *DatumGetUUIDP(slot_->tts_values[job_column - 1]);
            head_.tid = slot_->tts_tid;
            has_head_ = true;
            return;
        }
        in_run_ = false;
        if (!next_rank())
            return;
        start_run(rank_);
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

std::optional<std::int32_t> next_lane(KeyTable &queue, std::int32_t lane)
{
    ScanKeyData key;
    ScanKeyInit(&key, lane_column, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(lane));
    IndexScanDesc scan = pg::begin_index_scan(queue.table(), queue.index(), GetActiveSnapshot(), 1);
    scan->xs_want_itup = true;
    index_rescan(scan, &key, 1, nullptr, 0);
    std::optional<std::int32_t> found;
    if (index_getnext_tid(scan, ForwardScanDirection) != nullptr)
        found = DatumGetInt32(indexed(scan, lane_column));
    index_endscan(scan);
    return found;
}

} // namespace store
