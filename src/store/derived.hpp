// Keeps the tables that are derived from `jobs` in step with one row of it.
#pragma once

#include "store/key_table.hpp"

namespace store {

std::optional<logic::QueueKey> queue_key(const Row &row);

std::optional<logic::QueueKey> ended_key(const Row &row);

// One of derived_tables.
using DerivedTable = PrivateTable;

// What the derived tables are to say of a row: its key in each, or nothing. The lane of its type is made, if there is
// none.
class Keys {
public:
    std::optional<Key> &operator[](DerivedTable table) { return keys_[static_cast<std::size_t>(table)]; }
    const std::optional<Key> &operator[](DerivedTable table) const { return keys_[static_cast<std::size_t>(table)]; }

private:
    std::array<std::optional<Key>, derived_tables.size()> keys_;
};
Keys keys_of(const Row &row);
// The same for who writes nothing: a type without a lane has one that is in no key.
Keys keys_to_compare(const Row &row);

// Whether the job is to be cancelled at `expires_at`: it never started. A retry that waits does not expire.
bool may_expire(const Row &row);

class Derived {
public:
    // Follows a row of `jobs` whose keys were and are these, and which the caller has changed already, see
    // key_table.hpp. Called by transition.hpp alone. `queue_row`: where its row of the queue is, if that is known.
    void move(const Keys &was, const Keys &is, ItemPointer queue_row = nullptr);
    // Keys that cannot be there.
    void insert(const Keys &keys);

    // Takes away a key of one of the tables whose job the active snapshot does not show. A key and its job are written
    // in one transaction, so whoever sees the key sees the job, or the job is gone for good. The exception is a
    // transaction at REPEATABLE READ or above that has built the tables itself: they then name jobs that are newer than
    // its snapshot. It leaves such a key where it is.
    void remove_orphan(KeyTable &table, const Key &key);
    // The same for the row at this place, without asking the index. Whether it was there and is gone.
    bool remove_orphan_at(KeyTable &table, const ItemPointerData &place, const Key &key);

    void unlock_when_closed();

    // Outside READ COMMITTED: 40001 when somebody else has built them since the transaction began, since its snapshot
    // then shows them as they were, without keys that it would have to remove.
    KeyTable &open(DerivedTable table);
    KeyTable &queue() { return open(DerivedTable::queue); }
    KeyTable &expiring() { return open(DerivedTable::expiring); }
    KeyTable &ended() { return open(DerivedTable::ended); }

private:
    MemoryContext memory_ = CurrentMemoryContext;
    std::array<std::optional<KeyTable>, derived_tables.size()> open_;
};

} // namespace store
