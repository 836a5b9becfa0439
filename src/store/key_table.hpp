// The tables that are derived from `jobs`: queue (what is due next), failed, expiring, ended, blocked, children,
// paused. Each row is its own primary key and a function of one row of `jobs`.
//
// The race: two sessions change the same job, and so its keys. The job's row in `jobs` is the mutex. A session that
// changes a key has just changed, or holds locked, the newest version of that row, and saw that version through the
// active snapshot. Every session that changed the key before had changed the job's row in the same transaction. So the
// key under the same snapshot is the newest as well, and no other transaction can be changing it:
//   - ROLLBACK, also TO SAVEPOINT, and a crash take back the job's row and its keys together;
//   - at READ COMMITTED a session whose snapshot turns out older than the job's row looks again with a new one;
//   - at REPEATABLE READ it gets 40001 from the job's row, or passes over the job, before it comes to a key.
// There are two exceptions. A rebuild writes all keys anew (rebuild.cpp), under a lock on `jobs` that no writer holds
// meanwhile; a session that waited for it takes a new snapshot, or has to keep its older one and gets 40001
// (Derived::open()). An orphan has no job to be locked; it is only ever removed (Derived::remove_orphan()).
//
// What is written is noted for the hints of where to read a lane (shared/own_rows.hpp), before it is written.
//
// Rows are written by pg::TableWriter, so that every index is kept: beside the primary key there is another one while a
// session rebuilds it, or where a superuser added one. The index to search is chosen when the table has been locked,
// see pg/heap.hpp.
#pragma once

#include "logic/queue_key.hpp"
#include "shared/hints.hpp"
#include "store/tables.hpp"

namespace store {

constexpr int max_key_columns = 4;

// A row of a derived table: (lane, rank, time, job), (time, job) or (parent, job). The ids are pointers: what they
// point at has to live as long as the key.
struct Key {
    std::array<Datum, max_key_columns> value;
    int columns;
    bool begins_with_id = false;
};

Key queue_key_of(const logic::QueueKey &key, const pg_uuid_t *job);
Key instant_key_of(TimestampTz instant, const pg_uuid_t *job);
Key child_key_of(const pg_uuid_t *parent, const pg_uuid_t *job);

// The parts of a key: its time, unless it has a parent; its lane, for a key of four columns only; its parent.
inline TimestampTz time_in(const Key &key) { return DatumGetTimestampTz(key.value[key.columns - 2]); }
inline std::int32_t lane_in(const Key &key) { return DatumGetInt32(key.value[0]); }
// Where a row stands in its list (logic/hint.hpp).
logic::Place place_of(TimestampTz due_at, const pg_uuid_t *job);
inline const pg_uuid_t *parent_in(const Key &key) { return DatumGetUUIDP(key.value[0]); }

// Whether two keys of the same table are equal.
bool same_key(const Key &a, const Key &b);

// One derived table, open with its primary key.
//
// Errors: the constructor raises 42P01 and 42804 as open_private() and open_key() do. Whatever removes or moves a row
// raises 40001 at REPEATABLE READ or above if another transaction has changed the row since the snapshot was taken.
class KeyTable {
public:
    explicit KeyTable(PrivateTable table, LOCKMODE lock = RowExclusiveLock)
        : lock_(lock), table_(open_private(table, lock)), index_(open_key(table_, shape_of(table).key_columns, lock)),
          equal_(equal_for(table)), lookup_(table_, index_), slot_(table_), new_rows_(table_),
          writer_(table_, pg::TableWriter::Keys::change, nullptr, index_)
    {
    }

    // Writes a key that cannot be there, of a job that was just inserted. If it is there, 23505.
    void insert(const Key &key);
    // The same for several, pg::Slots::most at most.
    void insert(std::span<const Key> keys);
    // Writes the key unless it is there, which it hardly ever is: written first, looked for where the index has it.
    void ensure(const Key &key);
    // Removes the key, if it is there. True: it was.
    bool remove(const Key &key);
    // Replaces one by the other. Where `from` is missing, writes `to` all the same.
    void move_key(const Key &from, const Key &to);
    // The same for a row whose place a scan under the active snapshot found.
    void remove_at(ItemPointer tid, const Key &key);
    void move_at(ItemPointer tid, const Key &from, const Key &to);

    void unlock_when_closed()
    {
        table_.unlock_when_closed(lock_);
        index_.unlock_when_closed(lock_);
    }

    // Whether the index leads to a row with this key; to the one at this place. For many searches under one snapshot,
    // the one that was active at the first of them: the index scan is kept from one to the next.
    bool contains(const Key &key);
    bool has_at(const Key &key, const ItemPointerData &place);
    // Removes the row that the active snapshot shows at this place, if it has this key, without asking the index. The
    // key is compared because the place may have been vacuumed and used again. True: it was removed.
    bool remove_if_at(const ItemPointerData &place, const Key &key);
    // The key that a row of the table is. It points into the slot.
    static Key key_in(TupleTableSlot *slot);

    Relation table() const { return table_; }
    Relation index() const { return index_; }

private:
    using Equal = std::array<RegProcedure, max_key_columns>;
    static Equal equal_for(PrivateTable table);
    static void require_current(TM_Result result);
    bool find(const Key &key);
    static void fill(TupleTableSlot *slot, const Key &key);
    void note_brought(const Key &key);
    void note_removed(const Key &key);

    LOCKMODE lock_;
    pg::OpenRelation table_;
    pg::OpenRelation index_;
    Equal equal_; // of each column of the key, as a scan key takes it
    pg::IndexLookup lookup_;
    pg::Slot slot_;
    pg::Slots new_rows_;
    pg::TableWriter writer_;
};

} // namespace store
