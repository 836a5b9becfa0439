// Tables written without planner and executor, as COPY does it: every index is kept, unique ones are checked.
// Triggers, rules, constraints and defaults are NOT looked at: the caller knows that there are none that matter.
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

// Writes into one table; opens its indexes at the first write that needs them.
class TableWriter {
public:
    explicit TableWriter(Relation table) : table_(table) {}
    ~TableWriter();
    TableWriter(const TableWriter &) = delete;
    TableWriter &operator=(const TableWriter &) = delete;

    void insert(TupleTableSlot *slot);

    // Inserts unless the unique index already has the key, like INSERT … ON CONFLICT DO NOTHING: waits for a
    // transaction that is inserting the same key. False: it is there.
    bool insert_unless_taken(TupleTableSlot *slot, Oid unique_index);

    // Replaces the version at `tid`. TM_Ok, or TM_Updated or TM_Deleted when somebody else was first; waits for a
    // transaction that is changing it. Sets the new version's tid in `slot`.
    TM_Result update(ItemPointer tid, TupleTableSlot *slot);

    TM_Result remove(ItemPointer tid);

private:
    void open_indexes(bool speculative);

    Relation table_;
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

} // namespace pg
