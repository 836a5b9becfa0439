#include "store/built_under.hpp"

#include "pg/heap.hpp"
#include "store/open_table.hpp"

namespace store {

namespace {

Mark columns_mark_of(Oid jobs, const ColumnNumbers &numbers)
{
    Mark mark = {};
    for (const AttrNumber number : numbers) {
        HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(jobs), Int16GetDatum(number));
        if (!HeapTupleIsValid(tuple))
            continue; // dropped: open_table() raises 42804 for it
        mark.number = hash_combine(mark.number, static_cast<uint32>(number));
        mark.version = hash_combine64(mark.version, version_of(tuple));
        ReleaseSysCache(tuple);
    }
    return mark;
}

} // namespace

BuiltUnder look_at_jobs(Relation jobs, const ColumnNumbers &numbers)
{
    const Oid oid = RelationGetRelid(jobs);
    return {trigger_marks_of(oid), columns_mark_of(oid, numbers), {jobs->rd_rel->relfilenode, 0}};
}

// Before the first build `state` has no rows, and its marks are zeros; so are those of triggers that are missing or
// disabled. The two would be equal: hence the question whether the triggers are enabled comes first.
Built compare_with_build(Relation jobs, const ColumnNumbers &numbers, Snapshot snapshot)
{
    BuiltUnder built = {};
    pg::OpenRelation table = open_private(PrivateTable::state, AccessShareLock);
    table.unlock_when_closed(AccessShareLock);
    pg::TableScan rows(table, snapshot);
    while (TupleTableSlot *slot = rows.next()) {
        bool null;
        const char *found = TextDatumGetCString(slot_getattr(slot, 1, &null));
        each_mark(built, [&](const char *name, Mark &mark) {
            if (std::strcmp(name, found) == 0)
                mark = {DatumGetObjectId(slot_getattr(slot, 2, &null)),
                        static_cast<std::uint64_t>(DatumGetInt64(slot_getattr(slot, 3, &null)))};
        });
    }
    rows.end();
    const BuiltUnder now = look_at_jobs(jobs, numbers);
    if (!are_triggers_enabled(now.triggers) || now.triggers != built.triggers || !now.has_same_values(built))
        return Built::no;
    return now == built ? Built::yes : Built::under_other_marks;
}

bool is_of_trigger(TupleTableSlot *slot)
{
    bool null;
    return position_of_trigger(TextDatumGetCString(slot_getattr(slot, 1, &null))) >= 0;
}

} // namespace store
