#include "store/queue_state.hpp"

#include "pg/heap.hpp"
#include "store/derived.hpp"
#include "store/jobs.hpp"

namespace store::queue_state {

namespace {

constexpr const char *trigger_names[] = {"jobs_ext_before_row", "jobs_ext_after_row", "jobs_ext_after_truncate"};
constexpr int trigger_count = std::size(trigger_names);

struct TriggerMark {
    Oid oid;
    TransactionId xmin; // of its row in pg_trigger: changes when it is disabled or enabled
};

int position_of(const char *name)
{
    for (int i = 0; i < trigger_count; ++i)
        if (std::strcmp(trigger_names[i], name) == 0)
            return i;
    return -1;
}

// The marks of the triggers on `jobs` that are enabled; InvalidOid for one that is not.
std::array<TriggerMark, trigger_count> marks_on(Oid jobs)
{
    std::array<TriggerMark, trigger_count> marks = {};
    pg::OpenRelation catalog = pg::open_briefly(TriggerRelationId);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(jobs));
    SysScanDesc scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, nullptr, 1, &key);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
        auto form = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
        const int position = position_of(NameStr(form->tgname));
        const bool enabled = form->tgenabled == TRIGGER_FIRES_ON_ORIGIN || form->tgenabled == TRIGGER_FIRES_ALWAYS;
        if (position >= 0 && enabled && !form->tgisinternal)
            marks[position] = {form->oid, HeapTupleHeaderGetRawXmin(tuple->t_data)};
    }
    systable_endscan(scan);
    return marks;
}

void require_enabled(const std::array<TriggerMark, trigger_count> &marks)
{
    for (int i = 0; i < trigger_count; ++i)
        if (!OidIsValid(marks[i].oid))
            ereport(ERROR,
                    (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("table \"jobs\" was altered so that it cannot be used"),
                     errdetail("Trigger \"%s\" is missing or disabled.", trigger_names[i]),
                     errhint("Put it back with select jobs_ext.install(), or enable it.")));
}

void write_marks(Oid state, const std::array<TriggerMark, trigger_count> &marks)
{
    pg::OpenRelation table(state, RowExclusiveLock);
    pg::TableWriter writer(table);
    pg::Slot slot(table);
    TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
        writer.remove(&slot->tts_tid);
    table_endscan(scan);
    for (int i = 0; i < trigger_count; ++i) {
        pg::start_row(slot);
        slot->tts_values[0] = CStringGetTextDatum(trigger_names[i]);
        slot->tts_values[1] = ObjectIdGetDatum(marks[i].oid);
        slot->tts_values[2] = TransactionIdGetDatum(marks[i].xmin);
        std::memset(slot->tts_isnull, false, 3);
        ExecStoreVirtualTuple(slot);
        writer.insert(slot);
    }
    CacheInvalidateRelcache(table);
}

void empty(std::span<const Oid> tables)
{
    List *relations = NIL;
    List *oids = NIL;
    for (Oid oid : tables) {
        relations = lappend(relations, table_open(oid, AccessExclusiveLock));
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
        pg::RowMemory::Use use(memory);
        Row row = read_row(known, slot);
        derived.add(row);
        queued += queue_key(row) ? 1 : 0;
    }
    table_endscan(scan);
    return queued;
}

} // namespace

bool trigger_of_ours(const char *name) { return position_of(name) >= 0; }

bool matches(Relation jobs, Oid state)
{
    const auto marks = marks_on(RelationGetRelid(jobs));
    pg::OpenRelation table = pg::open_briefly(state);
    pg::Slot slot(table);
    int same = 0;
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        bool null;
        const int position = position_of(TextDatumGetCString(slot_getattr(slot, 1, &null)));
        same += position >= 0 && marks[position].oid == DatumGetObjectId(slot_getattr(slot, 2, &null)) &&
                marks[position].xmin == DatumGetTransactionId(slot_getattr(slot, 3, &null));
    }
    table_endscan(scan);
    UnregisterSnapshot(snapshot);
    return same == trigger_count;
}

void forget_rows(const Tables &known)
{
    const Oid derived[] = {known.queue.table, known.failed.table, known.expiring.table};
    empty(derived);
}

std::int64_t rebuild()
{
    const Tables known = tables();
    pg::OpenRelation jobs(known.jobs, ShareRowExclusiveLock);
    const auto marks = marks_on(known.jobs);
    require_enabled(marks);

    CommandCounterIncrement();
    forget_rows(known);
    PushActiveSnapshot(GetLatestSnapshot());
    const std::int64_t queued = fill(known, jobs);
    write_marks(known.state, marks);
    PopActiveSnapshot();
    CommandCounterIncrement();
    forget_tables();
    return queued;
}

void ensure_built()
{
    if (tables().queue_built)
        return;
    {
        // Somebody else may be at it: look again once nobody can be.
        pg::OpenRelation jobs(tables().jobs, ShareRowExclusiveLock);
        forget_tables();
        if (tables().queue_built)
            return;
    }
    rebuild();
}

} // namespace store::queue_state
