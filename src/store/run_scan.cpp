#include "store/run_scan.hpp"

#include "shared/own_rows.hpp"
#include "shared/takers.hpp"

namespace store {

namespace {

shared::hints::List list_of(const KeyTable &table, std::int32_t lane, std::int16_t rank)
{
    return {RelationGetRelid(table.table()), lane, rank};
}

} // namespace

Hints note_hints()
{
    return {IsolationUsesXactSnapshot() ? logic::LoweringCount{0} : shared::hints::count_lowerings()};
}

bool read_places(const KeyTable &table, std::int32_t lane, Hints hints, shared::hints::Places &places)
{
    const Oid oid = RelationGetRelid(table.table());
    if (!hints || !shared::hints::read(oid, lane, places))
        return false;
    shared::own_rows::lower(oid, lane, places);
    return true;
}

namespace {

// The columns of lane and rank come before the time, if there are any, and the job after it.
AttrNumber time_column(const KeyTable &table)
{
    return static_cast<AttrNumber>(RelationGetNumberOfAttributes(table.table()) - 1);
}

int begin_keys(const KeyTable &table, std::int32_t lane, std::int16_t rank, std::span<ScanKeyData> keys)
{
    if (time_column(table) == 1)
        return 0;
    ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(lane));
    ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(rank));
    return 2;
}

} // namespace

void RunKeys::add_key(AttrNumber column, StrategyNumber strategy, RegProcedure compare, Datum value)
{
    ScanKeyInit(&keys_[static_cast<std::size_t>(count_++)], column, strategy, compare, value);
}

// Of one time. Each key ends the scan where it fails. A comparison of rows would do so by its first column alone (up to
// 17, nbtree): where many jobs are due at once the scan would read all of them for the few before `upto`.
void RunKeys::add_keys_within(AttrNumber time)
{
    const auto job = static_cast<AttrNumber>(time + 1);
    add_key(time, BTEqualStrategyNumber, F_TIMESTAMPTZ_EQ, TimestampTzGetDatum(from_.due_at));
    add_key(job, BTGreaterEqualStrategyNumber, F_UUID_GE, PointerGetDatum(from_.id.data()));
    add_key(job, BTLessEqualStrategyNumber, F_UUID_LE, PointerGetDatum(upto_.id.data()));
}

// Of several: (time, job) >= (…, …), as the planner makes it of a comparison of rows, and time <= …. Twice, because a
// scan has one number of keys; the b-tree keeps one of them.
void RunKeys::add_keys_across(AttrNumber time)
{
    ScanKeyEntryInitialize(&from_columns_[0], SK_ROW_MEMBER, time, BTGreaterEqualStrategyNumber, InvalidOid, InvalidOid,
                           F_TIMESTAMPTZ_CMP, TimestampTzGetDatum(from_.due_at));
    ScanKeyEntryInitialize(&from_columns_[1], SK_ROW_MEMBER | SK_ROW_END, static_cast<AttrNumber>(time + 1),
                           BTGreaterEqualStrategyNumber, InvalidOid, InvalidOid, F_UUID_CMP,
                           PointerGetDatum(from_.id.data()));
    ScanKeyData &row = keys_[static_cast<std::size_t>(count_++)];
    row = {};
    row.sk_flags = SK_ROW_HEADER;
    row.sk_attno = time;
    row.sk_strategy = BTGreaterEqualStrategyNumber;
    row.sk_argument = PointerGetDatum(from_columns_.data());
    for (int i = 0; i < 2; ++i)
        add_key(time, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(upto_.due_at));
}

RunKeys::RunKeys(const KeyTable &table, std::int32_t lane, std::int16_t rank, const logic::Place &from,
                 const logic::Place &upto)
    : from_(from), upto_(upto), count_(begin_keys(table, lane, rank, keys_))
{
    if (from.due_at == upto.due_at)
        add_keys_within(time_column(table));
    else
        add_keys_across(time_column(table));
}

int RunKeys::count_of(const KeyTable &table) { return time_column(table) + 2; }

RunScan::RunScan(const KeyTable &table, Snapshot snapshot, Hints hints)
    : table_(table), snapshot_(snapshot), hints_(hints),
      scan_(pg::begin_index_scan(table.table(), table.index(), snapshot, RunKeys::count_of(table))),
      slot_(table.table())
{
    scan_->xs_want_itup = true; // for note_fence(); before the first rescan, in which the b-tree allocates the room
}

RunScan::RunScan(const KeyTable &table, std::int32_t lane, std::int16_t rank, TimestampTz until, Hints hints)
    : RunScan(table, GetActiveSnapshot(), hints)
{
    shared::hints::Places places;
    if (!read_places(table, lane, hints, places)) {
        wants_room_ = static_cast<bool>(std::exchange(hints_, {}));
        place_at(places, rank) = logic::before_all;
    }
    start(lane, rank, place_at(places, rank), until);
}

RunScan::~RunScan()
{
    leave();
    if (tuples_ != nullptr)
        index_endscan(tuples_);
    index_endscan(scan_);
}

namespace {

// The place of the last of so many rows from the head of a list on, as this process saw it last. A b-tree reads all
// rows of a leaf that fit the scan at once, one to two hundred, of which a claim wants the first. So a scan reads up to
// the fence, and only where that is not enough what stands behind. A fence that is old, or that was never right, costs
// that second descent and nothing else.
struct Fence {
    shared::hints::List list = {};
    logic::Place place = logic::before_all;
};
constexpr int rows_to_fence = 32;

Fence &fence_of(const shared::hints::List &list)
{
    static std::array<Fence, 64> fences;
    const auto mixed = static_cast<std::uint32_t>(list.lane) * 31 + static_cast<std::uint16_t>(list.rank) + list.table;
    return fences[mixed % fences.size()];
}

} // namespace

void RunScan::start(std::int32_t lane, std::int16_t rank, const logic::Place &from, TimestampTz until)
{
    leave();
    lane_ = lane;
    rank_ = rank;
    last_ = from;
    until_ = until;
    raised_ = from;
    begin_stretch(from);
    in_run_ = true;
}

void RunScan::begin_stretch(const logic::Place &from)
{
    upto_ = logic::last_place(until_);
    const shared::hints::List list = list_of(table_, lane_, rank_);
    const Fence &fence = fence_of(list);
    const bool is_fenced = hints_ && fence.list == list && from <= fence.place && fence.place < upto_;
    if (is_fenced)
        upto_ = fence.place.due_at == from.due_at ? fence.place : logic::last_place(fence.place.due_at - 1);
    wants_fence_ = hints_ && !is_fenced;
    keys_.emplace(table_, lane_, rank_, from, upto_).begin(scan_);
}

// Counts on from the row at which the scan stands, by index tuples alone, and goes back to it.
void RunScan::note_fence()
{
    index_markpos(scan_);
    int rows = 0;
    while (rows < rows_to_fence && index_getnext_tid(scan_, ForwardScanDirection) != nullptr)
        ++rows;
    if (rows == rows_to_fence) {
        const AttrNumber time = time_column(table_);
        const Datum job = pg::indexed(scan_, static_cast<AttrNumber>(time + 1));
        const shared::hints::List list = list_of(table_, lane_, rank_);
        fence_of(list) = {list, place_of(DatumGetTimestampTz(pg::indexed(scan_, time)), DatumGetUUIDP(job))};
    }
    index_restrpos(scan_);
}

// The next row that is visible, into the slot.
bool RunScan::next_row()
{
    for (;;) {
        if (index_getnext_slot(scan_, ForwardScanDirection, slot_)) {
            if (std::exchange(wants_fence_, false))
                note_fence();
            return true;
        }
        if (upto_ == logic::last_place(until_))
            return false;
        begin_stretch(logic::next_place(upto_));
    }
}

const Candidate *RunScan::next()
{
    CHECK_FOR_INTERRUPTS();
    if (in_run_ && next_row()) {
        slot_getallattrs(slot_);
        current_.key = {lane_, rank_, as_time(slot_->tts_values[time_column(table_) - 1])};
        current_.job = *DatumGetUUIDP(slot_->tts_values[time_column(table_)]);
        current_.tid = slot_->tts_tid;
        if (std::exchange(wants_room_, false))
            shared::hints::make_room(RelationGetRelid(table_.table()), lane_);
        if (!hints_)
            return &current_;
        last_ = place_of(current_.key.due_at, &current_.job);
        // In this order: a claim takes its mark away when it is removing the row.
        is_going_ = (heeds_takers_ && shared::takers::is_being_taken(&current_.job)) || pg::is_being_removed(slot_);
        if (!is_going_ && !stop_)
            stop_ = last_;
        return &current_;
    }
    if (in_run_ && hints_)
        raise(first_after_run());
    in_run_ = false;
    return nullptr;
}

void RunScan::leave()
{
    if (in_run_ && hints_)
        raise(logic::next_place(last_));
    in_run_ = false;
}

void RunScan::pass()
{
    if (stop_ && *stop_ < last_)
        return;
    stop_.reset();
    if (hints_)
        raise(logic::next_place(last_));
}

void RunScan::stay()
{
    if (!stop_)
        stop_ = last_;
}

// Where the first row may stand that is later than the run: that of an index tuple, so that no dead row is visited.
// Where it is not due the run costs nothing before that time.
logic::Place RunScan::first_after_run()
{
    if (until_ == DT_NOEND)
        return logic::after_all;
    if (stop_)
        return *stop_;
    ScanKeyData keys[3];
    const int count = begin_keys(table_, lane_, rank_, keys);
    ScanKeyInit(&keys[count], time_column(table_), BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT,
                TimestampTzGetDatum(until_));
    if (tuples_ == nullptr) {
        tuples_ = pg::begin_index_scan(table_.table(), table_.index(), snapshot_, count + 1);
        tuples_->xs_want_itup = true; // before the first rescan, in which the b-tree allocates the room for it
    }
    index_rescan(tuples_, keys, count + 1, nullptr, 0);
    return index_getnext_tid(tuples_, ForwardScanDirection) != nullptr
               ? logic::first_place(DatumGetTimestampTz(pg::indexed(tuples_, time_column(table_))))
               : logic::after_all;
}

// By what the run has shown: no row before `end`, or before the one that stays.
void RunScan::raise(const logic::Place &end)
{
    const logic::Place to = std::exchange(stop_, std::nullopt).value_or(end);
    if (std::exchange(raised_, to) == to)
        return;
    const shared::hints::List list = list_of(table_, lane_, rank_);
    shared::hints::raise(list, to, hints_.since);
    shared::own_rows::raise(list, to);
}

} // namespace store
