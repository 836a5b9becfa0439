// The table `jobs`: found, locked, written. Whatever writes here keeps the derived tables in step.
//
// The races, and why they do no harm:
//   - Two sessions change the same job. find() shows the version of the active snapshot; try_lock() and update() find
//     out by its tid whether that is still the newest. If not, nothing is written: the caller renews the snapshot and
//     begins again with the new version, as EvalPlanQual does for a statement (change() below). At REPEATABLE READ or
//     above no snapshot is newer, and update() raises 40001. ROLLBACK of the other session leaves the version as it was
//     found.
//   - An owner alters `jobs`, or disables a trigger of ours, before or while this is opened. open() locks first and
//     looks afterwards; from then on ROW EXCLUSIVE keeps what would change columns or triggers, TRUNCATE and rebuilds
//     waiting.
//   - Code of the user's, which runs in an index expression or in a statement of the statement path, does such things
//     in this session, where our own lock keeps nothing out. Postgres refuses ALTER and DROP of what is open (55006);
//     for the rest current() looks again before each write.
//   - A job with the same job_id or job_key is inserted at once: see insert().
#pragma once

#include "pg/foreign_keys.hpp"
#include "pg/heap.hpp"
#include "store/transition.hpp"

namespace store {

class Jobs {
public:
    // Opens `jobs` for writing; builds the derived tables first if they do not count as built, for which it waits until
    // no other session writes to `jobs`. To be called inside a StatementScope, whose snapshot it may renew. Raises
    // 42P01 and 42804 as tables() does. `require` raises 42501 for a caller who may not do what follows; it is called
    // twice.
    using Require = void(TableId jobs);
    static Jobs open(Require require);
    // For maintenance, which no caller asked for, or where the privilege was asked for before.
    static Jobs open();

    // What open() or current() found out last.
    const Tables &tables() const { return tables_; }

    // The same, looked up anew if code of the user's has changed anything since: it can make triggers, rules, policies
    // and children, and drop an index that is not open. Raises 42804 where another table has the name `jobs` now.
    const Tables &current();

    // The version that the active snapshot shows, valid until the next find on this object; nothing: it shows none.
    // Locks nothing. Raises 23502 as read_row() does.
    std::optional<Row> find(const pg_uuid_t *id);
    std::optional<Row> find_by_job_id(const text *job_id);
    std::optional<Row> find_by_job_key(const pg_uuid_t *organisation, const text *job_key);

    // Makes a new snapshot the active one. At REPEATABLE READ or above it is the old one again.
    void renew_snapshot();

    enum class Lock { taken, busy, changed };
    // Locks the version that was just found, without waiting, until the end of the transaction. `busy`: another
    // transaction has it, or an unfinished command of this one has changed it. `changed`: it is not the newest. Nothing
    // is locked then. The default mode is that of an UPDATE which leaves the key as it is, so that a row with a foreign
    // key to the job can be inserted meanwhile.
    Lock try_lock(LockTupleMode mode = LockTupleNoKeyExclusive);

    // Writes a new job; `row` becomes what was really written. `keys`: those that another job may have (job_id,
    // job_key; unique_keys.hpp). False, only where there are any: a job with one of them is there, as with ON CONFLICT
    // DO NOTHING; waits for a transaction that is inserting one. For any other key that is 23505. Raises 23503 where a
    // foreign key of the user's names nothing, and waits for a transaction that deletes what it names. Raises 09000
    // where a trigger or rule kept the row out; where there are keys, that may be false as well, and the caller tells
    // them apart (insert_or_find() in verbs/enqueue.cpp).
    bool insert(Row &row, ColumnSet keys);

    // Writes new jobs, none of which has a key that another may have, all at once; only where direct_insert() and
    // pg::Slots::most at most. `at(i)` is called before what concerns the i-th alone and may fail. Raises as insert().
    template <class At>
    void insert(std::span<const Row> rows, At at)
    {
        const std::span<TupleTableSlot *const> slots = fill_new_rows(rows);
        writer_.insert(slots, at);
        follow_new(derived_, rows, at);
        if (tables_.theirs.has_foreign_key)
            for (std::size_t i = 0; i < rows.size(); ++i) {
                at(i);
                foreign_keys_.check(slots[i]);
            }
        new_rows_.clear();
    }

    // Replaces the version that was just found, and lets follow what follows (transition.hpp). Waits for a transaction
    // that is changing the job, unless it is locked. `after` becomes what was really written. `queue_row`: the place of
    // the job's row in the queue, if a scan under the active snapshot found it. Raises 40001 where another transaction
    // was first, at REPEATABLE READ or above; 27000 where the statement in which this call runs has changed the job.
    Written update(const Row &before, Row &after, ItemPointer queue_row = nullptr);

    // Deletes the version that was just found and locked. `changed_meanwhile`: a trigger of the user's changed it then.
    Written remove(const Row &before);

    // The version that was just found, whole: also the user's own columns.
    TupleTableSlot *found() const { return found_; }
    Relation table() const { return table_; }

    // Locks a job that is going to be written by a statement, by a statement of the caller's too, so that it does not
    // change between the look and the write. Waits for a transaction that has it. False: row security hides it from the
    // caller, or it is gone. Raises 42501 where the caller may not lock it, 40001 at REPEATABLE READ or above.
    bool lock_by_statement(const pg_uuid_t *id);

    // Whether an update of these columns goes the direct path.
    bool direct_update(ColumnSet written) { return direct(current(), Operation::update, written); }

    // Whether inserts do.
    bool direct_insert() { return direct(current(), Operation::insert, all_columns); }

    // Whether every write so far went the direct path, which runs no trigger of the user's.
    bool only_direct() const { return only_direct_; }

    // Lets the locks on the tables go at the end of the call, not of the transaction: for a claim that wrote nothing
    // and is going to sleep, behind which an ALTER TABLE would wait. Never after a write, whose locks last until
    // commit.
    void unlock_when_closed();

    Derived &derived() { return derived_; }

private:
    explicit Jobs(const Tables &known, pg::OpenRelation table);

    std::optional<Row> find_by(pg::OpenRelation &index, Column last, std::span<const Datum> values,
                               std::span<const RegProcedure> equal);
    bool insert_unless_taken(ColumnSet keys);
    std::span<TupleTableSlot *const> fill_new_rows(std::span<const Row> rows);
    void go_by_statement();
    void read_again(Row &row);
    void end_lookups();
    Written update_directly(const Row &before, const Row &after, ItemPointer queue_row);

    Tables tables_;
    std::uint64_t described_at_; // changes() at that time
    pg::OpenRelation table_;
    MemoryContext memory_ = CurrentMemoryContext;
    pg::OpenRelation by_id_index_, by_job_id_index_, by_job_key_index_; // each is opened when it is first needed
    std::optional<pg::IndexLookup> by_id_;
    pg::Slot found_, out_;
    pg::Slots new_rows_;
    pg::TableWriter writer_;
    pg::ForeignKeys foreign_keys_;
    Derived derived_;
    bool only_direct_ = true;
};

// Changes one job, computed from its newest version. `compute(const Row &before, Row &after)` says false to leave it as
// it is. `result` becomes the job as it is afterwards. `missing`: there is no such job, or row security hides it.
//
// The race: another transaction changes the job between find() and update(). On the direct path update() waits for it,
// writes nothing if it committed, and `compute` is called again with a newer version: so it must not remember what it
// saw before. Each turn of the loop means that another session got on. On the statement path the row is locked first;
// the snapshot is renewed after that, because the lock may have waited for a newer version than the old one shows.
// Raises 09000 where a trigger or rule kept the job from being changed, and as update() and lock_by_statement() do.
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
