#include "store/audit.hpp"

#include <algorithm>

#include "store/built_under.hpp"
#include "store/lanes.hpp"
#include "store/transition.hpp"

namespace store::audit {

namespace {

// Some blocks of a table, row by row, under the active snapshot.
class BlockScan {
public:
    BlockScan(Relation table, BlockNumber first, BlockNumber count)
        // No synchronized scan: it would begin where another session's scan is, and heap_setscanlimits() forbids it.
        : slot_(table), scan_(table_beginscan_strat(table, GetActiveSnapshot(), 0, nullptr, true, false))
    {
        // Postgres would go on at block 0 after the last one, as for a scan that began in the middle. Blocks that are
        // appended from now on hold nothing that the snapshot shows.
        const BlockNumber blocks = RelationGetNumberOfBlocks(table);
        const BlockNumber begin = std::min(first, blocks);
        heap_setscanlimits(scan_, begin, std::min(count, blocks - begin));
    }
    ~BlockScan() { table_endscan(scan_); }
    BlockScan(const BlockScan &) = delete;
    BlockScan &operator=(const BlockScan &) = delete;

    TupleTableSlot *next_in_blocks()
    {
        CHECK_FOR_INTERRUPTS();
        return table_scan_getnextslot(scan_, ForwardScanDirection, slot_) ? static_cast<TupleTableSlot *>(slot_)
                                                                          : nullptr;
    }

private:
    pg::Slot slot_;
    TableScanDesc scan_;
};

} // namespace

Comparison::Comparison()
    : jobs_(open_table(ApiTable::jobs, AccessShareLock)), tables_(tables()),
      by_id_index_(open_index_of_jobs(jobs_, tables_, Column::id, AccessShareLock))
{
    for (const DerivedTable table : derived_tables)
        derived_[static_cast<std::size_t>(table)].emplace(table, AccessShareLock);
    by_id_.emplace(jobs_, by_id_index_);
    job_.emplace(jobs_);
    // The order is the proof in the head: locks, then the snapshot, then the look at the triggers.
    PushActiveSnapshot(GetLatestSnapshot());
    is_built_ = compare_with_build(jobs_, tables_.number, GetActiveSnapshot()) != Built::no;
}

Comparison::~Comparison()
{
    // The index scans end before the snapshot that they read by is popped.
    for (std::optional<KeyTable> &table : derived_)
        table.reset();
    by_id_.reset();
    PopActiveSnapshot();
}

Relation Comparison::relation_of(int part) const
{
    return part == 0 ? static_cast<Relation>(jobs_) : derived_[static_cast<std::size_t>(part - 1)]->table();
}

BlockNumber Comparison::blocks(int part) const { return RelationGetNumberOfBlocks(relation_of(part)); }

void Comparison::walk(int part, BlockNumber first, BlockNumber count, FoundIt found, void *argument)
{
    BlockScan scan(relation_of(part), first, count);
    while (TupleTableSlot *slot = scan.next_in_blocks()) {
        pg::RowMemory::Use use(memory_);
        if (part == 0)
            look_at_job(slot, found, argument);
        else
            look_at_key(derived_tables[static_cast<std::size_t>(part - 1)], slot, found, argument);
    }
}

void Comparison::look_at_job(TupleTableSlot *slot, FoundIt found, void *argument)
{
    const std::optional<Row> row = read_complete_row(tables_.number, slot);
    if (!row)
        return;
    const Keys keys = keys_to_compare(*row);
    for (const DerivedTable table : derived_tables)
        if (keys[table] && !open(table).contains(*keys[table]))
            found(argument, {Kind::missing, table, row->id(), *keys[table], {}});
}

// The row comes from the heap, because one fault is a row that its index does not lead to. Whether it is the right row
// is asked first: a wrong one goes, indexed or not.
void Comparison::look_at_key(DerivedTable table, TupleTableSlot *slot, FoundIt found, void *argument)
{
    static constexpr RegProcedure equal[] = {F_UUID_EQ};
    const Key key = KeyTable::key_in(slot);
    const Datum id[] = {key.value[key.columns - 1]};
    Fault fault = {Kind::orphan, table, DatumGetUUIDP(id[0]), key, slot->tts_tid};
    if (!by_id_->find(id, equal, *job_)) {
        found(argument, fault);
        return;
    }
    const std::optional<Row> row = read_complete_row(tables_.number, *job_);
    if (!row)
        return;
    const std::optional<Key> right = keys_to_compare(*row)[table];
    fault.kind = Kind::wrong_key;
    if (right && same_key(*right, key)) {
        if (open(table).has_at(key, fault.place))
            return;
        fault.kind = Kind::not_indexed;
    }
    found(argument, fault);
}

char *Comparison::describe(const Fault &fault)
{
    static constexpr const char *kinds[] = {"missing", "orphan", "wrong key", "not in its index"};
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfo(&text, "%s: %s (", shape_of(fault.table).name, kinds[static_cast<int>(fault.kind)]);
    TupleDesc columns = RelationGetDescr(open(fault.table).table());
    for (int i = 0; i < fault.key.columns - 1; ++i) { // the last one is the job
        Form_pg_attribute column = pg::attribute(columns, i + 1);
        Oid output;
        bool is_variable;
        getTypeOutputInfo(column->atttypid, &output, &is_variable);
        appendStringInfo(&text, "%s%s %s", i == 0 ? "" : ", ", NameStr(column->attname),
                         OidOutputFunctionCall(output, fault.key.value[i]));
    }
    appendStringInfoChar(&text, ')');
    return text.data;
}

namespace {

Mended mend_job(Jobs &jobs, const Row &row, const Fault &fault)
{
    const std::optional<Key> right = keys_of(row)[fault.table];
    KeyTable &table = jobs.derived().open(fault.table);
    if (fault.kind == Kind::missing) {
        // The key that is right now may be another one than the one that was missing: the type had no lane, or the job
        // has moved since.
        if (!right || table.contains(*right))
            return Mended::gone;
        restore_key(jobs.derived(), row, fault.table);
        return Mended::yes;
    }
    // The right key, in a row that its index does not lead to: that row is removed. Where it was the only one with its
    // key, the next walk over `jobs` finds the key missing and restores it.
    if (right && same_key(*right, fault.key) && table.has_at(fault.key, fault.place))
        return Mended::gone;
    return jobs.derived().remove_wrong_at(table, fault.place, fault.key) ? Mended::yes : Mended::gone;
}

} // namespace

Mended mend(const Fault &fault)
{
    constexpr int most_looks = 3; // a job that is changed so often between look and lock is met in the next pass
    pg::StatementScope scope("jobs_ext.check()");
    Jobs jobs = Jobs::open();
    for (int looks = 0; looks < most_looks; ++looks, jobs.renew_snapshot()) {
        const std::optional<Row> row = jobs.find(fault.job);
        if (!row) {
            if (fault.kind == Kind::missing)
                return Mended::gone;
            return jobs.derived().remove_orphan_at(jobs.derived().open(fault.table), fault.place, fault.key)
                       ? Mended::yes
                       : Mended::gone;
        }
        // The lane is made before the row is locked (the order of lanes.hpp), and without waiting: the session that is
        // making it may want this row next.
        if (const std::string_view type = row->text(Column::job_type); !lanes::find_lane_of(type)) {
            lanes::prepare_lane_of(type);
            if (!lanes::find_lane_of(type))
                return Mended::busy;
        }
        switch (jobs.try_lock()) {
        case Jobs::Lock::taken:
            return mend_job(jobs, *row, fault);
        case Jobs::Lock::busy:
            return Mended::busy;
        case Jobs::Lock::changed:
            break;
        }
    }
    return Mended::busy;
}

} // namespace store::audit
