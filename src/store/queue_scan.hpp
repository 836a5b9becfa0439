// Reads the queue best first. Only what is due is visited: a rank whose first row is not due costs one descent, however
// many rows it has.
#pragma once

#include "store/key_table.hpp"

namespace store {

struct Candidate {
    logic::QueueKey key;
    pg_uuid_t job;
    ItemPointerData tid; // of its row of the queue
};

// The due rows of one lane, by rank and due time.
class LaneScan {
public:
    // `snapshot` must outlive the scan. `from`: what was due before does not matter.
    LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, TimestampTz from = DT_NOBEGIN);
    ~LaneScan();
    LaneScan(const LaneScan &) = delete;
    LaneScan &operator=(const LaneScan &) = delete;

    // The best row not taken yet, or null.
    const Candidate *head() const { return has_head_ ? &head_ : nullptr; }
    void advance();
    // On to the best row of the next rank.
    void skip_rank();

private:
    bool next_rank();
    void start_run(std::int32_t rank);

    std::int32_t lane_;
    TimestampTz now_, from_;
    std::int32_t rank_;
    IndexScanDesc ranks_; // finds the next rank in use, from index tuples alone
    IndexScanDesc run_;   // reads one rank
    bool in_run_ = false;
    pg::Slot slot_;
    Candidate head_ = {};
    bool has_head_ = false;
};

// The first lane above `lane` that has a row, from index tuples alone.
std::optional<std::int32_t> next_lane(KeyTable &queue, std::int32_t lane);

// When the first row of a lane that is due later than `after` will be; DT_NOEND if there is none. One descent for each
// rank in use.
TimestampTz next_due_in_lane(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz after);

} // namespace store
