// The foreign keys of a table that is written past the executor (pg/heap.hpp). Postgres checks a new row's by triggers,
// and so do we, by those very triggers, fired as COPY fires them: they are queued and run by commands/trigger.c. Which
// of them fire (DISABLE TRIGGER, session_replication_role), as whom the referenced table is read (as its owner, past
// row security), what is locked there (the referenced row, FOR KEY SHARE, until the end of the transaction) and what
// the error says is hence Postgres's, as for any INSERT.
//
// The race: another session deletes the referenced row. Where it was first, the check waits for its end: after a commit
// it raises 23503, after a rollback it goes on. Where the check was first, the DELETE waits for our end, and then finds
// the new row, which it restricts, cascades to or sets null.
//
// Deferrable ones are not for this: who leaves a check to the end of the transaction must not replace the row by an
// update that fires no trigger, since the check passes over a row that was replaced (store/user_objects.cpp).
#pragma once

#include "prelude.hpp"

namespace pg {

// Whether the trigger is the one by which Postgres checks a foreign key of the table when a row is inserted.
bool checks_new_row(const Trigger &trigger);

class ForeignKeys {
public:
    // The table is open, and stays open for as long as this is there.
    explicit ForeignKeys(Relation table) : table_(table) {}
    ~ForeignKeys() { forget(); }
    ForeignKeys(const ForeignKeys &) = delete;
    ForeignKeys &operator=(const ForeignKeys &) = delete;

    // Checks the row that was just inserted from the slot. To be called with an active snapshot. Other rows of the same
    // command are seen: a row may refer to itself, or to one before it. Raises 23503; 40001 at REPEATABLE READ or above
    // where another transaction has deleted the referenced row, or changed its key, since the snapshot.
    void check(TupleTableSlot *inserted);

    // Has the triggers looked up anew by the next check: to be called when they may have changed.
    void forget();

private:
    void look_up();

    Relation table_;
    MemoryContext memory_ = CurrentMemoryContext;
    EState *estate_ = nullptr;
    ResultRelInfo *info_ = nullptr;
};

} // namespace pg
