// The due jobs of several lanes, the best of all first: by rank, then due time, then id. A merge of sorted lists: each
// lane is read by a LaneScan of its own, and the heads are compared. Ids that we make are UUIDs of version 7, so that
// of two jobs with the same rank and due time the older one is first.
//
// Other sessions claim from the same lanes meanwhile. All that is here is what one snapshot shows: the caller finds out
// by the lock on the job's row whether a candidate is still to be had (take_candidate() in verbs/claim.cpp).
#pragma once

#include "store/queue_scan.hpp"

namespace store {

class BestFirst {
public:
    // What is due by `now` under the active snapshot, which must outlive this. `queue` stays open as long.
    BestFirst(KeyTable &queue, TimestampTz now) : queue_(queue), now_(now) {}
    ~BestFirst();
    BestFirst(const BestFirst &) = delete;
    BestFirst &operator=(const BestFirst &) = delete;

    // One descent of the index. A lane that was added already is not read twice: a caller may name a type twice.
    void add_lane(std::int32_t lane);

    // The best one, until advance() goes past it; nothing: there is none. It compares the heads of all lanes.
    std::optional<Candidate> best();
    // Goes past what best() gave. To be called only when another one is wanted, because it reads on in the index: a
    // claim of one job visits one row.
    void advance() { best_->advance(); }

private:
    KeyTable &queue_;
    TimestampTz now_;
    List *lanes_ = NIL;
    List *scans_ = NIL; // of LaneScan, one for each lane
    LaneScan *best_ = nullptr;
};

} // namespace store
