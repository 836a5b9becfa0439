// Records in shared memory that each belong to a lane of a database, found by a hash table; a record that is nobody's
// is free.
//
// Each record has a spinlock of its own, for moments. The hash table and the list of free records are under one lock of
// the segment's, which a process takes to look a lane up, and not again as long as the record stays that lane's: it
// remembers where it found those that it used last, and compares under the record's lock when it comes back.
//
// Nothing here raises an error, so all of it may be called at commit.
#pragma once

#include <utility>

#include "shared/segment.hpp"

namespace shared {

struct Lane {
    Oid database, table; // InvalidOid: nobody's. The table in which the number is given
    std::int32_t number;

    friend bool operator==(const Lane &, const Lane &) = default;
};

using RecordNumber = std::int32_t;
constexpr RecordNumber no_record = -1;

// `Content` has to be copied by its bytes, since whoever reads it gets a copy that it made under the lock.
template <class Content>
class LaneRecords {
public:
    struct Record {
        slock_t mutex; // of what follows, up to `next`
        Lane lane;
        Content content;
        RecordNumber next; // in its bucket, or of the free ones; under the segment's lock
    };
    struct Area {
        pg_atomic_uint64 changes; // see changes()
        pg_atomic_uint64 begun;   // see begun(); 0: not yet
        RecordNumber free;
        Record records[FLEXIBLE_ARRAY_MEMBER];
    };

    constexpr LaneRecords(const SegmentBase::Definition &definition, const int &count)
        : segment_(definition), count_(count)
    {
    }

    // For the definition of the segment: its size, and how it begins.
    static std::size_t size_of(int count)
    {
        return add_size(offset_of_buckets(count), mul_size(sizeof(RecordNumber), static_cast<Size>(count)));
    }
    static void initialise(void *memory, int count)
    {
        auto area = static_cast<Area *>(memory);
        pg_atomic_init_u64(&area->changes, 1);
        pg_atomic_init_u64(&area->begun, 0);
        area->free = count > 0 ? 0 : no_record;
        for (RecordNumber i = 0; i < count; ++i) {
            SpinLockInit(&area->records[i].mutex);
            area->records[i].next = i + 1 < count ? i + 1 : no_record;
            buckets_of(area, count)[i] = no_record;
        }
    }

    void request() { segment_.request(); }
    explicit operator bool() const { return segment_ && count_ > 0; }
    int count() const { return count_; }

    // Calls `use(content)` under the lock of the lane's record. False: it has none.
    template <class Use>
    bool with(const Lane &lane, Use use)
    {
        // Once more where what this process remembered is over.
        return with_record(find_quickly(lane), lane, use) || with_record(find_quickly(lane), lane, use);
    }

    // The same with a record that is made now, if there is none, by `begin(content)`. False: none is free.
    template <class Begin, class Use>
    bool with_new(const Lane &lane, Begin begin, Use use)
    {
        return with(lane, use) || with_record(make(lane, begin), lane, use);
    }

    // Calls `use(lane, content)` for each record of a database, under its lock.
    template <class Use>
    void each_of(Oid database, Use use)
    {
        for (RecordNumber i = 0; i < count_; ++i) {
            Record &record = at(i);
            SpinLock mutex(record);
            if (record.lane.database == database)
                use(std::as_const(record.lane), record.content);
        }
    }

    // The time of the first call of this: shared memory is made while the server recovers, or long before a standby is
    // promoted.
    TimestampTz begun()
    {
        std::uint64_t begun = pg_atomic_read_u64(&segment_->begun);
        if (const auto now = begun == 0 ? static_cast<std::uint64_t>(GetCurrentTimestamp()) : 0;
            begun == 0 && pg_atomic_compare_exchange_u64(&segment_->begun, &begun, now))
            begun = now;
        return static_cast<TimestampTz>(begun);
    }

    // Whether no record is free. Without a lock: a hint.
    bool is_full() { return segment_->free == no_record; }

    // A number that differs after a record was made, or note_change() called: for who looks at all records now and
    // then.
    std::uint64_t changes() { return pg_atomic_read_u64(&segment_->changes); }
    void note_change() { pg_atomic_fetch_add_u64(&segment_->changes, 1); }

    // Whose a record is; InvalidOid: nobody's.
    Oid database_of(RecordNumber number)
    {
        SpinLock mutex(at(number));
        return at(number).lane.database;
    }

    // Frees all records of the database, but for those that `keep(lane)` wants.
    template <class Keep>
    void free_of(Oid database, Keep keep)
    {
        HeldLock lock(segment_.lock());
        for (RecordNumber i = 0; i < count_; ++i)
            if (at(i).lane.database == database && !keep(at(i).lane))
                free_record(i);
    }

private:
    class SpinLock {
    public:
        explicit SpinLock(Record &record) : mutex_(&record.mutex) { SpinLockAcquire(mutex_); }
        ~SpinLock() { SpinLockRelease(mutex_); }
        SpinLock(const SpinLock &) = delete;
        SpinLock &operator=(const SpinLock &) = delete;

    private:
        slock_t *mutex_;
    };

    // Where this process found the lanes that it used last.
    struct Known {
        Lane lane;
        RecordNumber number;
    };

    static std::size_t offset_of_buckets(int count)
    {
        return MAXALIGN(add_size(offsetof(Area, records), mul_size(sizeof(Record), static_cast<Size>(count))));
    }
    // As many as there are records.
    static RecordNumber *buckets_of(Area *area, int count)
    {
        return reinterpret_cast<RecordNumber *>(reinterpret_cast<char *>(area) + offset_of_buckets(count));
    }

    Record &at(RecordNumber number) { return segment_->records[number]; }

    RecordNumber &bucket_of(const Lane &lane)
    {
        static_assert(sizeof(Lane) == 3 * sizeof(std::uint32_t)); // no bytes between that would be hashed
        const std::uint32_t hash = hash_bytes(reinterpret_cast<const unsigned char *>(&lane), sizeof(lane));
        return buckets_of(&*segment_, count_)[hash % static_cast<std::uint32_t>(count_)];
    }

    // To be called under the segment's lock.
    RecordNumber find(const Lane &lane)
    {
        for (RecordNumber number = bucket_of(lane); number != no_record; number = at(number).next)
            if (at(number).lane == lane)
                return number;
        return no_record;
    }

    Known &known_of(const Lane &lane) { return known_[static_cast<std::uint32_t>(lane.number) % known_.size()]; }

    RecordNumber find_quickly(const Lane &lane)
    {
        Known &last = known_of(lane);
        if (last.lane == lane)
            return last.number;
        HeldLock lock(segment_.lock(), LW_SHARED);
        const RecordNumber number = find(lane);
        if (number != no_record)
            last = {lane, number};
        return number;
    }

    template <class Begin>
    RecordNumber make(const Lane &lane, Begin begin)
    {
        HeldLock lock(segment_.lock());
        if (const RecordNumber number = find(lane); number != no_record)
            return number; // another session was first
        const RecordNumber number = segment_->free;
        if (number == no_record)
            return no_record;
        Record &record = at(number);
        segment_->free = record.next;
        {
            SpinLock mutex(record);
            record.lane = lane;
            begin(record.content);
        }
        record.next = std::exchange(bucket_of(lane), number);
        known_of(lane) = {lane, number};
        note_change();
        return number;
    }

    // To be called under the segment's lock.
    void free_record(RecordNumber number)
    {
        Record &record = at(number);
        RecordNumber *link = &bucket_of(record.lane);
        while (*link != number)
            link = &at(*link).next;
        *link = record.next;
        {
            SpinLock mutex(record);
            record.lane = {};
        }
        record.next = std::exchange(segment_->free, number);
    }

    template <class Use>
    bool with_record(RecordNumber number, const Lane &lane, Use use)
    {
        if (number == no_record)
            return false;
        Record &record = at(number);
        {
            SpinLock mutex(record);
            if (record.lane == lane) {
                use(record.content);
                return true;
            }
        }
        known_of(lane) = {};
        return false;
    }

    Segment<Area> segment_;
    const int &count_;
    std::array<Known, 64> known_ = {};
};

} // namespace shared
