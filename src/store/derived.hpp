// Keeps the tables that are derived from `jobs` in step with one row of it.
#pragma once

#include "store/key_table.hpp"

namespace store {

std::optional<logic::QueueKey> queue_key(const Row &row);

std::optional<logic::QueueKey> ended_key(const Row &row);

enum class DerivedTable : std::uint8_t { queue, failed, expiring, ended };
inline constexpr std::array derived_tables = {DerivedTable::queue, DerivedTable::failed, DerivedTable::expiring,
                                              DerivedTable::ended};
const char *name_of_derived(DerivedTable table);

// What the derived tables are to say of a row: its key in each, or nothing. The lane of its type is made, if there is none.
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
    explicit Derived(const Tables &tables) : tables_(tables) {}

    // The row was `before` and is `after`; null: it was not there, is not there any more. The caller has changed the
    // jobs row already, see key_table.hpp. `queue_row`: where its row of the queue is, if known.
    void follow(const Row *before, const Row *after, ItemPointer queue_row = nullptr);

    // A row that was not there before under this id.
    void add(const Row &row);

    // Brings back the key of a row in one of the tables, where it is missing, and tells who waits for it.
    void restore(const Row &row, DerivedTable table);

    // Takes away a key of one of the tables whose job the active snapshot does not show. A key and its job are written in one
    // transaction, so whoever sees the key sees the job, or the job is gone for good. The exception is a transaction at
    // REPEATABLE READ or above that has built the tables itself: they then name jobs that are newer than its snapshot. It
    // leaves such a key where it is.
    void remove_orphan(KeyTable &table, const Key &key);
    // The same for the row at this place, without asking the index. Whether it was there and is gone.
    bool remove_orphan_at(KeyTable &table, const ItemPointerData &place, const Key &key);

    void unlock_when_closed();

    // Outside READ COMMITTED: 40001 when somebody else has built them since the transaction began, since its snapshot then
    // shows them as they were, without keys that it would have to remove.
    KeyTable &open(DerivedTable table);
    KeyTable &queue();
    KeyTable &failed();
    KeyTable &expiring();
    KeyTable &ended();

private:
    KeyTable &open(std::optional<KeyTable> &table, const PrivateTable &which);

    const Tables &tables_;
    MemoryContext memory_ = CurrentMemoryContext;
    std::optional<KeyTable> queue_, failed_, expiring_, ended_;
};

} // namespace store
