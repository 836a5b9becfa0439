#include "store/rebuild.hpp"

#include <algorithm>

#include "pg/heap.hpp"
#include "shared/at_commit.hpp"
#include "shared/databases.hpp"
#include "store/built_under.hpp"
#include "store/lanes.hpp"
#include "store/transition.hpp"

namespace store {

namespace {

// Row by row: readers with an older snapshot go on seeing what was there.
void remove_all(PrivateTable which)
{
    const pg::OpenRelation table = open_private(which, RowExclusiveLock);
    pg::TableWriter writer(table);
    pg::TableScan rows(table, GetActiveSnapshot());
    while (TupleTableSlot *slot = rows.next()) {
        shared::databases::piece_goes_on(); // it may take minutes
        writer.remove(&slot->tts_tid);
    }
}

void fill_mark(TupleTableSlot *slot, const char *name, const Mark &mark)
{
    pg::start_row(slot);
    slot->tts_values[0] = CStringGetTextDatum(name);
    slot->tts_values[1] = ObjectIdGetDatum(mark.number);
    slot->tts_values[2] = Int64GetDatum(static_cast<std::int64_t>(mark.version));
    std::memset(slot->tts_isnull, false, 3);
    ExecStoreVirtualTuple(slot);
}

// Those of the triggers only where the tables are built.
void write_built_under(const BuiltUnder &under, bool with_triggers)
{
    const pg::OpenRelation table = open_private(PrivateTable::state, RowExclusiveLock);
    pg::TableWriter writer(table);
    pg::TableScan rows(table, GetActiveSnapshot());
    while (TupleTableSlot *row = rows.next())
        if (with_triggers || !is_of_trigger(row))
            writer.remove(&row->tts_tid);
    CommandCounterIncrement();
    pg::Slot slot(table);
    each_mark(under, [&](const char *name, const Mark &mark) {
        if (!with_triggers && position_of_trigger(name) >= 0)
            return;
        fill_mark(slot, name, mark);
        writer.insert(slot);
    });
    CacheInvalidateRelcache(table);
}

// The derived tables, and what is set aside.
void truncate_tables()
{
    List *relations = NIL;
    List *oids = NIL;
    std::array<pg::OpenRelation, derived_tables.size() + 1> tables;
    for (std::size_t i = 0; i < tables.size(); ++i) {
        const PrivateTable which = i < derived_tables.size() ? derived_tables[i] : PrivateTable::set_aside;
        tables[i] = open_private(which, AccessExclusiveLock);
        // A cursor of this session may read it, as that of the view jobs_set_aside does: 55006.
        CheckTableNotInUse(tables[i], "TRUNCATE");
        relations = lappend(relations, static_cast<Relation>(tables[i]));
        oids = lappend_oid(oids, RelationGetRelid(tables[i]));
    }
    pg::truncate_relations(relations, oids);
}

std::int64_t fill_derived(const Tables &known, Relation jobs)
{
    Derived derived;
    pg::RowMemory memory;
    std::int64_t queued = 0;
    pg::TableScan rows(jobs, GetActiveSnapshot());
    while (TupleTableSlot *slot = rows.next()) {
        shared::databases::piece_goes_on();
        pg::RowMemory::Use use(memory);
        Row row = read_row(known.number, slot);
        lanes::of(row.text(Column::job_type)); // also of a job that needs none yet: see lanes.hpp
        add_keys(derived, row);
        queued += queue_key(row) ? 1 : 0;
    }
    return queued;
}

} // namespace

void empty_derived()
{
    truncate_tables();
    CommandCounterIncrement();
    shared::notes::anything_changed();
}

std::int64_t rebuild_derived()
{
    // The lock comes first: whoever held `jobs` until now may have altered it.
    pg::OpenRelation jobs = open_table(ApiTable::jobs, ShareRowExclusiveLock);
    const Tables known = tables();
    const BuiltUnder under = look_at_jobs(jobs, known.number);
    require_our_triggers(under.triggers);

    CommandCounterIncrement();
    PushActiveSnapshot(GetLatestSnapshot());
    for (const PrivateTable derived : derived_tables)
        remove_all(derived);
    CommandCounterIncrement();
    lanes::make_lanes();
    const std::int64_t queued = fill_derived(known, jobs);
    write_built_under(under, true);
    PopActiveSnapshot();
    CommandCounterIncrement();
    forget_tables();
    return queued;
}

void ensure_derived_built()
{
    if (tables().is_queue_built())
        return;
    // Somebody else may be at it: look again once nobody can be.
    pg::OpenRelation jobs = open_table(ApiTable::jobs, ShareRowExclusiveLock);
    forget_tables();
    if (tables().is_queue_built())
        jobs.unlock_when_closed(ShareRowExclusiveLock); // a claim that finds no job sleeps after this
    else
        rebuild_derived();
}

void renew_marks()
{
    if (tables().built != Built::under_other_marks)
        return;
    const std::optional<TableId> found = find_table(ApiTable::jobs);
    if (!found || !ConditionalLockRelationOid(found->in_catalogs(), ShareRowExclusiveLock))
        return;
    pg::OpenRelation jobs = open_table(ApiTable::jobs, ShareRowExclusiveLock);
    forget_tables();
    const Tables known = tables();
    if (known.built != Built::under_other_marks || known.jobs != RelationGetRelid(jobs))
        return;
    CommandCounterIncrement();
    PushActiveSnapshot(GetLatestSnapshot());
    write_built_under(look_at_jobs(jobs, known.number), false);
    PopActiveSnapshot();
    CommandCounterIncrement();
    forget_tables();
}

} // namespace store
