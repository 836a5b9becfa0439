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

// Row by row, not by TRUNCATE: readers with an older snapshot go on seeing what was there. What remove() returns does
// not matter, since no other transaction can have touched a row under the lock on `jobs`.
void remove_all(PrivateTable which)
{
    const pg::OpenRelation table = open_private(which, RowExclusiveLock);
    pg::TableWriter writer(table);
    pg::TableScan rows(table, GetActiveSnapshot());
    while (TupleTableSlot *slot = rows.next()) {
        shared::databases::piece_goes_on(); // minutes for many rows: else the launcher ends the worker
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

// Writes the table `state` anew. The rows of the triggers are left alone unless the tables were built: by their age a
// reader at REPEATABLE READ tells a build that came after its snapshot (derived_were_built_since_snapshot()), and a
// mark that was only renewed must not send it 40001.
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
    CacheInvalidateRelcache(table); // at commit every session forgets that they were not built
}

// The derived tables, and set_aside: what is set aside are jobs that are gone. All are locked before the first is
// emptied, in the order of PrivateTable, after `jobs`.
void truncate_tables()
{
    List *relations = NIL;
    List *oids = NIL;
    std::array<pg::OpenRelation, derived_tables.size() + 1> tables;
    for (std::size_t i = 0; i < tables.size(); ++i) {
        const PrivateTable which = i < derived_tables.size() ? derived_tables[i] : PrivateTable::set_aside;
        tables[i] = open_private(which, AccessExclusiveLock);
        // A cursor of this session may read it, as one on the view jobs_set_aside does: 55006. ExecuteTruncateGuts()
        // leaves this check to its caller.
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
        // Also of a job that has no key with a lane now: whoever moves the job later finds its lane (lanes.hpp).
        lanes::of(row.text(Column::job_type));
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
    shared::notes::derived_built();
    shared::notes::anything_changed(); // sessions in job_wait() wait for jobs that are gone
}

std::int64_t rebuild_derived()
{
    // The lock comes first, because the session that held `jobs` until now may have altered it.
    pg::OpenRelation jobs = open_table(ApiTable::jobs, ShareRowExclusiveLock);
    const Tables known = tables(); // a copy: what follows may have them described anew
    const BuiltUnder under = look_at_jobs(jobs, known.number);
    require_our_triggers(under.triggers);

    // What this transaction did before counts, and what others committed until the lock was ours, at any isolation.
    CommandCounterIncrement();
    PushActiveSnapshot(GetLatestSnapshot());
    shared::notes::derived_built();
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
    // Another session may be building. With the lock nobody can be: look again, past what this process remembers.
    pg::OpenRelation jobs = open_table(ApiTable::jobs, ShareRowExclusiveLock);
    forget_tables();
    if (tables().is_queue_built())
        // A claim that finds no job sleeps after this, and nobody could enqueue one if it kept the lock.
        jobs.unlock_when_closed(ShareRowExclusiveLock);
    else
        rebuild_derived();
}

void renew_marks()
{
    if (tables().built != Built::under_other_marks)
        return;
    // Without waiting: a waiting SHARE ROW EXCLUSIVE would hold up every writer that comes after it.
    const std::optional<TableId> found = find_table(ApiTable::jobs);
    if (!found || !ConditionalLockRelationOid(found->in_catalogs(), ShareRowExclusiveLock))
        return;
    pg::OpenRelation jobs = open_table(ApiTable::jobs, ShareRowExclusiveLock);
    // Again under the lock: another session may have built meanwhile, or put another table in the place of `jobs`.
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
