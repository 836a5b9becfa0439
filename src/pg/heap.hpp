// Tables that are written without planner and executor, as COPY writes them: every index is kept, unique ones are
// checked. Triggers, rules, constraints, defaults and privileges are NOT looked at: the caller has made sure that none
// of them matters (store/user_objects.hpp).
//
// Which indexes a table has changes at any time: REINDEX CONCURRENTLY alone puts a new one beside the old one, has it
// written, then read instead of the old one, and drops the old one. Between these steps it waits only for transactions
// that hold a lock on the table. So Postgres asks two things of code that goes past its executor, and each is kept in
// one place, through which all of ours goes:
//  - Every index that is ready is written, also one that nobody may read yet, or any more. TableWriter writes all of
//    the table's list, which it reads at the first write, hence under the table's lock (written_indexes.hpp). Nothing
//    else here inserts into an index. A missed entry would be a row that is never found by the new index.
//  - An index is looked up when its table is locked, and forgotten before that lock is let go. open_unique_index()
//    wants the open table, and is the only way to an index of a table of ours: the oid of one is kept nowhere. So none
//    can be gone when it is opened, though the call waited for a row or for another table before.
//
// Two sessions may write the same row: update() and remove() wait for the first and then say that the row has changed;
// the caller looks again. Two may insert the same key: insert_unless_taken() waits for the first. A crash or rollback
// leaves dead versions, which vacuum removes; a tentative insertion that a crash leaves behind is never visible.
#pragma once

#include "pg/scope.hpp"
#include "pg/written_indexes.hpp"
#include "prelude.hpp"

namespace pg {

// A tuple slot that is dropped at the end of its scope.
class Slot {
public:
    explicit Slot(Relation table) : slot_(table_slot_create(table, nullptr)) {}
    ~Slot() { ExecDropSingleTupleTableSlot(slot_); }
    Slot(const Slot &) = delete;
    Slot &operator=(const Slot &) = delete;
    operator TupleTableSlot *() const { return slot_; }
    TupleTableSlot *operator->() const { return slot_; }

private:
    TupleTableSlot *slot_;
};

// Slots for rows that are written together; each is made when it is first asked for.
class Slots {
public:
    static constexpr std::size_t most = 64; // a page of `jobs` has fewer rows, one of the queue about twice as many

    explicit Slots(Relation table) : table_(table) {}
    ~Slots()
    {
        for (std::size_t i = 0; i < made_; ++i)
            ExecDropSingleTupleTableSlot(slots_[i]);
    }
    Slots(const Slots &) = delete;
    Slots &operator=(const Slots &) = delete;

    // The first `count` of them.
    std::span<TupleTableSlot *const> first(std::size_t count);
    // Lets the rows go that are in them.
    void clear();

private:
    Relation table_;
    MemoryContext memory_ = CurrentMemoryContext;
    std::size_t made_ = 0;
    std::array<TupleTableSlot *, most> slots_;
};

// Clears the page to which this session's next row would go of versions that nobody sees any more, if they keep `row`
// from it. Postgres does so only where a row is read: without this a page with a low fillfactor takes two or three
// rows, whose old versions fill it, and the next row begins another.
void clear_page_for(Relation table, HeapTuple row);
inline void clear_page_for(Relation table, TupleTableSlot *row)
{
    clear_page_for(table, ExecFetchSlotHeapTuple(row, true, nullptr));
}

// Prepares a slot for a new row: the caller fills tts_values and tts_isnull, in which all columns are null, and calls
// ExecStoreVirtualTuple().
void start_row(TupleTableSlot *slot);

// What an index keeps unique: columns, in the key's order. `where_set`: in rows in which the last of them is not null,
// so that the index may leave out the others (WHERE column IS NOT NULL), which then cost nothing. No other predicate
// serves: rows that it leaves out could have the same key.
struct UniqueKey {
    using Columns = std::span<const AttrNumber>;
    UniqueKey(Columns key_columns, bool only_where_set = false) : columns(key_columns), where_set(only_where_set) {}
    template <std::size_t count>
    UniqueKey(const AttrNumber (&key_columns)[count]) : columns(key_columns)
    {
    }
    template <std::size_t count>
    UniqueKey(const std::array<AttrNumber, count> &key_columns) : columns(key_columns)
    {
    }

    Columns columns;
    bool where_set = false;
};

// Whether the index, which is open, keeps this key unique, at once (not deferrable) and in all rows that have the key;
// it need not be valid.
bool keeps_unique(Relation index, const UniqueKey &key);

// The valid b-tree that keeps this key unique and has it in ascending order. The caller holds a lock on the table.
// Empty if there is none: the owner dropped it, or replaced it by one that does not serve.
OpenRelation open_unique_index(Relation table, const UniqueKey &key, LOCKMODE lock);
bool has_unique_index(Relation table, const UniqueKey &key);

// Writes into one table; opens its indexes at the first write that needs them.
class TableWriter {
public:
    // What an update mostly does to the indexed columns. With `stay`, the indexes are told that the new entry is a
    // further version of the same row: a b-tree then removes dead versions before it splits a page (bottom-up deletion,
    // nbtree/README). For a table whose key is what changes, the hint would cost those scans and find nothing.
    enum class Keys { stay, change };

    // `left_out`, where the caller remembers it, and `open_index`, where he has one of the table's open already, have
    // to outlive the writer.
    explicit TableWriter(Relation table, Keys keys = Keys::stay, const NullsLeftOut *left_out = nullptr,
                         Relation open_index = nullptr)
        : table_(table), keys_(keys), indexes_(table, left_out, open_index)
    {
    }

    // Raises 23505 if a unique index has the key. Sets the tid in `slot`.
    void insert(TupleTableSlot *slot);

    // The same for several rows, of which each page is locked once and logged in one record. The index entries come
    // after all rows; `before(i)` is called before those of the i-th, whose key may be taken.
    template <class Before>
    void insert(std::span<TupleTableSlot *const> rows, Before before)
    {
        write_rows(rows);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            before(i);
            insert_into_indexes(rows[i], false, false);
        }
    }

    // Inserts the row, and takes it back if another row may have its key: one that is there, or that another
    // transaction has written or removed and may yet commit. False: nothing was inserted, and the caller has to look.
    // For a key that is hardly ever there: this costs no search, which a look before would. False also, and always,
    // where the table has several indexes.
    bool try_insert(TupleTableSlot *slot);

    // Inserts unless a row with one of the keys, none of whose columns is null in it, is there, like INSERT … ON
    // CONFLICT (key) DO NOTHING. Waits for a transaction that is inserting or deleting a key, and inserts if that
    // leaves it free. False: a row is there, which a snapshot that is older need not show. Raises 42804 if no index
    // keeps one of the keys unique, 23505 for any other unique index.
    bool insert_unless_taken(TupleTableSlot *slot, std::span<const UniqueKey> keys);
    bool insert_unless_taken(TupleTableSlot *slot, const UniqueKey &key)
    {
        return insert_unless_taken(slot, std::span(&key, 1));
    }

    // Replaces the version at `tid`, which the active snapshot sees. Waits for a transaction that is changing it.
    // TM_Ok; TM_Updated or TM_Deleted if that one committed, or another had before; TM_SelfModified if a command of
    // this transaction that is not over changed it. Anything but TM_Ok has written nothing. Sets the new version's tid
    // in `slot`.
    TM_Result update(ItemPointer tid, TupleTableSlot *slot);

    // Deletes the version at `tid`, likewise. Index entries stay until vacuum, as after any DELETE.
    TM_Result remove(ItemPointer tid);

private:
    void write_rows(std::span<TupleTableSlot *const> rows);
    void insert_into_indexes(TupleTableSlot *slot, bool update, bool summarizing_only);
    List *add_indexes_on(const UniqueKey &key, const ResultRelInfo *info, List *found) const;

    Relation table_;
    Keys keys_;
    WrittenIndexes indexes_;
};

// A column of the index tuple at which the scan stands; needs xs_want_itup.
inline Datum indexed(IndexScanDesc scan, AttrNumber column)
{
    bool null;
    return index_getattr(scan->xs_itup, column, RelationGetDescr(scan->indexRelation), &null);
}

// Whether a transaction, this one or another, is removing or replacing the row that a scan put into the slot, or has
// done so since its snapshot. False: nobody is, or it was rolled back, or it cannot be told. A row that is merely
// locked stays.
bool is_being_removed(TupleTableSlot *slot);

// One index of a table, searched by equality again and again under one snapshot: the one that is active at the first
// search, until end(). The scan is kept open between searches, because to begin one costs more than to rescan it.
class IndexLookup {
public:
    IndexLookup(Relation table, Relation index) : table_(table), index_(index) {}
    ~IndexLookup() { end(); }
    IndexLookup(const IndexLookup &) = delete;
    IndexLookup &operator=(const IndexLookup &) = delete;

    // The first row that is visible and whose leading index columns equal `keys` by the operators `equal`. It stays in
    // the slot, pinned, until the next search. False: no such row is visible.
    bool find(std::span<const Datum> keys, std::span<const RegProcedure> equal, TupleTableSlot *slot);

    // Ends the scan and forgets its snapshot, which may be popped already. To be called before a search under another
    // one.
    void end();

private:
    Relation table_;
    Relation index_;
    MemoryContext memory_ = CurrentMemoryContext;
    IndexScanDesc scan_ = nullptr;
};

// The rows of a table as the snapshot sees them, one after the other.
class TableScan {
public:
    TableScan(Relation table, Snapshot snapshot) : slot_(table), scan_(table_beginscan(table, snapshot, 0, nullptr)) {}
    ~TableScan() { end(); }
    TableScan(const TableScan &) = delete;
    TableScan &operator=(const TableScan &) = delete;

    // Null: that was all.
    TupleTableSlot *next()
    {
        CHECK_FOR_INTERRUPTS();
        return table_scan_getnextslot(scan_, ForwardScanDirection, slot_) ? static_cast<TupleTableSlot *>(slot_)
                                                                          : nullptr;
    }
    // To be called before the snapshot is popped: the scan does not hold it.
    void end()
    {
        if (scan_ != nullptr)
            table_endscan(std::exchange(scan_, nullptr));
    }

private:
    Slot slot_;
    TableScanDesc scan_;
};

// Deletes all rows that the active snapshot shows, one by one: unlike TRUNCATE it waits for nobody who reads the table.
// For a table that nobody else is writing rows to; what somebody deletes meanwhile is gone.
void remove_all_rows(Relation table);

} // namespace pg
