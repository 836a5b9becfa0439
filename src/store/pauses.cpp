#include "store/pauses.hpp"

#include "shared/at_commit.hpp"
#include "store/cached_table.hpp"

namespace store::pauses {

namespace {

enum PauseColumn { since_column, role_column, reason_column };
constexpr int pause_columns = reason_column + 1;

// Taken by those who change it, so that the second sees what the first one did. Readers do not wait for it.
constexpr LOCKMODE change_lock = ShareRowExclusiveLock;

void insert_pause(Relation table, TimestampTz now, pg::Nullable reason)
{
    pg::Slot slot(table);
    pg::start_row(slot);
    slot->tts_values[since_column] = TimestampTzGetDatum(now);
    slot->tts_values[role_column] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
    slot->tts_values[reason_column] = reason.value;
    for (int i = 0; i < pause_columns; ++i)
        slot->tts_isnull[i] = i == reason_column && !reason;
    ExecStoreVirtualTuple(slot);
    pg::TableWriter(table).insert(slot);
}

[[noreturn]] void raise_changed()
{
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("could not serialize access due to a concurrent pause of the queue")));
}

} // namespace

bool is_there()
{
    pg::OpenRelation table = open_private(PrivateTable::pauses, AccessShareLock);
    table.unlock_when_closed(AccessShareLock); // only looked at: it must not last through a claim that sleeps
    bool any = false;
    each_latest_row(table, [&](TupleTableSlot *) { any = true; });
    return any;
}

bool add_pause(TimestampTz now, pg::Nullable reason)
{
    const pg::OpenRelation table = open_private(PrivateTable::pauses, change_lock);
    if (is_there())
        return false;
    insert_pause(table, now, reason);
    tell_change();
    return true;
}

// Under the lock the newest snapshot shows all rows there are; the active one, of a transaction at REPEATABLE READ, may
// be older, and then the row is not its to remove.
bool remove_pauses()
{
    const pg::OpenRelation table = open_private(PrivateTable::pauses, change_lock);
    bool any = false;
    pg::TableWriter writer(table);
    each_latest_row(table, [&](TupleTableSlot *slot) {
        if (IsolationUsesXactSnapshot() && !table_tuple_satisfies_snapshot(table, slot, GetActiveSnapshot()))
            raise_changed();
        if (writer.remove(&slot->tts_tid) != TM_Ok)
            raise_changed();
        any = true;
    });
    if (any)
        tell_change();
    return any;
}

void tell_change()
{
    // A restore may bring the pauses before `job_types` is there; then nobody knows any types yet.
    if (const std::optional<TableId> types = find_table(ApiTable::job_types))
        CacheInvalidateRelcacheByRelid(types->in_catalogs());
    shared::notes::anything_changed();
}

} // namespace store::pauses
