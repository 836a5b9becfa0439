// Reads the queue best first: one lane by rank, then by due time, then by id, which is the order of the primary key.
// Only due rows are visited: a rank whose first row is not due costs one descent of the b-tree, however many rows it
// has.
//
// With hints a rank whose first row is not due costs nothing. Of ranks of which they say nothing yet the index is asked
// where the first row may stand, in one descent for those that have none.
//
// What it finds is a proposal, as run_scan.hpp says.
#pragma once

#include <algorithm>

#include "store/entry_scan.hpp"
#include "store/run_scan.hpp"

namespace store {

// The due rows of one lane: those with due_at from `from` to `now`, both included.
class LaneScan {
public:
    // The caller keeps `snapshot` active or registered as long as the scan, because an index scan does not register it.
    LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, TimestampTz from = DT_NOBEGIN);
    // `best`: no better rank has a due row.
    LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, Hints hints, std::int16_t best);
    LaneScan(const LaneScan &) = delete;
    LaneScan &operator=(const LaneScan &) = delete;

    // The best row that the scan has not gone past, or null where there is none. Overwritten by advance() and
    // skip_rank().
    const Candidate *head() const { return head_; }
    // Goes on to the next row, skip_rank() to the best row of the next rank. Both let a cancel in.
    void advance();
    void skip_rank();

    // RunScan::pass() and stay().
    void pass_head() { run_.pass(); }
    void head_stays() { run_.stay(); }
    // Whether it left out rows that other transactions are removing, or have removed since the snapshot.
    bool met_changes() const { return met_changes_; }

private:
    LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, TimestampTz from, Hints hints,
             std::int16_t best);
    bool next_rank();
    bool next_hinted_rank();
    bool next_found_rank();
    void learn_places(std::int16_t rank);
    EntryScan &entries();

    const KeyTable &queue_;
    Snapshot snapshot_;
    std::int32_t lane_;
    TimestampTz now_, from_;
    shared::hints::Places places_;
    Hints hints_;       // of the lane
    std::int32_t rank_; // the last one found; before the first search one below all
    std::optional<EntryScan> entries_;
    RunScan run_;
    const Candidate *head_ = nullptr;
    bool met_changes_ = false;
};

// The first lane above `lane` that has an index tuple, or nothing. It does not look at the heap, so the lane may have
// no visible row: the caller's scan of it then finds none.
std::optional<std::int32_t> next_lane(KeyTable &queue, std::int32_t lane);

// The due time of the first row of a lane that is due later than `after`; DT_NOEND where there is none. One descent for
// each rank in use, of which there are 21 (priorities from -10 to 10).
TimestampTz next_due_in_lane(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz after);
// Calls each(lane) for those of the lanes that may have something due by `now`; without hints for all. Brings `next`
// down to when the others have, or an earlier time.
template <class Each>
void each_due_lane(const KeyTable &queue, std::span<shared::hints::LaneSpot> lanes, TimestampTz now, Hints hints,
                   TimestampTz &next, Each each)
{
    if (!hints) {
        for (const shared::hints::LaneSpot &lane : lanes)
            each(lane.lane);
        return;
    }
    using shared::hints::DueLane;
    auto due = static_cast<DueLane *>(
        MemoryContextAllocHuge(CurrentMemoryContext, sizeof(DueLane) * std::max<std::size_t>(lanes.size(), 1)));
    const shared::hints::FoundDue found = shared::hints::find_due(RelationGetRelid(queue.table()), lanes, now, due);
    next = std::min(next, found.next);
    std::for_each(due, due + found.count, [&](const DueLane &lane) { each(lane.lane); });
    pfree(due);
}
// The due time of the first row of the lanes under the active snapshot that is due later than `after`, or an earlier
// one: with hints the index is read only of a lane that has something due by then.
TimestampTz next_due_of(KeyTable &queue, std::span<shared::hints::LaneSpot> lanes, TimestampTz after, Hints hints);

} // namespace store
