#include "store/erasures.hpp"

#include "pg/heap.hpp"
#include "store/open_table.hpp"

namespace store::erasures {

namespace {

enum Column { organisation_column, asked_at_column };

} // namespace

void ask(const pg_uuid_t *organisation, TimestampTz now)
{
    const pg::OpenRelation table = open_private(PrivateTable::erasures, RowExclusiveLock);
    pg::Slot slot(table);
    pg::start_row(slot);
    slot->tts_values[organisation_column] = UUIDPGetDatum(organisation);
    slot->tts_values[asked_at_column] = TimestampTzGetDatum(now);
    slot->tts_isnull[organisation_column] = slot->tts_isnull[asked_at_column] = false;
    ExecStoreVirtualTuple(slot);
    static constexpr AttrNumber key[] = {organisation_column + 1};
    (void)pg::TableWriter(table).insert_unless_taken(slot, key); // there already: it has been asked for
}

std::span<const pg_uuid_t> all()
{
    const pg::OpenRelation table = open_private(PrivateTable::erasures, AccessShareLock);
    List *found = NIL;
    pg::TableScan rows(table, GetActiveSnapshot());
    while (TupleTableSlot *slot = rows.next()) {
        bool null;
        auto id = static_cast<pg_uuid_t *>(palloc(sizeof(pg_uuid_t)));
        *id = *DatumGetUUIDP(slot_getattr(slot, organisation_column + 1, &null));
        found = lappend(found, id);
    }
    auto list = static_cast<pg_uuid_t *>(palloc(sizeof(pg_uuid_t) * static_cast<std::size_t>(list_length(found))));
    ListCell *cell;
    foreach (cell, found)
        list[foreach_current_index(cell)] = *static_cast<const pg_uuid_t *>(lfirst(cell));
    return {list, static_cast<std::size_t>(list_length(found))};
}

void remove(const pg_uuid_t *organisation)
{
    const pg::OpenRelation table = open_private(PrivateTable::erasures, RowExclusiveLock);
    pg::OpenRelation index = open_key(table, shape_of(PrivateTable::erasures).key_columns, RowExclusiveLock);
    pg::Slot slot(table);
    pg::IndexLookup lookup(table, index);
    static constexpr RegProcedure equal[] = {F_UUID_EQ};
    const Datum keys[] = {UUIDPGetDatum(organisation)};
    if (lookup.find(keys, equal, slot))
        (void)pg::TableWriter(table).remove(&slot->tts_tid); // or another process has
}

} // namespace store::erasures
