#include "shared/statistics.hpp"

#include <new>
#include <type_traits>

#include "settings.hpp"

namespace shared::statistics {

namespace {

static_assert(std::is_trivially_copyable_v<Statistics>);
struct Common {
    pg_atomic_uint64 changes; // see count_doubts()
    pg_atomic_uint64 begun;   // see begun(); 0: not yet
};
using Records = LaneRecords<Statistics, Common>;

std::size_t size_of_records() { return Records::size_of(settings::max_counted_types); }
void initialise(void *memory)
{
    Common &common = Records::initialise(memory, settings::max_counted_types);
    pg_atomic_init_u64(&common.changes, 1);
    pg_atomic_init_u64(&common.begun, 0);
}

constinit Records records({.name = "JobsStatistics", .locks = 1, .size = size_of_records, .initialise = initialise},
                          settings::max_counted_types);

void note_change() { pg_atomic_fetch_add_u64(&records.common().changes, 1); }

// It was counted from the beginning on: where it was not, since no record was free, job_stats() has said so.
void make(Statistics &statistics, RecordNumber)
{
    statistics = {};
    statistics.since = begun();
    note_change();
}

} // namespace

void request_statistics() { records.request(); }

bool are_kept() { return static_cast<bool>(records); }

bool are_full() { return !records || records.is_full(); }

void begin() { (void)begun(); }

// The time of the first call of this: shared memory is made while the server recovers, or long before a standby is
// promoted.
TimestampTz begun()
{
    if (!records)
        return DT_NOEND;
    pg_atomic_uint64 &known = records.common().begun;
    std::uint64_t begun = pg_atomic_read_u64(&known);
    if (const auto now = begun == 0 ? static_cast<std::uint64_t>(GetCurrentTimestamp()) : 0;
        begun == 0 && pg_atomic_compare_exchange_u64(&known, &begun, now))
        begun = now;
    return static_cast<TimestampTz>(begun);
}

bool read(Oid table, std::int32_t lane, Statistics &copy)
{
    return records && records.with(lane_of(table, lane), [&](const Statistics &found, RecordNumber) { copy = found; });
}

void each_of_table(Oid table, Use *use, void *argument)
{
    if (records)
        records.each_of(MyDatabaseId, [&](const Lane &lane, Statistics &statistics, RecordNumber) {
            if (lane.table == table)
                use(lane.number, statistics, argument);
        });
}

bool with_lane(Oid table, std::int32_t lane, Use *use, void *argument)
{
    return records && records.with_new(lane_of(table, lane), make,
                                       [&](Statistics &statistics, RecordNumber) { use(lane, statistics, argument); });
}

namespace {

template <class Change>
void change_depths(Change change)
{
    if (!records)
        return;
    records.each_of(MyDatabaseId,
                    [&](const Lane &, Statistics &statistics, RecordNumber) { change(statistics.numbers.depth()); });
    note_change();
}

} // namespace

void doubt_depths()
{
    change_depths([](logic::CountedDepth &depth) { depth.doubt(); });
}

void doubt_depth(Oid table, std::int32_t lane)
{
    with_lane(table, lane, [](Statistics &statistics) { statistics.numbers.depth().doubt(); });
    note_change();
}

void forget_depths()
{
    change_depths([](logic::CountedDepth &depth) { depth.forget(); });
}

std::uint64_t count_doubts() { return records ? pg_atomic_read_u64(&records.common().changes) : 0; }

void forget_database(Oid database)
{
    if (records)
        records.free_of(database, [](const Lane &) { return false; });
}

void forget_other_tables(Oid table)
{
    if (records)
        records.free_of(MyDatabaseId, [&](const Lane &lane) { return lane.table == table; });
}

void forget_table(Oid table)
{
    if (records)
        records.free_of(MyDatabaseId, [&](const Lane &lane) { return lane.table != table; });
}

List *list_databases()
{
    List *oids = NIL;
    // The oids alone are read under the locks: a list may raise an error.
    for (RecordNumber i = 0; records && i < records.count(); ++i)
        if (const Oid database = records.database_of(i); OidIsValid(database))
            oids = list_append_unique_oid(oids, database);
    return oids;
}

} // namespace shared::statistics
