#include "shared/statistics.hpp"

#include <new>
#include <type_traits>

#include "settings.hpp"

namespace shared::statistics {

namespace {

static_assert(std::is_trivially_copyable_v<Statistics>);
using Records = LaneRecords<Statistics>;

std::size_t size_of_records() { return Records::size_of(settings::max_counted_types); }
void initialise(void *memory) { Records::initialise(memory, settings::max_counted_types); }

constinit Records records({.name = "JobsStatistics", .locks = 1, .size = size_of_records, .initialise = initialise},
                          settings::max_counted_types);

// It was counted from the beginning on: where it was not, since no record was free, job_stats() has said so.
void make(Statistics &statistics)
{
    statistics = {};
    statistics.since = records.begun();
}

} // namespace

void request_statistics() { records.request(); }

bool are_kept() { return static_cast<bool>(records); }

bool are_full() { return !records || records.is_full(); }

void begin() { (void)begun(); }

TimestampTz begun() { return records ? records.begun() : DT_NOEND; }

bool read(Oid table, std::int32_t lane, Statistics &copy)
{
    return records && records.with({MyDatabaseId, table, lane}, [&](const Statistics &found) { copy = found; });
}

void each_of_table(Oid table, Use *use, void *argument)
{
    if (records)
        records.each_of(MyDatabaseId, [&](const Lane &lane, Statistics &statistics) {
            if (lane.table == table)
                use(lane.number, statistics, argument);
        });
}

bool with_lane(Oid table, std::int32_t lane, Use *use, void *argument)
{
    return records && records.with_new({MyDatabaseId, table, lane}, make,
                                       [&](Statistics &statistics) { use(lane, statistics, argument); });
}

void doubt_depths()
{
    if (!records)
        return;
    records.each_of(MyDatabaseId, [](const Lane &, Statistics &statistics) { statistics.numbers.depth().doubt(); });
    records.note_change();
}

void forget_depths()
{
    if (!records)
        return;
    records.each_of(MyDatabaseId, [](const Lane &, Statistics &statistics) { statistics.numbers.depth().forget(); });
    records.note_change();
}

std::uint64_t count_doubts() { return records ? records.changes() : 0; }

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
