#include "store/rebuild.hpp"

#include <algorithm>

#include "pg/heap.hpp"
#include "shared/at_commit.hpp"
#include "shared/databases.hpp"
#include "store/derived.hpp"
#include "store/jobs.hpp"
#include "store/types.hpp"

namespace store::queue_state {

namespace {

struct TriggerShape {
    const char *name;
    const char *function; // in jobs_ext
    std::int16_t type;
};

constexpr TriggerShape shapes[] = {
    {"jobs_ext_before_row", "jobs_before_row",
     TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE},
    {"jobs_ext_after_row", "jobs_after_row",
     TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE},
    {"jobs_ext_after_truncate", "jobs_after_truncate", TRIGGER_TYPE_TRUNCATE},
};
constexpr int trigger_count = std::size(shapes);

// Something under which the derived tables were built, as the table `state` names it.
struct Mark {
    Oid number;
    std::uint64_t version;

    bool operator==(const Mark &) const = default;
};

// Which version of a row of a catalog it is. By its place as well: a transaction may write the row twice, and build in between.
std::uint64_t version_of(HeapTuple tuple)
{
    const std::uint64_t place = static_cast<std::uint64_t>(ItemPointerGetBlockNumber(&tuple->t_self)) << 16 |
                                ItemPointerGetOffsetNumber(&tuple->t_self);
    return hash_combine64(HeapTupleHeaderGetRawXmin(tuple->t_data), place);
}

// Our triggers on `jobs`, in the order of `shapes`: oid and version of the row in pg_trigger, which is written when a trigger is
// disabled or enabled. InvalidOid: it is not enabled.
using TriggerMarks = std::array<Mark, trigger_count>;

// ALTER TABLE ... TYPE ... USING gives our columns other values, and fires no trigger. So do a column that is dropped and added again,
// and two that swap their names.
constexpr const char *columns_name = "(columns)", *storage_name = "(storage)";
struct Marks {
    TriggerMarks triggers;
    // Which attributes they are, and which versions their rows in pg_attribute: each folded into one number.
    Mark columns;
    Mark storage; // relfilenode

    // ALTER ... TYPE changes a column and the storage. One alone does not change a value: SET STATISTICS; VACUUM FULL.
    bool same_values(const Marks &other) const
    {
        return columns.number == other.columns.number &&
               (columns.version == other.columns.version || storage == other.storage);
    }
    bool operator==(const Marks &) const = default;
};

int position_of(const char *name)
{
    for (int i = 0; i < trigger_count; ++i)
        if (std::strcmp(shapes[i].name, name) == 0)
            return i;
    return -1;
}

TriggerMarks trigger_marks(Oid jobs)
{
    TriggerMarks marks = {};
    pg::OpenRelation catalog = pg::open_briefly(TriggerRelationId);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(jobs));
    SysScanDesc scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, nullptr, 1, &key);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
        auto form = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
        const int position = position_of(NameStr(form->tgname));
        const bool enabled = form->tgenabled == TRIGGER_FIRES_ON_ORIGIN || form->tgenabled == TRIGGER_FIRES_ALWAYS;
        bool no_columns, no_condition;
        heap_getattr(tuple, Anum_pg_trigger_tgqual, RelationGetDescr(catalog), &no_condition);
        no_columns = form->tgattr.dim1 == 0;
        if (enabled && !form->tgisinternal &&
            is_ours(NameStr(form->tgname), form->tgfoid, form->tgtype, no_columns && no_condition))
            marks[position] = {form->oid, version_of(tuple)};
    }
    systable_endscan(scan);
    return marks;
}

Mark columns_mark(Oid jobs, const Tables &known)
{
    Mark mark = {};
    for (const AttrNumber number : known.number) {
        HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(jobs), Int16GetDatum(number));
        if (!HeapTupleIsValid(tuple))
            continue; // dropped, which tables() refuses
        mark.number = hash_combine(mark.number, static_cast<uint32>(number));
        mark.version = hash_combine64(mark.version, version_of(tuple));
        ReleaseSysCache(tuple);
    }
    return mark;
}

Marks marks_of(Relation jobs, const Tables &known)
{
    const Oid oid = RelationGetRelid(jobs);
    return {trigger_marks(oid), columns_mark(oid, known), {jobs->rd_rel->relfilenode, 0}};
}

// Calls `each(name, mark)`; with Marks that are not const, so that it may fill them in.
template <class AnyMarks, class Each>
void each_mark(AnyMarks &marks, Each each)
{
    for (int i = 0; i < trigger_count; ++i)
        each(shapes[i].name, marks.triggers[i]);
    each(columns_name, marks.columns);
    each(storage_name, marks.storage);
}

bool are_enabled(const TriggerMarks &marks)
{
    return std::all_of(marks.begin(), marks.end(), [](const Mark &mark) { return OidIsValid(mark.number); });
}

void require_enabled(const TriggerMarks &marks)
{
    for (int i = 0; i < trigger_count; ++i)
        if (!OidIsValid(marks[i].number))
            ereport(ERROR,
                    (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("table \"jobs\" was altered so that it cannot be used"),
                     errdetail("Trigger \"%s\" is missing or disabled.", shapes[i].name),
                     errhint("Put it back with select jobs_ext.install(), or enable it.")));
}

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

// A reader whose snapshot is older than the row of a trigger knows that the tables were built after it (built_since_snapshot()).
bool is_of_trigger(TupleTableSlot *slot)
{
    bool null;
    return position_of(TextDatumGetCString(slot_getattr(slot, 1, &null))) >= 0;
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
void write_marks(Oid state, const Marks &marks, bool with_triggers)
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
    each_mark(marks, [&](const char *name, const Mark &mark) {
        if (!with_triggers && position_of(name) >= 0)
            return;
        fill_mark(slot, name, mark);
        writer.insert(slot);
    });
    CacheInvalidateRelcache(table);
}

void truncate(std::span<const Oid> tables)
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
    pg::truncate(relations, oids);
    ListCell *cell;
    foreach (cell, relations)
        table_close(static_cast<Relation>(lfirst(cell)), NoLock);
    CommandCounterIncrement();
}

std::int64_t fill(const Tables &known, Relation jobs)
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
        Row row = read_row(known, slot);
        lanes::of(row.text(Column::job_type)); // also of a job that needs none yet: see types.hpp
        derived.add(row);
        queued += queue_key(row) ? 1 : 0;
    }
    table_endscan(scan);
    return queued;
}

} // namespace

bool is_ours(const char *name, Oid function, std::int16_t type, bool unconditional)
{
    const int position = position_of(name);
    if (position < 0 || type != shapes[position].type || !unconditional)
        return false;
    const char *function_name = get_func_name(function);
    return function_name != nullptr && std::strcmp(function_name, shapes[position].function) == 0 &&
           get_func_namespace(function) == get_namespace_oid("jobs_ext", true);
}

Built built_under(Relation jobs, const Tables &known, Snapshot snapshot)
{
    Marks built = {};
    pg::OpenRelation table = pg::open_briefly(known.state);
    pg::Slot slot(table);
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        bool null;
        const char *found = TextDatumGetCString(slot_getattr(slot, 1, &null));
        each_mark(built, [&](const char *name, Mark &mark) {
            if (std::strcmp(name, found) == 0)
                mark = {DatumGetObjectId(slot_getattr(slot, 2, &null)),
                        static_cast<std::uint64_t>(DatumGetInt64(slot_getattr(slot, 3, &null)))};
        });
    }
    table_endscan(scan);
    const Marks now = marks_of(jobs, known);
    if (!are_enabled(now.triggers) || now.triggers != built.triggers || !now.same_values(built))
        return Built::no;
    return now == built ? Built::yes : Built::under_other_marks;
}

void forget_rows(const Tables &known)
{
    const Oid derived[] = {known.queue.table, known.failed.table, known.expiring.table, known.ended.table,
                           known.set_aside.table};
    truncate(derived);
    shared::notes::anything_changed();
}

bool built_since_snapshot(const Tables &known)
{
    if (!IsolationUsesXactSnapshot())
        return false;
    pg::OpenRelation table = open_private(known.state, AccessShareLock);
    table.unlock_when_closed(AccessShareLock);
    pg::Slot slot(table);
    bool newer = false;
    Snapshot latest = RegisterSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan(table, latest, 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
        newer = newer || (is_of_trigger(slot) && !table_tuple_satisfies_snapshot(table, slot, GetActiveSnapshot()));
    table_endscan(scan);
    UnregisterSnapshot(latest);
    return newer;
}

bool is_readable(const Tables &known) { return known.is_queue_built() && !built_since_snapshot(known); }

std::int64_t rebuild()
{
    // The lock comes first: whoever held `jobs` until now may have altered it.
    pg::OpenRelation jobs = open_table(ApiTable::jobs, ShareRowExclusiveLock);
    const Tables known = tables();
    const Marks marks = marks_of(jobs, known);
    require_enabled(marks.triggers);

    CommandCounterIncrement();
    PushActiveSnapshot(GetLatestSnapshot());
    for (const PrivateTable &derived : {known.queue, known.failed, known.expiring, known.ended})
        remove_all(derived.table);
    CommandCounterIncrement();
    types::make_lanes();
    const std::int64_t queued = fill(known, jobs);
    write_marks(known.state, marks, true);
    PopActiveSnapshot();
    CommandCounterIncrement();
    forget_tables();
    return queued;
}

void ensure_built()
{
    if (tables().is_queue_built())
        return;
    // Somebody else may be at it: look again once nobody can be.
    pg::OpenRelation jobs = open_table(ApiTable::jobs, ShareRowExclusiveLock);
    forget_tables();
    if (tables().is_queue_built())
        jobs.unlock_when_closed(ShareRowExclusiveLock); // a claim that finds no job sleeps after this
    else
        rebuild();
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
    write_marks(known.state, marks_of(jobs, known), false);
    PopActiveSnapshot();
    CommandCounterIncrement();
    forget_tables();
}

} // namespace store::queue_state
