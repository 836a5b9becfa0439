// Records that each belong to a key, found by a hash table; one that belongs to none is free. Where they lie, under
// which lock and what is in them is the caller's (shared/lane_records.hpp): here are the numbers by which they are
// linked, which mean the same in every process. Pure C++, unit-tested.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace logic {

using RecordNumber = std::int32_t;
inline constexpr RecordNumber no_record = -1;

// `Record` has `key` and `next`, a link for this table alone; the key a hash() and ==. A view: to be made anew at each
// use, over the same memory.
template <class Record>
class RecordTable {
public:
    using Key = decltype(Record::key);

    // The heads of its lists: a bucket for each record, and the free ones.
    static constexpr std::size_t count_lists(std::size_t records) { return records + 1; }

    RecordTable(std::span<Record> records, RecordNumber *lists) : records_(records), lists_(lists) {}

    // All are free; they are taken in the order of their numbers.
    void begin()
    {
        for (std::size_t i = 0; i < count_lists(records_.size()); ++i)
            lists_[i] = no_record;
        for (std::size_t i = records_.size(); i-- > 0;)
            push(free(), static_cast<RecordNumber>(i));
    }

    RecordNumber find(const Key &key) const
    {
        if (records_.empty())
            return no_record;
        for (RecordNumber number = bucket_of(key); number != no_record; number = at(number).next)
            if (at(number).key == key)
                return number;
        return no_record;
    }

    bool is_full() const { return free() == no_record; }

    // A free record, which is neither free nor anybody's until it is added. no_record: there is none.
    RecordNumber take_free()
    {
        const RecordNumber number = free();
        if (number != no_record)
            free() = at(number).next;
        return number;
    }
    // From now on it is found by its key, of which there is no other.
    void add(RecordNumber number) { push(bucket_of(at(number).key), number); }
    // The opposites of these: to be called while it has the key still, and for a record that was removed.
    void remove(RecordNumber number)
    {
        RecordNumber *link = &bucket_of(at(number).key);
        while (*link != number)
            link = &at(*link).next;
        *link = at(number).next;
    }
    void give_back(RecordNumber number) { push(free(), number); }

private:
    Record &at(RecordNumber number) const { return records_[static_cast<std::size_t>(number)]; }
    RecordNumber &free() const { return lists_[records_.size()]; }
    RecordNumber &bucket_of(const Key &key) const { return lists_[key.hash() % records_.size()]; }
    void push(RecordNumber &list, RecordNumber number) { at(number).next = std::exchange(list, number); }

    std::span<Record> records_;
    RecordNumber *lists_;
};

// Where one process found the records that it used last. A record may have gone over to another key since, so whoever
// looks there compares, and forgets. `Key{}` is nobody's; quick_hash() has keys that are used by turns differ.
template <class Key>
class KnownRecords {
public:
    // no_record: not known.
    RecordNumber find(const Key &key) const
    {
        const Known &known = known_[slot_of(key)];
        return known.key == key ? known.number : no_record;
    }
    void note(const Key &key, RecordNumber number) { known_[slot_of(key)] = {key, number}; }
    // Whatever stands in its place.
    void forget(const Key &key) { known_[slot_of(key)] = {}; }

private:
    struct Known {
        Key key;
        RecordNumber number = no_record;
    };
    static constexpr std::size_t room = 64;
    static std::size_t slot_of(const Key &key) { return key.quick_hash() % room; }

    std::array<Known, room> known_ = {};
};

} // namespace logic
