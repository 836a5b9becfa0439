// What the records of lanes (lane_records.hpp) have of hints; for hints.cpp alone, which says what is done with it.
//
// Apart from the records stand their heads: what is known of each lane at a glance (logic/lane_head.hpp), packed, and
// read without a lock by whoever looks at thousands of lanes. A head is written under the lock of its record, and
// counts its writings before and after, so that a reader tells one that it has read half. Readers of another lane's
// head, whose record went over to that lane, are told by the owner in it.
#pragma once

#include "logic/lane_head.hpp"
#include "shared/lane_records.hpp"

namespace shared::hints {

// How far healing has come in the lane. It rose so often; it was healed when it had risen so often, and the healing
// that is under way began when it had risen so often.
struct Healing {
    std::uint32_t rises, healed, begun;
    std::int16_t rank; // where to go on, and the place in it
    logic::Place place;

    void begin_anew()
    {
        rank = logic::best_rank;
        place = logic::before_all;
    }
    bool is_under_way() const { return rank != logic::best_rank || place != logic::before_all; }
};

// One writes at a time, under the lock of the record.
class Head {
public:
    void begin(); // of another lane
    void write(const logic::LaneHead &head);
    // To be called by who writes: nobody else writes meanwhile.
    logic::LaneHead written() const
    {
        return {static_cast<logic::Instant>(pg_atomic_read_u64(&until_)),
                {pg_atomic_read_u64(&time_), pg_atomic_read_u64(&id_)}};
    }
    std::uint32_t owner() const { return pg_atomic_read_u32(&owner_) & ~was_read; }

    // Without a lock. False: it is of another owner, or somebody wrote meanwhile.
    bool read(std::uint32_t owner, logic::LaneHead &head) const
    {
        const std::uint32_t version = pg_atomic_read_u32(&version_);
        pg_read_barrier();
        head = written();
        const bool is_of_owner = this->owner() == owner;
        pg_read_barrier();
        return is_of_owner && version % 2 == 0 && pg_atomic_read_u32(&version_) == version;
    }
    // Somebody wanted to know; who takes a record away from its lane asks whether (take_read()).
    void note_read()
    {
        if ((pg_atomic_read_u32(&owner_) & was_read) == 0)
            pg_atomic_fetch_or_u32(&owner_, was_read);
    }
    bool take_read() { return (pg_atomic_fetch_and_u32(&owner_, ~was_read) & was_read) != 0; }

private:
    static constexpr std::uint32_t was_read = 1; // a bit of owner_; the others count its owners

    // Postgres reads through pointers that are not const.
    mutable pg_atomic_uint32 version_; // odd while it is written
    mutable pg_atomic_uint32 owner_;
    mutable pg_atomic_uint64 until_, time_, id_;
};

struct Content {
    logic::LaneHints hints;
    Healing healing;
};
struct Common {
    pg_atomic_uint64 lowerings; // so many, and the number of the last one
    RecordNumber hand;          // goes around the records, looking for one to take; under the segment's lock
};
extern LaneRecords<Content, Common> records;

void request_records();
Head &head_at(RecordNumber number);
// The number of the next lowering.
logic::LoweringCount next_count();
// Gives the lane a record that knows nothing yet, if it has none. Where none is free it takes one that nobody has read
// lately. False: all were read.
bool make(const Lane &lane);

} // namespace shared::hints
