#include "store/rebuild.hpp"

#include <algorithm>

#include "pg/heap.hpp"
#include "shared/at_commit.hpp"
#include "shared/databases.hpp"
#include "store/built_under.hpp"
#include "store/derived.hpp"
#include "store/types.hpp"

namespace store {

namespace {

// Row by row: readers with an older snapshot go on seeing what was there.
void remove_all(Oid oid)
{
    const pg::OpenRelation table = open_private(oid, RowExclusiveLock);
    pg::TableWriter writer(table);
    pg::Slot slot(table);
    TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        shared::databases::piece_goes_on(); // it may take minutes
        writer.remove(&slot->tts_tid);
    }
    table_endscan(scan);
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
void write_built_under(Oid state, const BuiltUnder &under, bool with_triggers)
{
    const pg::OpenRelation table = open_private(state, RowExclusiveLock);
    pg::TableWriter writer(table);
    pg::Slot slot(table);
    TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
        if (with_triggers || !is_of_trigger(slot))
            writer.remove(&slot->tts_tid);
    table_endscan(scan);
    CommandCounterIncrement();
    each_mark(under, [&](const char *name, const Mark &mark) {
        if (!with_triggers && position_of_trigger(name) >= 0)
            return;
        fill_mark(slot, name, mark);
        writer.insert(slot);
    });
    CacheInvalidateRelcache(table);
}

void truncate_tables(std::span<const Oid> tables)
{
    List *relations = NIL;
    List *oids = NIL;
    for (Oid oid : tables) {
        Relation table = table_open(oid, AccessExclusiveLock);
        // A cursor of this session may read it, as that of the view jobs_set_aside does: 55006.
        CheckTableNotInUse(table, "TRUNCATE");
        relations = lappend(relations, table);
        oids = lappend_oid(oids, oid);
    }
    pg::truncate_relations(relations, oids);
    ListCell *cell;
    foreach (cell, relations)
        table_close(static_cast<Relation>(lfirst(cell)), NoLock);
    CommandCounterIncrement();
}

std::int64_t fill_derived(const Tables &known, Relation jobs)
{
    Derived derived(known);
    pg::Slot slot(jobs);
    pg::RowMemory memory;
    std::int64_t queued = 0;
    TableScanDesc scan = table_beginscan(jobs, GetActiveSnapshot(), 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        shared::databases::piece_goes_on();
        pg::RowMemory::Use use(memory);
        Row row = read_row(known.number, slot);
        lanes::of(row.text(Column::job_type)); // also of a job that needs none yet: see types.hpp
        derived.add(row);
        queued += queue_key(row) ? 1 : 0;
    }
    table_endscan(scan);
    return queued;
}

} // namespace

void empty_derived(const Tables &known)
{
    const Oid derived[] = {known.queue.table, known.failed.table, known.expiring.table, known.ended.table,
                           known.set_aside.table};
    truncate_tables(derived);
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
    for (const Oid derived : written_with_jobs(known))
        remove_all(derived);
    CommandCounterIncrement();
    types::make_lanes();
    const std::int64_t queued = fill_derived(known, jobs);
    write_built_under(known.state, under, true);
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
    write_built_under(known.state, look_at_jobs(jobs, known.number), false);
    PopActiveSnapshot();
    CommandCounterIncrement();
    forget_tables();
}

} // namespace store
