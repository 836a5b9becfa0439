#include "store/saved_statistics.hpp"

#include "settings.hpp"
#include "shared/statistics.hpp"
#include "store/lanes.hpp"

namespace store::saved_statistics {

namespace {

using logic::Histogram;
using shared::statistics::Statistics;

enum Column { lane_column, since_column, counts_column, waits_column, runs_column };
constexpr int column_count = runs_column + 1;

// Numbers as an array, without the zeroes at its end.
template <class Number>
Datum array_of(std::span<const Number> numbers)
{
    constexpr bool is_long = sizeof(Number) == sizeof(std::int64_t);
    std::size_t count = numbers.size();
    while (count > 0 && numbers[count - 1] == 0)
        --count;
    auto values = static_cast<Datum *>(palloc(sizeof(Datum) * numbers.size()));
    for (std::size_t i = 0; i < count; ++i)
        values[i] = is_long ? Int64GetDatum(numbers[i]) : Int32GetDatum(static_cast<std::int32_t>(numbers[i]));
    return PointerGetDatum(construct_array(values, static_cast<int>(count), is_long ? INT8OID : INT4OID, sizeof(Number),
                                           true, is_long ? TYPALIGN_DOUBLE : TYPALIGN_INT));
}

// Calls `each(i, number)` for the numbers of an array, `most` at most, that are above 0: a superuser may have written
// anything, and another version of ours more.
template <class Each>
void each_number(Datum array, Oid type, std::size_t most, Each each)
{
    const bool is_long = type == INT8OID;
    Datum *values;
    bool *nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(array), type, is_long ? 8 : 4, true, is_long ? TYPALIGN_DOUBLE : TYPALIGN_INT,
                      &values, &nulls, &count);
    for (std::size_t i = 0; i < std::min(most, static_cast<std::size_t>(count)); ++i) {
        const std::int64_t number = is_long ? DatumGetInt64(values[i]) : DatumGetInt32(values[i]);
        if (!nulls[i] && number > 0)
            each(i, number);
    }
}

Datum array_of(const Histogram &histogram)
{
    std::array<std::uint32_t, Histogram::bucket_count> counts;
    for (int bucket = 0; bucket < Histogram::bucket_count; ++bucket)
        counts[static_cast<std::size_t>(bucket)] = histogram[bucket];
    return array_of(std::span<const std::uint32_t>(counts));
}

Histogram histogram_in(Datum array)
{
    Histogram histogram;
    each_number(array, INT4OID, Histogram::bucket_count, [&](std::size_t bucket, std::int64_t count) {
        histogram.add(static_cast<int>(bucket), static_cast<std::uint32_t>(count));
    });
    return histogram;
}

// Adds a row to what is in shared memory, unless that has it.
void add_row(Oid lanes, TupleTableSlot *row)
{
    slot_getallattrs(row);
    const Datum *values = row->tts_values;
    std::array<std::int64_t, logic::event_count> counts = {};
    each_number(values[counts_column], INT8OID, counts.size(),
                [&](std::size_t i, std::int64_t count) { counts[i] = count; });
    const Histogram waits = histogram_in(values[waits_column]), runs = histogram_in(values[runs_column]);
    const TimestampTz since = DatumGetTimestampTz(values[since_column]);
    const std::int64_t now = pg::moment().microseconds;
    shared::statistics::with_lane(lanes, DatumGetInt32(values[lane_column]), [&](Statistics &statistics) {
        if (std::exchange(statistics.has_earlier, true))
            return;
        statistics.numbers.add_earlier(counts, waits, runs, now);
        statistics.since = std::min(statistics.since, since);
    });
}

void fill_row(TupleTableSlot *slot, std::int32_t lane, const Statistics &statistics)
{
    std::array<std::int64_t, logic::event_count> counts;
    for (std::size_t i = 0; i < counts.size(); ++i)
        counts[i] = statistics.numbers.count(static_cast<logic::Event>(i));
    pg::start_row(slot);
    std::memset(slot->tts_isnull, false, sizeof(bool) * column_count);
    slot->tts_values[lane_column] = Int32GetDatum(lane);
    slot->tts_values[since_column] = TimestampTzGetDatum(statistics.since);
    slot->tts_values[counts_column] = array_of(std::span<const std::int64_t>(counts));
    slot->tts_values[waits_column] = array_of(statistics.numbers.waits());
    slot->tts_values[runs_column] = array_of(statistics.numbers.runs());
    ExecStoreVirtualTuple(slot);
}

// Nothing is written of the type, so nothing is to be added to it: said before the row is written, because this process
// may be ended between its commit and note_saved(), and the next one would add to the statistics what they have.
void note_nothing_earlier(const Saved &type)
{
    shared::statistics::with_lane(type.table, type.lane, [](Statistics &statistics) { statistics.has_earlier = true; });
}

// The types of which something came since they were written.
std::span<Saved> find_changed(Oid lanes)
{
    // No memory can be had under the locks.
    const auto most = static_cast<std::size_t>(settings::max_counted_types);
    auto list = static_cast<Saved *>(pg::allocate(sizeof(Saved) * most));
    std::size_t count = 0;
    shared::statistics::each_of_table(lanes, [&](std::int32_t lane, const Statistics &statistics) {
        if (statistics.changes != statistics.saved && count < most)
            list[count++] = {lanes, lane, statistics.changes};
    });
    return {list, count};
}

class Writer {
public:
    Writer()
        : table_(open_private(PrivateTable::statistics, RowExclusiveLock)),
          index_(open_key(table_, shape_of(PrivateTable::statistics).key_columns, RowExclusiveLock)),
          lookup_(table_, index_), old_(table_), slot_(table_), writer_(table_)
    {
    }

    void write(Saved &saved)
    {
        static constexpr RegProcedure equal[] = {F_INT4EQ};
        const Datum keys[] = {Int32GetDatum(saved.lane)};
        const bool known = lookup_.find(keys, equal, old_);
        if (known)
            add_row(saved.table, old_); // there was no room for it when they were loaded
        else
            note_nothing_earlier(saved);
        Statistics now;
        if (!shared::statistics::read(saved.table, saved.lane, now))
            return; // freed meanwhile
        saved.changes = now.changes;
        fill_row(slot_, saved.lane, now);
        ItemPointerData place = old_->tts_tid;
        if (!known)
            writer_.insert(slot_);
        else if (writer_.update(&place, slot_) != TM_Ok)
            elog(ERROR, "the statistics of lane %d were written by another session", saved.lane);
    }

private:
    pg::OpenRelation table_, index_;
    pg::IndexLookup lookup_;
    pg::Slot old_, slot_;
    pg::TableWriter writer_;
};

} // namespace

namespace {

// The table of lanes; InvalidOid: somebody has dropped it since the worker has looked.
Oid table_of_lanes() { return OidIsValid(get_extension_oid("jobs_ext", true)) ? lanes::table() : InvalidOid; }

} // namespace

Oid load(Oid loaded_for)
{
    const Oid lanes = table_of_lanes();
    if (!OidIsValid(lanes) || lanes == loaded_for)
        return lanes;
    const pg::OpenRelation table = open_private(PrivateTable::statistics, AccessShareLock);
    shared::statistics::forget_other_tables(lanes);
    PushActiveSnapshot(GetTransactionSnapshot());
    {
        pg::TableScan rows(table, GetActiveSnapshot());
        while (TupleTableSlot *row = rows.next())
            add_row(lanes, row);
    }
    PopActiveSnapshot();
    return lanes;
}

std::span<const Saved> save(Oid loaded_for)
{
    const Oid lanes = table_of_lanes();
    if (lanes != loaded_for)
        return {};
    const std::span<Saved> changed = find_changed(lanes);
    if (changed.empty())
        return {};
    PushActiveSnapshot(GetTransactionSnapshot());
    {
        Writer writer;
        pg::RowMemory memory;
        for (Saved &saved : changed) {
            CHECK_FOR_INTERRUPTS(); // the last writing has a limit of time (worker/statistics.cpp)
            pg::RowMemory::Use use(memory);
            writer.write(saved);
        }
    }
    PopActiveSnapshot();
    return changed;
}

void note_saved(std::span<const Saved> all)
{
    for (const Saved &saved : all)
        shared::statistics::with_lane(saved.table, saved.lane,
                                      [&](Statistics &statistics) { statistics.saved = saved.changes; });
}

} // namespace store::saved_statistics
