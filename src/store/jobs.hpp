// The table `jobs`: found, locked, written. Whatever writes here keeps the derived tables in step.
#pragma once

#include "pg/heap.hpp"
#include "store/derived.hpp"

namespace store {

class Jobs {
public:
    // Opens the tables for writing; builds the queue first if it has to. To be called inside a StatementScope.
    // `require` raises 42501 for a caller who may not do what follows.
    using Require = void(TableId jobs);
    static Jobs open(Require require);
    // For what is not the caller's doing, or was asked before.
    static Jobs open();

    // As they were described last; current() looks first whether they still are so.
    const Tables &tables() const { return tables_; }

    // After code of the user's may have run, which can do more to `jobs` than alter it: make triggers, rules, policies,
    // children, drop an index that is not open. 42804 when what is held here does not fit any more.
    const Tables &current();

    // The version that the active snapshot sees, valid until the next find on this object.
    std::optional<Row> find(const pg_uuid_t *id);
    std::optional<Row> find_by_key(const text *job_id);

    // Looks with a new snapshot from now on.
    void renew_snapshot();

    enum class Lock { taken, busy, changed };
    // Locks the version that was just found, without waiting. `changed`: it is not the newest, nothing is locked.
    Lock try_lock(LockTupleMode mode = LockTupleNoKeyExclusive);

    // Writes a new row. Sets what the database made of it. False: its job_id is taken, only when `keyed`.
    bool insert(Row &row, bool keyed);

    // Replaces the version that was just found; what follows from it, follows (transition.hpp). `after` is set to what
    // was really written. `queue_row`: where the job's row of the queue is, if that is known from a scan under the
    // active snapshot.
    Written update(const Row &before, Row &after, ItemPointer queue_row = nullptr);

    // Deletes the version that was just found and locked.
    Written remove(const Row &before);

    // The version that was just found, whole: also the user's own columns.
    TupleTableSlot *found() const { return found_; }
    Relation table() const { return table_; }

    // Locks, by a statement of the caller's, a row that is going to be written by one: it must not change between
    // being looked at and being written. False: the caller may not see or not update it, or it is gone.
    bool lock_by_statement(const pg_uuid_t *id);

    // Whether writing these columns goes straight to the tables.
    bool direct_update(ColumnSet written) { return direct(current(), Operation::update, written); }

    // Whether every write of this call went straight to the tables.
    bool only_direct() const { return only_direct_; }

    // Lets the locks on the tables go at the end of the call: of one that wrote nothing and is going to sleep.
    void unlock_when_closed();

    Derived &derived() { return derived_; }

private:
    explicit Jobs(const Tables &known, pg::OpenRelation table);

    void go_by_statement();
    Written update_directly(const Row &before, const Row &after, ItemPointer queue_row);

    Tables tables_;
    std::uint64_t described_at_; // changes() at that time
    pg::OpenRelation table_;
    pg::OpenRelation by_id_index_, by_key_index_;
    pg::IndexLookup by_id_;
    pg::Slot found_, out_;
    pg::TableWriter writer_;
    Derived derived_;
    bool only_direct_ = true;
};

// A change of one job, computed from its newest version. `compute(const Row &before, Row &after)` says false to leave
// it as it is; it may be called again when another transaction was first. Returns the row as it is afterwards, or
// nothing when there is no such job or the caller may not have it.
enum class Changed { yes, no, missing };

template <class Compute>
Changed change(Jobs &jobs, const pg_uuid_t *id, ColumnSet written, Row &result, Compute compute)
{
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        if (!jobs.direct_update(written)) {
            if (!jobs.lock_by_statement(id))
                return Changed::missing;
            jobs.renew_snapshot();
        }
        const std::optional<Row> before = jobs.find(id);
        if (!before)
            return Changed::missing;
        result = *before;
        result.changed = 0;
        if (!compute(*before, result)) {
            result = copy(*before);
            return Changed::no;
        }
        switch (jobs.update(*before, result)) {
        case Written::yes:
            return Changed::yes;
        case Written::suppressed:
            ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                            errmsg("a trigger or rule on jobs kept job %s from being changed", to_text(id))));
        case Written::changed_meanwhile:
            jobs.renew_snapshot();
        }
    }
}

} // namespace store
