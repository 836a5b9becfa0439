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
    // `left_out` is read at the first row. `open_index`: one that the caller has open, which costs nothing here then;
    // null: none.
    WrittenIndexes(Relation table, const NullsLeftOut *left_out, Relation open_index)
        : table_(table), left_out_(left_out), open_index_(open_index)
    {
    }
    ~WrittenIndexes();
    WrittenIndexes(const WrittenIndexes &) = delete;
    WrittenIndexes &operator=(const WrittenIndexes &) = delete;

    // Opens those in which the row may have an entry and that are not open yet. To be called before each row's entries
    // are made.
    void open_for(TupleTableSlot *row);

    // Makes the row's entries, at the tid in its slot. `keys_stay`: the row is a further version whose keys are the old
    // ones. Raises 23505. Returns the deferrable indexes whose check is left to the end of the transaction.
    List *insert(TupleTableSlot *row, bool keys_stay, bool summarizing_only);

    // Whether the table has one index alone, and that is a plain one. To be called after open_for().
    bool is_one_plain() const { return count_ == 1 && open_count_ == 1 && all_plain_; }
    // Makes the entry in that one. False: another entry has the key, if the index is unique; this one is made all the
    // same.
    bool insert_into_one(TupleTableSlot *row);

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
    bool add_entry(int number, TupleTableSlot *row, IndexUniqueCheck check, bool keys_stay);
    ResultRelInfo *for_executor();

    Relation table_;
    const NullsLeftOut *left_out_;
    Relation open_index_;
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
