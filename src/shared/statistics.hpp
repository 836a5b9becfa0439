// The statistics of job types, in shared memory: what each transaction did is added when it has committed
// (shared/own_counts.hpp). logic/job_statistics.hpp says what is in them, worker/statistics.cpp keeps them over a
// restart, and verbs/stats.cpp shows them.
//
// A record for each type, by the number of its lane, which is never another type's; the table that gives the numbers is
// part of the key, because an extension that is dropped and made again begins anew. There are
// jobs_ext.max_counted_types. Where all are taken, a further type is not counted, which job_stats() says: a counter
// that were evicted now and then would be wrong and not tell. A record is freed with its database or extension.
//
// A session adds to a record under the record's spinlock, once for each type that its transaction was about. Reading
// copies the record under it, 7 kB.
//
// Like all of shared memory this is gone after a crash; then what was written down last counts. Where the library is
// not preloaded nothing is counted.
#pragma once

#include "logic/job_statistics.hpp"
#include "pg/time.hpp"
#include "shared/lane_records.hpp"

namespace shared::statistics {

// To be called from _PG_init while libraries are preloaded.
void request_statistics();

// Whether anything is counted.
bool are_kept();

struct Statistics {
    logic::JobStatistics numbers;
    TimestampTz since;     // that is counted
    bool has_earlier;      // what was written down of the type is in it
    std::uint32_t changes; // so often something was added that is written down,
    std::uint32_t saved;   // and so often when it was written last
};

// Whether a type that has no record yet could not get one.
bool are_full();

// Since when the statistics of this server are counted, but for what was written down before: since begin(), which the
// launcher calls when it starts (on a standby at its promotion), or since the first look or job that came before. Not
// to be called on a standby.
void begin();
TimestampTz begun();

// A copy of a lane's statistics. False: it has none.
bool read(Oid table, std::int32_t lane, Statistics &copy);

// Calls `use(lane, statistics)` under the lock of each record of this database that is for a lane of that table.
using Use = void(std::int32_t lane, Statistics &statistics, void *argument);
void each_of_table(Oid table, Use *use, void *argument);
template <class Work>
void each_of_table(Oid table, Work work)
{
    each_of_table(
        table,
        [](std::int32_t lane, Statistics &statistics, void *argument) {
            (*static_cast<Work *>(argument))(lane, statistics);
        },
        &work);
}
// The same for one lane, whose record is made if there is none. False: none is free. At commit too: raises nothing.
bool with_lane(Oid table, std::int32_t lane, Use *use, void *argument);
template <class Work>
bool with_lane(Oid table, std::int32_t lane, Work work)
{
    return with_lane(
        table, lane,
        [](std::int32_t, Statistics &statistics, void *argument) { (*static_cast<Work *>(argument))(statistics); },
        &work);
}

// The queue of this database changed by something that is not counted, or was emptied or written anew: its depths are
// to be counted once more, and until then are what they were, or not known (logic::CountedDepth). Raise nothing.
void doubt_depths();
void forget_depths();
// The same as doubt_depths() for one lane.
void doubt_depth(Oid table, std::int32_t lane);
// A number that differs after each doubt, and after a type was counted for the first time.
std::uint64_t count_doubts();

// Frees the records of a database that is gone; of this one, but for those of that table; those of that table.
void forget_database(Oid database);
void forget_other_tables(Oid table);
void forget_table(Oid table);
// The databases that have records, each once; palloc'd.
List *list_databases();

} // namespace shared::statistics
