// Keeps the tables that are derived from `jobs` in step with one row of it. Why no lock on their rows is needed, and
// when a key is the newest, is told in key_table.hpp; what calls this, in transition.hpp.
#pragma once

#include "store/key_table.hpp"

namespace store {

// The key of the job in the queue; nothing: its status has none there (logic/queue_key.hpp). The lane of its type is
// made, if there is none, which writes and may wait (lanes::of()). Raises 42804 for an unknown status.
std::optional<logic::QueueKey> queue_key(const Row &row);

// The key of the job in `ended`; nothing: it has not ended. Likewise.
std::optional<logic::QueueKey> ended_key(const Row &row);

// One of derived_tables.
using DerivedTable = PrivateTable;

// What the derived tables are to say of a job: its key in each, or nothing.
class Keys {
public:
    std::optional<Key> &operator[](DerivedTable table) { return keys_[static_cast<std::size_t>(table)]; }
    const std::optional<Key> &operator[](DerivedTable table) const { return keys_[static_cast<std::size_t>(table)]; }

private:
    std::array<std::optional<Key>, derived_tables.size()> keys_;
};
// Makes the lane of the job's type, as queue_key() does.
Keys keys_of(const Row &row);
// The same for a look that must write nothing, as the audit's in a read-only transaction: a type without a lane gets
// lane -1, which is in no key, so that the job's keys count as missing.
Keys keys_to_compare(const Row &row);

// Whether the job is to be cancelled at `expires_at`: it waits or is paused, and was never claimed.
bool may_expire(const Row &row);

// Whether the job keeps its parent from going on, if that waits: it has one, and has not ended.
bool is_unended_child(const Row &row);

// The derived tables, each opened when it is first needed and open from then on.
class Derived {
public:
    // Moves the keys of a job that had `was` and is to have `is`. The caller has changed the job's row already: that
    // makes the keys this transaction's to write. For transition.cpp, and direct_dml.cpp where a trigger has changed
    // the job once more. `queue_row`: the place of its row in the queue, if a scan under the active snapshot found it.
    void move(const Keys &was, const Keys &is, ItemPointer queue_row = nullptr);
    // Writes the keys of a job that was just inserted, without a look whether they are there: its id is new.
    void insert(const Keys &keys);
    // The same for several, pg::Slots::most at most.
    void insert(std::span<const Keys> keys);

    // Removes a key whose job the active snapshot does not show. A key and its job are written in one transaction, so a
    // snapshot that shows the key shows the job too, or the job is gone for good. Two sessions that meet the same
    // orphan do no harm: the second finds the key gone. At REPEATABLE READ or above it removes none, because after a
    // rebuild in the same transaction the tables name jobs that are newer than its snapshot.
    void remove_orphan(KeyTable &table, const Key &key);
    // The same for the row at this place, for a row that its index may not lead to. True: it was there and is removed.
    bool remove_orphan_at(KeyTable &table, const ItemPointerData &place, const Key &key);

    // Removes a key that its job, which the caller has locked, does not have: a row that was wrong, or where it is not
    // there any more nothing.
    void remove_wrong(KeyTable &table, const Key &key);
    // The same for the row at this place.
    bool remove_wrong_at(KeyTable &table, const ItemPointerData &place, const Key &key);

    // Releases the locks when the tables are closed: for a claim that wrote nothing and is going to sleep.
    void unlock_when_closed();

    // Opens the table for writing, or returns it if it is open. Raises 42P01 and 42804 as open_private() does, and
    // 40001 at REPEATABLE READ or above where another transaction has built the tables since this one took its
    // snapshot: that snapshot shows them as they were, without keys that this transaction would have to remove.
    KeyTable &open(DerivedTable table);
    KeyTable &queue() { return open(DerivedTable::queue); }
    KeyTable &expiring() { return open(DerivedTable::expiring); }
    KeyTable &ended() { return open(DerivedTable::ended); }
    KeyTable &blocked() { return open(DerivedTable::blocked); }

private:
    MemoryContext memory_ = CurrentMemoryContext;
    std::array<std::optional<KeyTable>, derived_tables.size()> open_;
};

} // namespace store
