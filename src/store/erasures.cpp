#include "store/erasures.hpp"

#include "pg/heap.hpp"
#include "store/open_table.hpp"

namespace store::erasures {

namespace {

enum Column { organisation_column, archived_until_column, asked_at_column };

} // namespace

void ask(const Erasure &erasure, TimestampTz now)
{
    const pg::OpenRelation table = open_private(PrivateTable::erasures, RowExclusiveLock);
    pg::Slot slot(table);
    pg::start_row(slot);
    slot->tts_values[organisation_column] = UUIDPGetDatum(&erasure.organisation);
    slot->tts_values[archived_until_column] = TimestampTzGetDatum(erasure.archived_until);
    slot->tts_values[asked_at_column] = TimestampTzGetDatum(now);
    for (const Column column : {organisation_column, archived_until_column, asked_at_column})
        slot->tts_isnull[column] = false;
    ExecStoreVirtualTuple(slot);
    static constexpr AttrNumber key[] = {organisation_column + 1, archived_until_column + 1};
    (void)pg::TableWriter(table).insert_unless_taken(slot, key); // there already: it has been asked for
}

std::span<const Erasure> all()
{
    const pg::OpenRelation table = open_private(PrivateTable::erasures, AccessShareLock);
    List *found = NIL;
    pg::TableScan rows(table, GetActiveSnapshot());
    while (TupleTableSlot *slot = rows.next()) {
        bool null;
        auto erasure = static_cast<Erasure *>(palloc(sizeof(Erasure)));
        erasure->organisation = *DatumGetUUIDP(slot_getattr(slot, organisation_column + 1, &null));
        erasure->archived_until = DatumGetTimestampTz(slot_getattr(slot, archived_until_column + 1, &null));
        found = lappend(found, erasure);
    }
    auto list = static_cast<Erasure *>(palloc(sizeof(Erasure) * static_cast<std::size_t>(list_length(found))));
    ListCell *cell;
    foreach (cell, found)
        list[foreach_current_index(cell)] = *static_cast<const Erasure *>(lfirst(cell));
    return {list, static_cast<std::size_t>(list_length(found))};
}

void remove(const Erasure &erasure)
{
    const pg::OpenRelation table = open_private(PrivateTable::erasures, RowExclusiveLock);
    pg::OpenRelation index = open_key(table, shape_of(PrivateTable::erasures).key_columns, RowExclusiveLock);
    pg::Slot slot(table);
    pg::IndexLookup lookup(table, index);
    static constexpr RegProcedure equal[] = {F_UUID_EQ, F_TIMESTAMPTZ_EQ};
    const Datum keys[] = {UUIDPGetDatum(&erasure.organisation), TimestampTzGetDatum(erasure.archived_until)};
    if (lookup.find(keys, equal, slot))
        (void)pg::TableWriter(table).remove(&slot->tts_tid); // or another process has
}

} // namespace store::erasures
