// Records in shared memory that each belong to a lane of a database, found by a hash table (logic/record_table.hpp):
// the hints of where to read it (hint_records.hpp), the statistics of a job type (statistics.cpp).
//
// Each record has a spinlock of its own, for moments. The table is under one lock of the segment's, which a process
// takes to look a lane up, and not again as long as the record stays that lane's: it remembers where it found those
// that it used last, and compares under the record's lock when it comes back.
//
// What a lane gets when no record is free is where the users differ: make() asks its caller which one is to be taken
// from its lane. Hints are forgotten so, statistics never.
//
// Nothing here raises an error, so all of it may be called at commit.
#pragma once

#include "logic/record_table.hpp"
#include "shared/segment.hpp"

namespace shared {

using logic::no_record;
using logic::RecordNumber;

struct Lane {
    Oid database, table; // InvalidOid: nobody's. The table in which the number is given
    std::int32_t number;

    friend bool operator==(const Lane &, const Lane &) = default;
    std::uint32_t hash() const
    {
        static_assert(sizeof(Lane) == 3 * sizeof(std::uint32_t)); // no bytes between that would be hashed
        return hash_bytes(reinterpret_cast<const unsigned char *>(this), sizeof(*this));
    }
    // Neighbours differ, and so do a lane's entries for the queue and for what has ended.
    std::uint32_t quick_hash() const { return static_cast<std::uint32_t>(number) + table; }
};
inline Lane lane_of(Oid table, std::int32_t number) { return {MyDatabaseId, table, number}; }

// For make(): no record is ever taken from its lane.
inline RecordNumber evict_none() { return no_record; }

// `Content` has to be copied by its bytes, since whoever reads it gets a copy that it made under the lock. `Common` is
// what there is once, for the user to guard.
template <class Content, class Common>
class LaneRecords {
public:
    constexpr LaneRecords(const SegmentBase::Definition &definition, const int &count)
        : segment_(definition), count_(count)
    {
    }

    // For the definition of the segment: its size, and how it begins, with `common` of zeroes.
    static std::size_t size_of(int count)
    {
        return add_size(offset_of_lists(count),
                        mul_size(sizeof(RecordNumber), Table::count_lists(static_cast<std::size_t>(count))));
    }
    static Common &initialise(void *memory, int count)
    {
        auto area = static_cast<Area *>(memory);
        for (int i = 0; i < count; ++i)
            SpinLockInit(&area->records[i].mutex);
        table_in(area, count).begin();
        return area->common;
    }

    void request() { segment_.request(); }
    explicit operator bool() const { return segment_ && count_ > 0; }
    int count() const { return count_; }
    Common &common() { return segment_->common; }

    // Calls `use(content, number)` under the lock of the lane's record. False: it has none.
    template <class Use>
    bool with(const Lane &lane, Use use)
    {
        const RecordNumber number = find(lane);
        if (number == no_record)
            return false;
        // Once more where what this process remembered is over.
        return with_record(number, lane, use) || with_record(find(lane), lane, use);
    }

    // The number of the lane's record. If it has none it gets one, in which `begin(content, number)` is called under
    // its lock; where none is free, that which `evict()` names, under the segment's lock. no_record: there is none.
    template <class Begin, class Evict>
    RecordNumber make(const Lane &lane, Begin begin, Evict evict)
    {
        HeldLock lock(segment_.lock());
        Table records = table();
        RecordNumber number = records.find(lane);
        if (number != no_record)
            return number; // another session was first
        number = records.take_free();
        if (number == no_record) {
            number = evict();
            if (number == no_record)
                return no_record;
            records.remove(number);
        }
        {
            SpinLock mutex(at(number));
            at(number).key = lane;
            begin(at(number).content, number);
        }
        records.add(number);
        known_.note(lane, number);
        return number;
    }

    // with() a record that is made, if there is none and one is free.
    template <class Begin, class Use>
    bool with_new(const Lane &lane, Begin begin, Use use)
    {
        return with(lane, use) || with_record(make(lane, begin, evict_none), lane, use);
    }

    // Calls `use(lane, content, number)` for each record of a database, under its lock.
    template <class Use>
    void each_of(Oid database, Use use)
    {
        for (RecordNumber i = 0; i < count_; ++i)
            with_number(i, database, use);
    }
    // The same for the next one, from `number` on, which goes on to the one behind it, of those that are wanted.
    // `is_wanted(content)` is called without a lock: a hint. False: there is none.
    template <class IsWanted, class Use>
    bool with_next(RecordNumber &number, Oid database, IsWanted is_wanted, Use use)
    {
        while (number < count_) {
            const RecordNumber here = number++;
            const Record &record = at(here);
            if (record.key.database == database && is_wanted(record.content) && with_number(here, database, use))
                return true;
        }
        return false;
    }

    // Whether no record is free. Without a lock: a hint.
    bool is_full() { return table().is_full(); }

    // Whose a record is; InvalidOid: nobody's.
    Oid database_of(RecordNumber number)
    {
        SpinLock mutex(at(number));
        return at(number).key.database;
    }

    // Frees all records of the database, but for those that `keep(lane)` wants.
    template <class Keep>
    void free_of(Oid database, Keep keep)
    {
        HeldLock lock(segment_.lock());
        for (RecordNumber i = 0; i < count_; ++i)
            if (at(i).key.database == database && !keep(std::as_const(at(i).key)))
                free_record(i);
    }

private:
    // Begins in a line of the processor's cache of its own, so that what is counted for all does not slow down one.
    struct alignas(PG_CACHE_LINE_SIZE) Record {
        slock_t mutex; // of what follows, up to `next`
        Lane key;
        Content content;
        RecordNumber next; // under the segment's lock
    };
    struct Area {
        Common common;
        Record records[FLEXIBLE_ARRAY_MEMBER];
    };
    using Table = logic::RecordTable<Record>;

    class SpinLock {
    public:
        explicit SpinLock(Record &record) : mutex_(&record.mutex) { SpinLockAcquire(mutex_); }
        ~SpinLock() { SpinLockRelease(mutex_); }
        SpinLock(const SpinLock &) = delete;
        SpinLock &operator=(const SpinLock &) = delete;

    private:
        slock_t *mutex_;
    };

    static std::size_t offset_of_lists(int count)
    {
        return add_size(offsetof(Area, records), mul_size(sizeof(Record), static_cast<Size>(count)));
    }
    static Table table_in(Area *area, int count)
    {
        return {{area->records, static_cast<std::size_t>(count)},
                reinterpret_cast<RecordNumber *>(reinterpret_cast<char *>(area) + offset_of_lists(count))};
    }

    // To be used under the segment's lock.
    Table table() { return table_in(&*segment_, count_); }
    Record &at(RecordNumber number) { return segment_->records[number]; }

    RecordNumber find(const Lane &lane)
    {
        RecordNumber number = known_.find(lane);
        if (number != no_record)
            return number;
        HeldLock lock(segment_.lock(), LW_SHARED);
        number = table().find(lane);
        if (number != no_record)
            known_.note(lane, number);
        return number;
    }

    // To be called under the segment's lock.
    void free_record(RecordNumber number)
    {
        table().remove(number);
        {
            SpinLock mutex(at(number));
            at(number).key = {};
        }
        table().give_back(number);
    }

    template <class Use>
    bool with_record(RecordNumber number, const Lane &lane, Use use)
    {
        if (number == no_record)
            return false;
        Record &record = at(number);
        {
            SpinLock mutex(record);
            if (record.key == lane) {
                use(record.content, number);
                return true;
            }
        }
        known_.forget(lane);
        return false;
    }

    template <class Use>
    bool with_number(RecordNumber number, Oid database, Use use)
    {
        Record &record = at(number);
        SpinLock mutex(record);
        if (record.key.database != database)
            return false;
        use(std::as_const(record.key), record.content, number);
        return true;
    }

    Segment<Area> segment_;
    const int &count_;
    logic::KnownRecords<Lane> known_;
};

} // namespace shared
