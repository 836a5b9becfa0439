// The indexes of a table into which rows are written, for pg::TableWriter alone (heap.hpp).
//
// What ExecOpenIndices() and ExecInsertIndexTuples() do, at less cost:
//  - The list of the indexes is read at the first row, hence under the table's lock. An index stays unopened until a
//    row comes that may have an entry in it (nulls_left_out.hpp); Postgres waits for all that hold the table before it
//    drops one, so it is still there then.
//  - As long as all that are open are of columns alone, immediate, and have neither predicate nor exclusion constraint,
//    the executor has nothing to decide, and its state is not made: index_insert() is all that is left of it. The first
//    one of another kind gives all of them to ExecInsertIndexTuples().
//  - The locks last until the end of the transaction, like the table's: to let go of each is dearer than to let go of
//    all at commit, and the next call of the transaction has them. Nobody waits longer who has to wait for the table;
//    only ALTER INDEX … SET TABLESPACE locks an index alone.
#pragma once

#include "pg/nulls_left_out.hpp"

namespace pg {

class WrittenIndexes {
public:
    // `left_out` is read at the first row.
    WrittenIndexes(Relation table, const NullsLeftOut *left_out) : table_(table), left_out_(left_out) {}
    ~WrittenIndexes();
    WrittenIndexes(const WrittenIndexes &) = delete;
    WrittenIndexes &operator=(const WrittenIndexes &) = delete;

    // Opens those in which the row may have an entry and that are not open yet. To be called before each row's entries
    // are made.
    void open_for(TupleTableSlot *row);

    // Makes the row's entries, at the tid in its slot. `keys_stay`: the row is a further version whose keys are the old
    // ones. Raises 23505. Returns the deferrable indexes whose check is left to the end of the transaction.
    List *insert(TupleTableSlot *row, bool keys_stay, bool summarizing_only);

    // For insert_unless_taken(): the open ones as the executor takes them, those that are unique prepared for the check
    // of conflicts. To be called after open_for().
    ResultRelInfo *for_speculation();
    EState *estate() const { return estate_; }

private:
    struct Listed {
        Oid oid;
        AttrNumber left_out_where_null; // 0: the index may have an entry of any row
    };

    void read_list();
    void open(int number);
    ResultRelInfo *for_executor();

    Relation table_;
    const NullsLeftOut *left_out_;
    MemoryContext memory_ = CurrentMemoryContext;
    Listed *listed_ = nullptr;
    Relation *open_ = nullptr; // by the place in the list; null: not open. The executor passes over these
    IndexInfo **infos_ = nullptr;
    int count_ = 0;
    int open_count_ = 0;
    bool all_plain_ = true;
    ResultRelInfo *executor_ = nullptr;
    EState *estate_ = nullptr;
};

} // namespace pg
