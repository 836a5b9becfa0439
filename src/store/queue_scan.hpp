// Reads the queue best first: one lane by rank, then by due time, then by id, which is the order of the primary key.
// Only due rows are visited: a rank whose first row is not due costs one descent of the b-tree, however many rows it
// has.
//
// The race: while a session scans, others claim the jobs that it finds, and bring new ones. The scan locks nothing and
// shows the queue as of its snapshot, so a Candidate is a proposal: another session may have taken the job since. The
// caller locks the row of `jobs` and compares its key with the candidate's before it acts (verbs/claim.cpp,
// upkeep/reap.cpp). A job that became visible after the snapshot is left to the next look, of which its session tells
// at commit (shared/at_commit.cpp).
#pragma once

#include "store/key_table.hpp"

namespace store {

// A row of a derived table: the job, and the key by which it was found.
struct Candidate {
    logic::QueueKey key;
    pg_uuid_t job;
    ItemPointerData tid; // of the row in the derived table, under the snapshot of the scan
};

// The due rows of one lane: those with due_at from `from` to `now`, both included.
class LaneScan {
public:
    // The caller keeps `snapshot` active or registered as long as the scan, because an index scan does not register it.
    LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, TimestampTz from = DT_NOBEGIN);
    ~LaneScan();
    LaneScan(const LaneScan &) = delete;
    LaneScan &operator=(const LaneScan &) = delete;

    // The best row that the scan has not gone past, or null where there is none. Overwritten by advance() and
    // skip_rank().
    const Candidate *head() const { return has_head_ ? &head_ : nullptr; }
    // Goes on to the next row, skip_rank() to the best row of the next rank. Both let a cancel in.
    void advance();
    void skip_rank();

private:
    bool next_rank();
    void start_run(std::int32_t rank);

    std::int32_t lane_;
    TimestampTz now_, from_;
    std::int32_t rank_;   // the last one found; before the first search one below all
    IndexScanDesc ranks_; // finds the next rank that has an index tuple, without a look at the heap
    IndexScanDesc run_;   // reads the visible rows of one rank
    bool in_run_ = false;
    pg::Slot slot_;
    Candidate head_ = {};
    bool has_head_ = false;
};

// The first lane above `lane` that has an index tuple, or nothing. It does not look at the heap, so the lane may have
// no visible row: the caller's scan of it then finds none.
std::optional<std::int32_t> next_lane(KeyTable &queue, std::int32_t lane);

// The due time of the first row of a lane that is due later than `after`; DT_NOEND where there is none. One descent for
// each rank in use, of which there are 21 (priorities from -10 to 10).
TimestampTz next_due_in_lane(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz after);

} // namespace store
