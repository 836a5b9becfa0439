#include "store/jobs.hpp"

#include "settings.hpp"
#include "store/rebuild.hpp"
#include "store/statement.hpp"
#include "store/unique_keys.hpp"

namespace store {

namespace {

[[noreturn]] void cannot_serialize()
{
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("could not serialize access due to concurrent update")));
}

void fill_slot(const Tables &tables, TupleTableSlot *slot, const Row &row, ColumnSet which)
{
    each_column(which, [&](Column column) {
        const int position = tables.number[index_of(column)] - 1;
        slot->tts_values[position] = row[column];
        slot->tts_isnull[position] = !row.has(column);
    });
}

// Opens `jobs`, and has the derived tables built.
//
// It asks for the privilege before it locks, so that a caller who may do nothing here does not queue up behind an ALTER
// TABLE, keep one waiting, or have the queue built. It asks again under the lock, because a GRANT, a REVOKE or another
// table of that name may have been committed meanwhile.
//
// The race: the queue is built here, and before this has its own lock another session disables a trigger or renames the
// table. Seen under the lock. Then the lock is let go before the next turn: the build takes SHARE ROW EXCLUSIVE, and
// two sessions that both kept ROW EXCLUSIVE would deadlock.
pg::OpenRelation open_built(Tables &known, Jobs::Require require)
{
    const std::uint64_t before = lookups();
    for (;;) {
        if (const std::optional<TableId> jobs = find_table(ApiTable::jobs))
            require(*jobs);
        ensure_derived_built();
        pg::OpenRelation table = open_table(ApiTable::jobs, RowExclusiveLock);
        known = store::tables();
        if (known.is_queue_built() && known.jobs == RelationGetRelid(table)) {
            require(known.jobs);
            // Where anything was looked up, a lock may have been waited for, and the statement's snapshot be older than
            // the build: it would show the derived tables as they were.
            if (lookups() != before)
                pg::renew_active_snapshot();
            return table;
        }
        table.unlock_when_closed(RowExclusiveLock);
        forget_tables();
    }
}

} // namespace

Jobs Jobs::open(Require require)
{
    Tables known;
    pg::OpenRelation table = open_built(known, require);
    return Jobs(known, std::move(table));
}

Jobs Jobs::open()
{
    return open([](TableId) {});
}

Jobs::Jobs(const Tables &known, pg::OpenRelation table)
    : tables_(known), described_at_(changes()), table_(std::move(table)), found_(table_), out_(table_),
      new_rows_(table_), writer_(table_, pg::TableWriter::Keys::stay, &tables_.left_out), foreign_keys_(table_)
{
}

// The numbers of the columns are compared because the slots and indexes that are open here go by them.
const Tables &Jobs::current()
{
    if (described_at_ == changes())
        return tables_;
    const Tables now = store::tables();
    if (now.jobs != tables_.jobs || now.number != tables_.number)
        raise_altered("jobs", "A trigger, or other code on it, put another table in its place meanwhile.");
    tables_ = now;
    described_at_ = changes();
    foreign_keys_.forget();
    return tables_;
}

std::optional<Row> Jobs::find(const pg_uuid_t *id)
{
    static constexpr RegProcedure equal[] = {F_UUID_EQ};
    const Datum keys[] = {UUIDPGetDatum(id)};
    if (!by_id_) {
        pg::InMemory long_lived(memory_);
        by_id_index_ = open_index_of_jobs(table_, tables_, Column::id, RowExclusiveLock);
        by_id_.emplace(table_, by_id_index_);
    }
    if (!by_id_->find(keys, equal, found_))
        return std::nullopt;
    return read_row(tables_.number, found_);
}

std::optional<Row> Jobs::find_by(pg::OpenRelation &index, Column last, std::span<const Datum> values,
                                 std::span<const RegProcedure> equal)
{
    if (!index)
        index = open_index_of_jobs(table_, tables_, last, RowExclusiveLock);
    pg::IndexLookup by_key(table_, index);
    if (!by_key.find(values, equal, found_))
        return std::nullopt;
    return read_row(tables_.number, found_);
}

std::optional<Row> Jobs::find_by_job_id(const text *job_id)
{
    static constexpr RegProcedure equal[] = {F_TEXTEQ};
    const Datum values[] = {PointerGetDatum(job_id)};
    return find_by(by_job_id_index_, Column::job_id, values, equal);
}

std::optional<Row> Jobs::find_by_job_key(const pg_uuid_t *organisation, const text *job_key)
{
    static constexpr RegProcedure equal[] = {F_UUID_EQ, F_TEXTEQ};
    const Datum values[] = {UUIDPGetDatum(organisation), PointerGetDatum(job_key)};
    return find_by(by_job_key_index_, Column::job_key, values, equal);
}

// A scan reads by the snapshot under which it began, which is going to be popped.
void Jobs::end_lookups()
{
    if (by_id_)
        by_id_->end();
}

void Jobs::renew_snapshot()
{
    end_lookups();
    pg::renew_active_snapshot();
}

Jobs::Lock Jobs::try_lock(LockTupleMode mode)
{
    TM_FailureData failure;
    ItemPointerData tid = found_->tts_tid;
    // Into `out_`, which is free at this point: the row in hand, whose values point into `found_`, stays as it is.
    // LockWaitSkip, because a claim passes over a job that another session has. Without
    // TUPLE_LOCK_FLAG_FIND_LAST_VERSION, because a newer version would not be the one that the snapshot shows, and the
    // job's keys under that snapshot would not be the newest (key_table.hpp).
    //
    // An update that is told not to wait would spare the lock. But heap_update() asserts that nobody tells it so ("no
    // wait" there), and says TM_BeingModified also of a row whose locker, as a child's FOR KEY SHARE, lets it pass.
    const TM_Result result = table_tuple_lock(table_, &tid, GetActiveSnapshot(), out_, GetCurrentCommandId(true), mode,
                                              LockWaitSkip, 0, &failure);
    switch (result) {
    case TM_Ok:
        return Lock::taken;
    case TM_WouldBlock:
        return Lock::busy;
    case TM_Updated:
    case TM_Deleted:
        return Lock::changed;
    default:
        // TM_SelfModified, TM_Invisible: a command of this transaction that is not over has changed it, and a trigger
        // in it makes this call.
        return Lock::busy;
    }
}

// The user's own columns are copied from the version that was found. The steps are those of ExecSimpleRelationUpdate(),
// less what user_objects.hpp has found not to be there: triggers, constraints, generated columns.
Written Jobs::update_directly(const Row &before, const Row &after, ItemPointer queue_row)
{
    // As the executor does (CheckValidResultRel): 55000 where `jobs` is published and has no replica identity.
    CheckCmdReplicaIdentity(table_, CMD_UPDATE);
    pg::start_row(out_);
    slot_getallattrs(found_);
    const int width = table_->rd_att->natts;
    std::memcpy(out_->tts_values, found_->tts_values, sizeof(Datum) * width);
    std::memcpy(out_->tts_isnull, found_->tts_isnull, sizeof(bool) * width);
    fill_slot(tables_, out_, after, after.changed);
    ExecStoreVirtualTuple(out_);

    // Waits for a transaction that is changing the row, and goes on if that was rolled back.
    ItemPointerData tid = before.tid;
    switch (writer_.update(&tid, out_)) {
    case TM_Ok:
        break;
    case TM_Updated:
    case TM_Deleted:
        if (IsolationUsesXactSnapshot())
            cannot_serialize();
        return Written::changed_meanwhile;
    default: // TM_SelfModified, for which ExecUpdate() raises 27000 as well
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
                        errmsg("job %s is already being changed by the statement that this call runs in",
                               to_text(before.id()))));
    }
    follow(derived_, &before, &after, after.ended, queue_row);
    return Written::yes;
}

Written Jobs::update(const Row &before, Row &after, ItemPointer queue_row)
{
    after.set_time(Column::updated_at, settings::now());
    if (direct(current(), Operation::update, after.changed))
        return update_directly(before, after, queue_row);
    go_by_statement();
    const Written written = statement::update_by_statement(tables_, after);
    if (written == Written::yes)
        read_again(after);
    return written;
}

// Reads the row again that a statement has written, because a trigger of the user's may have updated it once more.
// Under a snapshot of its own, because scans of the verb's still read by the active one.
void Jobs::read_again(Row &row)
{
    end_lookups();
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
    if (const std::optional<Row> now = find(row.id()))
        row = copy(*now);
    end_lookups();
    PopActiveSnapshot();
}

Written Jobs::remove(const Row &before)
{
    if (!direct(current(), Operation::remove, 0)) {
        go_by_statement();
        return statement::remove_by_statement(before.id()); // our AFTER trigger lets follow what follows
    }
    CheckCmdReplicaIdentity(table_, CMD_DELETE);
    ItemPointerData tid = before.tid;
    if (writer_.remove(&tid) != TM_Ok)
        return Written::changed_meanwhile;
    follow(derived_, &before, nullptr);
    return Written::yes;
}

bool Jobs::insert_unless_taken(ColumnSet keys)
{
    const KeyOfJobs by_job_id(Column::job_id, tables_.number), by_job_key(Column::job_key, tables_.number);
    if (keys == bit(Column::job_id))
        return writer_.insert_unless_taken(out_, by_job_id.key());
    if (keys == bit(Column::job_key))
        return writer_.insert_unless_taken(out_, by_job_key.key());
    const pg::UniqueKey both[] = {by_job_key.key(), by_job_id.key()};
    return writer_.insert_unless_taken(out_, both);
}

std::span<TupleTableSlot *const> Jobs::fill_new_rows(std::span<const Row> rows)
{
    const std::span<TupleTableSlot *const> slots = new_rows_.first(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        pg::start_row(slots[i]);
        fill_slot(tables_, slots[i], rows[i], all_columns);
        ExecStoreVirtualTuple(slots[i]);
    }
    pg::clear_page_for(table_, slots.front());
    return slots;
}

bool Jobs::insert(Row &row, ColumnSet keys)
{
    if (!direct_insert()) {
        go_by_statement();
        if (statement::insert_by_statement(tables_, row, keys) != statement::Inserted::yes)
            return false;
        read_again(row);
        return true;
    }

    pg::start_row(out_);
    fill_slot(tables_, out_, row, all_columns);
    ExecStoreVirtualTuple(out_);
    pg::clear_page_for(table_, out_);
    // Two sessions insert the same key at once: insert_unless_taken() waits for the other, and tries again if that was
    // rolled back.
    if (keys == 0)
        writer_.insert(out_);
    else if (!insert_unless_taken(keys))
        return false;
    follow_new(derived_, row);
    // Last, as Postgres has it: a check may wait for a transaction that deletes what the key names, and has the
    // referenced table planned over, which may run code of its owner's. All that is ours is written by then.
    if (tables_.theirs.has_foreign_key)
        foreign_keys_.check(out_);
    return true;
}

void Jobs::unlock_when_closed()
{
    table_.unlock_when_closed(RowExclusiveLock);
    by_id_index_.unlock_when_closed(RowExclusiveLock);
    derived_.unlock_when_closed();
}

bool Jobs::lock_by_statement(const pg_uuid_t *id)
{
    (void)derived_.queue(); // see go_by_statement()
    return statement::lock_by_id(id);
}

// Opens the queue before a statement, so that code of the user's in it cannot drop the extension: DROP EXTENSION gets
// 55006 for a table that is open. Otherwise Postgres would look for the functions of our triggers and find none.
void Jobs::go_by_statement()
{
    only_direct_ = false;
    (void)derived_.queue();
}

} // namespace store
