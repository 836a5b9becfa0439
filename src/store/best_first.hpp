// The due jobs of several lanes, the best of all first: by rank, then due time, then id. A merge of sorted lists: each
// lane is read by a LaneScan of its own, and the heads are compared. Ids that we make are UUIDs of version 7, so that
// of two jobs with the same rank and due time the older one is first.
//
// A lane is opened when it may have the best job: until then what its hints say of its first row stands for it. So a
// claim of a thousand types looks at a thousand heads in shared memory, and opens one or two lanes. Of lanes of which
// no hint is known the queue's index says where they begin (find_first_entries()).
//
// Other sessions claim from the same lanes meanwhile. All that is here is what one snapshot shows: the caller finds out
// by the lock on the job's row whether a candidate is still to be had (take_candidate() in verbs/claim.cpp).
#pragma once

#include "store/queue_scan.hpp"

namespace store {

class BestFirst {
public:
    // What is due by `now` under the active snapshot, which must outlive this. `queue` stays open as long.
    BestFirst(KeyTable &queue, TimestampTz now, Hints hints) : queue_(queue), now_(now), hints_(hints) {}
    ~BestFirst();
    BestFirst(const BestFirst &) = delete;
    BestFirst &operator=(const BestFirst &) = delete;

    // Lanes in the order of their numbers, each once; not to be called twice.
    void add_lanes(std::span<shared::hints::LaneSpot> lanes);

    // The best one, until advance() goes past it; nothing: there is none.
    std::optional<Candidate> best();
    // Goes past what best() gave. To be called only when another one is wanted, because it reads on in the index: a
    // claim of one job visits one row.
    void advance()
    {
        scan_of(lanes_[0]).advance();
        has_moved_ = true;
    }
    // To be called before the caller locks the job that best() gave: tells other claims to leave it. False: another one
    // is taking it. Else the caller says afterwards whether it has moved the job's row.
    bool begin_taking();
    void end_taking(bool moved);
    // Whether rows were left out that other transactions are removing, or have removed since the snapshot.
    bool met_changes() const;

private:
    using DueLane = shared::hints::DueLane;

    LaneScan &scan_of(const DueLane &lane) const { return *scans_[lane.scan]; }
    bool is_worse(const DueLane &a, const DueLane &b) const;
    auto worse() const
    {
        return [this](const DueLane &a, const DueLane &b) { return is_worse(a, b); };
    }
    void add_own(std::span<shared::hints::LaneSpot> lanes);
    void find_first_entries();
    bool begin_at(DueLane &lane, std::optional<Entry> entry, EntryScan &entries);
    void open(DueLane &lane);
    void settle_first();

    KeyTable &queue_;
    TimestampTz now_;
    Hints hints_;
    DueLane *lanes_ = nullptr; // a heap, the best one first, when best() was called
    std::size_t count_ = 0;
    bool is_heap_ = false;
    bool has_moved_ = false;     // the scan of the first lane, since that was put in its place
    LaneScan **scans_ = nullptr; // of those that were opened
    std::int32_t scan_count_ = 0, scan_room_ = 0;
};

} // namespace store
