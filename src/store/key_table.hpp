// The tables that are derived from `jobs`: queue (what is due next), failed, expiring, ended. Each row is its own
// primary key and a function of one row of `jobs`.
//
// The jobs row is the mutex: whoever changes a job's key has just changed, or holds locked, the newest version of its
// jobs row, and saw that version through the active snapshot. So the key's row under the same snapshot is the newest
// as well, and nobody else can be changing it. The one exception builds all keys anew (rebuild.cpp), under a lock
// on `jobs` that no writer holds meanwhile; whoever waited for it takes a new snapshot, or has to keep an older one and
// gets 40001 (derived.hpp).
//
// Rows are written by pg::TableWriter like those of any other table: the primary key is not the only index while
// somebody rebuilds it, or where a superuser added one. It is looked up when the table has been locked, see
// pg/heap.hpp.
#pragma once

#include "logic/queue_key.hpp"
#include "pg/heap.hpp"
#include "store/tables.hpp"

namespace store {

constexpr int max_key_columns = 4;

struct Key {
    std::array<Datum, max_key_columns> value;
    int columns;
};

Key queue_key_of(const logic::QueueKey &key, const pg_uuid_t *job);
Key instant_key_of(TimestampTz instant, const pg_uuid_t *job);

// The parts of a key: its time; its lane, where it begins with one.
inline TimestampTz time_in(const Key &key) { return DatumGetTimestampTz(key.value[key.columns - 2]); }
inline std::int32_t lane_in(const Key &key) { return DatumGetInt32(key.value[0]); }

// Of the same table.
bool same_key(const Key &a, const Key &b);

class KeyTable {
public:
    explicit KeyTable(PrivateTable table, LOCKMODE lock = RowExclusiveLock)
        : lock_(lock), table_(open_private(table, lock)), index_(open_key(table_, shape_of(table).key_columns, lock)),
          lookup_(table_, index_), slot_(table_), writer_(table_, pg::TableWriter::Keys::change)
    {
    }

    // Writes a key that cannot be there: of a job that was just inserted.
    void insert(const Key &key);
    // Makes the key be there.
    void put(const Key &key);
    // Takes the key away, if it is there.
    void remove(const Key &key);
    void move(const Key &from, const Key &to);
    // The same for a row whose place is known from a scan.
    void remove_at(ItemPointer tid);
    void move_at(ItemPointer tid, const Key &to);

    void unlock_when_closed()
    {
        table_.unlock_when_closed(lock_);
        index_.unlock_when_closed(lock_);
    }

    // Whether the index leads to a row of this key; to the one at this place. For many searches under one snapshot: the
    // one that was active at the first of them.
    bool has(const Key &key);
    bool has_at(const Key &key, const ItemPointerData &place);
    // Takes away the row that the active snapshot sees at this place, if it is of this key, without asking the index.
    bool remove_if_at(const ItemPointerData &place, const Key &key);
    // The key that a row of the table is.
    static Key key_in(TupleTableSlot *slot);

    Relation table() const { return table_; }
    Relation index() const { return index_; }

private:
    static void require_current(TM_Result result);
    bool find(const Key &key);
    void fill(const Key &key);

    LOCKMODE lock_;
    pg::OpenRelation table_;
    pg::OpenRelation index_;
    pg::IndexLookup lookup_;
    pg::Slot slot_;
    pg::TableWriter writer_;
};

} // namespace store
