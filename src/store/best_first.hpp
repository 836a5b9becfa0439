// The due jobs of several lanes, the best of all first: by rank, then due time, then id. A merge of sorted lists: each
// lane is read by a LaneScan of its own, and the heads are compared. Ids that we make are UUIDs of version 7, so that
// of two jobs with the same rank and due time the older one is first.
//
// A lane is opened when it may have the best job: until then what its hints say of its first row stands for it.
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

    // A lane that was added already is not read twice: a caller may name a type twice.
    void add_lane(std::int32_t lane);

    // The best one, until advance() goes past it; nothing: there is none.
    std::optional<Candidate> best();
    // Goes past what best() gave. To be called only when another one is wanted, because it reads on in the index: a
    // claim of one job visits one row.
    void advance() { best_->scan->advance(); }
    // The caller has moved the row of what best() gave.
    void took_best() { best_->scan->took_head(); }
    // Whether rows were left out that other transactions are removing, or have removed since the snapshot.
    bool met_changes() const;

private:
    struct Lane {
        std::int32_t number;
        LaneBound bound;          // no job of it that was not given yet is better
        LaneScan *scan = nullptr; // not opened yet
        bool over = false;
    };
    static bool is_better(const Lane &a, const Lane &b);
    void open(Lane &lane);
    void look_at_head(Lane &lane);

    KeyTable &queue_;
    TimestampTz now_;
    Hints hints_;
    Lane *lanes_ = nullptr;
    int count_ = 0, room_ = 0;
    Lane *best_ = nullptr;
};

} // namespace store
