#include "store/run_scan.hpp"

namespace store {

RunScan::RunScan(const KeyTable &table, std::int32_t lane, std::int16_t rank, TimestampTz until)
    : current_{{lane, rank, 0}, {}, {}}, time_column_(3), slot_(table.table()),
      scan_(pg::begin_index_scan(table.table(), table.index(), GetActiveSnapshot(), 3))
{
    ScanKeyData keys[3];
    ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(lane));
    ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(rank));
    ScanKeyInit(&keys[2], 3, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(until));
    index_rescan(scan_, keys, 3, nullptr, 0);
}

RunScan::RunScan(const KeyTable &table, TimestampTz until)
    : time_column_(1), slot_(table.table()),
      scan_(pg::begin_index_scan(table.table(), table.index(), GetActiveSnapshot(), 1))
{
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(until));
    index_rescan(scan_, &key, 1, nullptr, 0);
}

const Candidate *RunScan::next()
{
    CHECK_FOR_INTERRUPTS();
    if (!index_getnext_slot(scan_, ForwardScanDirection, slot_))
        return nullptr;
    slot_getallattrs(slot_);
    // The time is followed by the job in both kinds of key; lane and rank are those that were asked for.
    current_.key.due_at = as_time(slot_->tts_values[time_column_ - 1]);
    current_.job = *DatumGetUUIDP(slot_->tts_values[time_column_]);
    current_.tid = slot_->tts_tid;
    return &current_;
}

} // namespace store
