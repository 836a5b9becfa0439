// Where a lane or rank of a derived table begins, by its index alone: each answer costs one descent of the b-tree,
// however many ranks and lanes without an entry there are, and no look at the heap.
//
// So an entry may be of a row that nobody sees any more. None that has a visible row is missed, because an index tuple
// goes, or is marked as dead and passed over, only when its row is dead to every snapshot: before the first entry no
// row is visible to any.
#pragma once

#include "store/key_table.hpp"

namespace store {

struct Entry {
    std::int32_t lane;
    std::int16_t rank;
    logic::Place place;
};

class EntryScan {
public:
    // Of a table whose key is (lane, rank, time, job). The caller keeps `snapshot` active or registered as long as
    // this.
    EntryScan(const KeyTable &table, Snapshot snapshot);
    ~EntryScan() { index_endscan(scan_); }
    EntryScan(const EntryScan &) = delete;
    EntryScan &operator=(const EntryScan &) = delete;

    // The first one of the lane from that rank on; of the lanes from `first` to `last`, both included. Nothing: there
    // is none.
    std::optional<Entry> first_of_lane(std::int32_t lane, std::int32_t rank);
    std::optional<Entry> first_of_lanes(std::int32_t first, std::int32_t last);
    // How many the lane has in these ranks, both included; not more than `most`.
    std::int64_t count(std::int32_t lane, std::int16_t first_rank, std::int16_t last_rank, std::int64_t most);

private:
    std::optional<Entry> search(std::span<ScanKeyData> keys);
    std::optional<Entry> next();

    IndexScanDesc scan_;
};

} // namespace store
