#include "store/our_triggers.hpp"

#include <algorithm>

#include "pg/heap.hpp"

namespace store {

namespace {

// As sql/parts/66_triggers.sql makes them. A trigger is AFTER where TRIGGER_TYPE_BEFORE is not set, and for each
// statement where TRIGGER_TYPE_ROW is not.
struct TriggerShape {
    const char *name;
    const char *function; // in jobs_ext
    std::int16_t type;
};

constexpr TriggerShape shapes[] = {
    {our_triggers[0], "jobs_before_row",
     TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE},
    {our_triggers[1], "jobs_after_row",
     TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE},
    {our_triggers[2], "jobs_after_truncate", TRIGGER_TYPE_TRUNCATE},
};
static_assert(std::size(shapes) == our_triggers.size());

} // namespace

int position_of_trigger(const char *name)
{
    for (int i = 0; i < static_cast<int>(std::size(shapes)); ++i)
        if (std::strcmp(shapes[i].name, name) == 0)
            return i;
    return -1;
}

std::uint64_t version_of(HeapTuple tuple)
{
    const std::uint64_t place = static_cast<std::uint64_t>(ItemPointerGetBlockNumber(&tuple->t_self)) << 16 |
                                ItemPointerGetOffsetNumber(&tuple->t_self);
    return hash_combine64(HeapTupleHeaderGetRawXmin(tuple->t_data), place);
}

bool is_our_trigger(const char *name, Oid function, std::int16_t type, bool unconditional)
{
    const int position = position_of_trigger(name);
    if (position < 0 || type != shapes[position].type || !unconditional)
        return false;
    // By name and schema, not by a remembered OID: DROP EXTENSION and CREATE EXTENSION give the function another one.
    const char *function_name = get_func_name(function);
    return function_name != nullptr && std::strcmp(function_name, shapes[position].function) == 0 &&
           get_func_namespace(function) == get_namespace_oid("jobs_ext", true);
}

TriggerMarks trigger_marks_of(Oid jobs)
{
    // From the catalog, not from the relation's trigger descriptor, which does not have the versions of the rows. Read
    // under the catalog snapshot, so the latest committed state counts, whatever the transaction's isolation.
    TriggerMarks marks = {};
    pg::OpenRelation catalog = pg::open_briefly(TriggerRelationId);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(jobs));
    SysScanDesc scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, nullptr, 1, &key);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
        auto form = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
        const int position = position_of_trigger(NameStr(form->tgname));
        // We make them ENABLE ALWAYS. An owner's DISABLE and ENABLE leave them firing on origin, which serves every
        // session but those with session_replication_role = replica.
        const bool enabled = form->tgenabled == TRIGGER_FIRES_ON_ORIGIN || form->tgenabled == TRIGGER_FIRES_ALWAYS;
        bool no_columns, no_condition;
        heap_getattr(tuple, Anum_pg_trigger_tgqual, RelationGetDescr(catalog), &no_condition);
        no_columns = form->tgattr.dim1 == 0;
        if (enabled && !form->tgisinternal &&
            is_our_trigger(NameStr(form->tgname), form->tgfoid, form->tgtype, no_columns && no_condition))
            marks[position] = {form->oid, version_of(tuple)};
    }
    systable_endscan(scan);
    return marks;
}

bool are_triggers_enabled(const TriggerMarks &marks)
{
    return std::all_of(marks.begin(), marks.end(), [](const Mark &mark) { return OidIsValid(mark.number); });
}

void require_our_triggers(const TriggerMarks &marks)
{
    for (std::size_t i = 0; i < marks.size(); ++i)
        if (!OidIsValid(marks[i].number))
            ereport(ERROR,
                    (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("table \"jobs\" was altered so that it cannot be used"),
                     errdetail("Trigger \"%s\" is missing or disabled.", our_triggers[i]),
                     errhint("Put it back with select jobs_ext.install(), or enable it.")));
}

} // namespace store
