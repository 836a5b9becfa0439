#include "store/entry_scan.hpp"

namespace store {

namespace {

enum Column : AttrNumber { lane_column = 1, rank_column, time_column, job_column };
constexpr int key_count = 2; // in either search: a scan has one number of keys

} // namespace

EntryScan::EntryScan(const KeyTable &table, Snapshot snapshot)
    : scan_(pg::begin_index_scan(table.table(), table.index(), snapshot, key_count))
{
    scan_->xs_want_itup = true; // before the first rescan, in which the b-tree allocates the room for it
}

std::optional<Entry> EntryScan::first_of_lane(std::int32_t lane, std::int32_t rank)
{
    if (rank > PG_INT16_MAX) // behind the one that a superuser wrote
        return std::nullopt;
    ScanKeyData keys[key_count];
    ScanKeyInit(&keys[0], lane_column, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(lane));
    ScanKeyInit(&keys[1], rank_column, BTGreaterEqualStrategyNumber, F_INT2GE, Int16GetDatum(static_cast<int16>(rank)));
    return search(keys);
}

std::optional<Entry> EntryScan::first_of_lanes(std::int32_t first, std::int32_t last)
{
    ScanKeyData keys[key_count];
    ScanKeyInit(&keys[0], lane_column, BTGreaterEqualStrategyNumber, F_INT4GE, Int32GetDatum(first));
    ScanKeyInit(&keys[1], lane_column, BTLessEqualStrategyNumber, F_INT4LE, Int32GetDatum(last));
    return search(keys);
}

std::int64_t EntryScan::count(std::int32_t lane, std::int16_t first_rank, std::int16_t last_rank, std::int64_t most)
{
    std::int64_t counted = 0;
    for (auto entry = first_of_lane(lane, first_rank); entry && entry->rank <= last_rank && counted < most;
         entry = next())
        ++counted;
    return counted;
}

std::optional<Entry> EntryScan::search(std::span<ScanKeyData> keys)
{
    index_rescan(scan_, keys.data(), key_count, nullptr, 0);
    return next();
}

std::optional<Entry> EntryScan::next()
{
    CHECK_FOR_INTERRUPTS();
    if (index_getnext_tid(scan_, ForwardScanDirection) == nullptr)
        return std::nullopt;
    return Entry{
        DatumGetInt32(pg::indexed(scan_, lane_column)), DatumGetInt16(pg::indexed(scan_, rank_column)),
        place_of(DatumGetTimestampTz(pg::indexed(scan_, time_column)), DatumGetUUIDP(pg::indexed(scan_, job_column)))};
}

} // namespace store
