// The records in which the hints of lanes lie in shared memory, and how they are found; for hints.cpp alone, which says
// what is done with them. Which lock guards what stands at each member.
//
// Behind the records stand their heads: what is known of each lane at a glance (logic/lane_head.hpp), packed, and read
// without a lock by whoever looks at thousands of lanes. A head is written under the lock of its record, and counts its
// writings before and after, so that a reader tells one that it has read half. Readers of another lane's head, whose
// record went over to that lane, are told by the owner in it.
#pragma once

#include "logic/lane_head.hpp"
#include "shared/hints.hpp"
#include "shared/segment.hpp"

namespace shared::hints {

using Number = std::int32_t; // of a record, or no_record
constexpr Number no_record = -1;

struct Lane {
    Oid database, table; // InvalidOid: nobody's
    std::int32_t lane;

    friend bool operator==(const Lane &, const Lane &) = default;
};
inline Lane lane_of(Oid table, std::int32_t lane) { return {MyDatabaseId, table, lane}; }

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

struct Record {
    slock_t mutex; // of what follows, up to `next`, and of the head
    Lane lane;
    logic::LaneHints hints;
    Healing healing;
    // Under the lock of the area.
    Number next; // in its bucket
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

void request_records();
// Whether anything is shared here.
bool has_records();
std::size_t record_count();
Record &record_at(Number number);
Head &head_at(Number number);
// The number of lowerings, and the next one.
logic::LoweringCount lowering_count();
logic::LoweringCount next_count();

// Holds the lock of a record.
class SpinLock {
public:
    explicit SpinLock(Record &record) : mutex_(&record.mutex) { SpinLockAcquire(mutex_); }
    ~SpinLock() { SpinLockRelease(mutex_); }
    SpinLock(const SpinLock &) = delete;
    SpinLock &operator=(const SpinLock &) = delete;

private:
    slock_t *mutex_;
};

// The record of the lane, found where this process found it last, or by the hash table. It may be another lane's by
// the time that it is read, so with_lane() compares.
Number find(const Lane &lane);
void forget_where(const Lane &lane);
// Gives the lane a record that knows nothing yet, if it has none. It may take it from one that nobody has read lately.
// no_record: all were read.
Number make(const Lane &lane);
// Lets no lane get a record or lose one while it lives.
class RecordsStay {
public:
    RecordsStay();

private:
    HeldLock lock_;
};

// Calls `use(record, number)` under its lock, if the record is the lane's; else forgets where it was. False: it is not.
template <class Use>
bool with_record(const Lane &lane, Number number, Use use)
{
    if (number == no_record)
        return false;
    Record &record = record_at(number);
    {
        SpinLock mutex(record);
        if (record.lane == lane) {
            use(record, number);
            return true;
        }
    }
    forget_where(lane);
    return false;
}

// Calls `use(record, number)`, looking once more where what this process remembered is over.
template <class Use>
bool with_lane(const Lane &lane, Use use)
{
    return with_record(lane, find(lane), use) || with_record(lane, find(lane), use);
}

} // namespace shared::hints
