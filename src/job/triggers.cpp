#include "job/triggers.hpp"

namespace job::triggers {

using store::Column;
using store::Row;
using store::Tables;

TriggerData *context_of(FunctionCallInfo fcinfo, store::ApiTable table, bool fits_event(TriggerEvent))
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("this function is a trigger of the table \"%s\"", name_of_table(table))));
    auto trigger = reinterpret_cast<TriggerData *>(fcinfo->context);
    if (store::find_table(table) != store::TableId(trigger->tg_relation) || !fits_event(trigger->tg_event))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("trigger \"%s\" on \"%s\" uses a function that serves one trigger of the table \"%s\"",
                               trigger->tg_trigger->tgname, RelationGetRelationName(trigger->tg_relation),
                               name_of_table(table)),
                        errhint("Drop the trigger; select jobs_ext.install() makes those that are needed.")));
    return trigger;
}

Row read_tuple(const Tables &tables, HeapTuple tuple, TupleDesc descriptor)
{
    auto values = static_cast<Datum *>(palloc(sizeof(Datum) * descriptor->natts));
    auto nulls = static_cast<bool *>(palloc(sizeof(bool) * descriptor->natts));
    heap_deform_tuple(tuple, descriptor, values, nulls);
    Row row;
    for (int i = 0; i < store::column_count; ++i) {
        row.value[i] = values[tables.number[i] - 1];
        row.null[i] = nulls[tables.number[i] - 1];
    }
    return row;
}

HeapTuple with(const Tables &tables, HeapTuple tuple, TupleDesc descriptor, const Row &row)
{
    int numbers[store::column_count];
    Datum values[store::column_count];
    bool nulls[store::column_count];
    int count = 0;
    store::each_column(row.changed, [&](Column column) {
        numbers[count] = tables.number[store::index_of(column)];
        values[count] = row[column];
        nulls[count++] = !row.has(column);
    });
    return heap_modify_tuple_by_cols(tuple, descriptor, count, numbers, values, nulls);
}

std::optional<Row> find_job(const Tables &tables, Relation jobs, const pg_uuid_t *id, TupleTableSlot *slot)
{
    static constexpr RegProcedure equal_uuid[] = {F_UUID_EQ};
    const Datum keys[] = {UUIDPGetDatum(id)};
    pg::OpenRelation index = store::open_index_of_jobs(jobs, tables, Column::id, AccessShareLock);
    pg::IndexLookup by_id(jobs, index);
    if (!by_id.find(keys, equal_uuid, slot))
        return std::nullopt;
    return store::read_row(tables.number, slot);
}

bool by_owner(const Tables &tables) { return pg::owns_table(tables.jobs.in_catalogs(), GetUserId()); }

bool is_replica() { return SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA; }

} // namespace job::triggers
