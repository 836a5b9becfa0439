// The due jobs of several lanes, the best of all first: by rank, then due time, then id, which is the order in which
// they were made. Each lane is read by a LaneScan of its own; the heads are compared.
#pragma once

#include "store/queue_scan.hpp"

namespace store {

class BestFirst {
public:
    // What is due by `now` under the snapshot that is active.
    BestFirst(KeyTable &queue, TimestampTz now) : queue_(queue), now_(now) {}
    ~BestFirst();
    BestFirst(const BestFirst &) = delete;
    BestFirst &operator=(const BestFirst &) = delete;

    // A lane that was added already is not read twice.
    void add_lane(std::int32_t lane);

    // The best one, until advance() goes past it; nothing: there is none.
    std::optional<Candidate> best();
    // Only when another one is wanted: the row after the last one taken is not visited for nothing.
    void advance() { best_->advance(); }

private:
    KeyTable &queue_;
    TimestampTz now_;
    List *lanes_ = NIL;
    List *scans_ = NIL; // of LaneScan, one for each lane
    LaneScan *best_ = nullptr;
};

} // namespace store
