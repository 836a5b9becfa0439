// Tables written without planner and executor, as COPY does it: every index is kept, unique ones are checked.
// Triggers, rules, constraints and defaults are NOT looked at: the caller knows that there are none that matter.
//
// Which indexes a table has changes at any time: REINDEX CONCURRENTLY alone puts a new one beside the old one, has it
// written, then read instead of the old one, and drops the old one. Between these steps it waits only for transactions
// that hold a lock on the table. So Postgres asks two things of whoever goes past its executor, and here they are kept
// in two places that everything else of ours goes through:
//  - Every index that is ready is written, also one that nobody may read yet, or any more. TableWriter writes all of
//    ExecOpenIndices(), which reads the list at the first write, hence under the table's lock. Nothing else here
//    inserts into an index.
//  - An index is looked up when its table is locked, and forgotten before that lock is let go. open_unique_index()
//    wants the open table, and is the only way to an index of a table of ours: the oid of one is kept nowhere. So none
//    can be gone when it is opened, though the call waited for a row or for another table before.
#pragma once

#include "pg/scope.hpp"
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

// Empties a slot and hands out its arrays; all columns are null at first.
void start_row(TupleTableSlot *slot);

// The columns of a key, in its order.
using KeyColumns = std::span<const AttrNumber>;

// The index that keeps this key unique, at once, and has it in ascending order: a b-tree that is valid. The table must
// be locked. Nothing: there is none.
OpenRelation open_unique_index(Relation table, KeyColumns key, LOCKMODE lock);
bool has_unique_index(Relation table, KeyColumns key);

// Writes into one table; opens its indexes at the first write that needs them.
class TableWriter {
public:
    // What an update mostly does to the indexed columns: where they stay, a b-tree removes versions of the same row
    // before it splits a page.
    enum class Keys { stay, change };

    explicit TableWriter(Relation table, Keys keys = Keys::stay) : table_(table), keys_(keys) {}
    ~TableWriter();
    TableWriter(const TableWriter &) = delete;
    TableWriter &operator=(const TableWriter &) = delete;

    void insert(TupleTableSlot *slot);

    // Inserts unless a row with the same key is there, like INSERT … ON CONFLICT (key) DO NOTHING: waits for a
    // transaction that is inserting it. False: it is there. 42804 when no index keeps the key unique.
    bool insert_unless_taken(TupleTableSlot *slot, KeyColumns key);

    // Replaces the version at `tid`. TM_Ok, or TM_Updated or TM_Deleted when somebody else was first; waits for a
    // transaction that is changing it. Sets the new version's tid in `slot`.
    TM_Result update(ItemPointer tid, TupleTableSlot *slot);

    TM_Result remove(ItemPointer tid);

private:
    void open_indexes(bool speculative);
    void insert_into_indexes(TupleTableSlot *slot, bool update, bool summarizing_only);
    List *indexes_on(KeyColumns key) const;

    Relation table_;
    Keys keys_;
    MemoryContext memory_ = CurrentMemoryContext;
    EState *estate_ = nullptr;
    ResultRelInfo *info_ = nullptr;
    bool speculative_ = false;
};

// One index of a table, searched by equality again and again under the active snapshot.
class IndexLookup {
public:
    IndexLookup(Relation table, Relation index) : table_(table), index_(index) {}
    ~IndexLookup() { end(); }
    IndexLookup(const IndexLookup &) = delete;
    IndexLookup &operator=(const IndexLookup &) = delete;

    // The first row whose leading index columns equal `keys`; it stays in the slot. False: none is visible.
    bool find(std::span<const Datum> keys, std::span<const RegProcedure> equal, TupleTableSlot *slot);

    // Forgets the snapshot of the searches so far.
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
    // Before its snapshot goes.
    void end()
    {
        if (scan_ != nullptr)
            table_endscan(std::exchange(scan_, nullptr));
    }

private:
    Slot slot_;
    TableScanDesc scan_;
};

} // namespace pg
