// The registry of job types and their lanes, as a cache in the backend: any change to `job_types` empties it.
#pragma once

#include "logic/backoff.hpp"
#include "store/tables.hpp"

namespace store {

using Microseconds = std::int64_t;

// Of a job or type: one that fails at once for ever would take every claim.
constexpr int most_retries = 1000;

constexpr int type_name_bytes = 50 * MAX_MULTIBYTE_CHAR_LEN + 1;

struct Type {
    char name[type_name_bytes];
    char category[type_name_bytes]; // empty: none
    bool has_category;
    std::int32_t max_retries;
    logic::Backoff backoff;
    std::int32_t retry_delay_ms;
    Microseconds retry_delay_max;
    std::optional<Microseconds> lease;
    std::optional<Microseconds> timeout;        // the longest run
    std::optional<Microseconds> keep_completed; // in `jobs`, before it is archived; zero: deleted instead
    std::optional<Microseconds> keep_failed;
    bool paused;
};

namespace types {

// The settings of a type; of one that is not registered any more, the defaults.
Type settings_of(std::string_view name);

// 22023 with the nearest names for a type that is not registered, unless new types register themselves.
Type require_registered(std::string_view name);

// Reads them all, if they have changed: whoever calls it first meets what is wrong with the table, 42804 or 23502.
void load();

// Calls `each` with the settings of every registered type.
void each_type(void (*each)(const Type &, void *), void *argument);
template <class Each>
void each_type(Each work)
{
    each_type([](const Type &type, void *argument) { (*static_cast<Each *>(argument))(type); }, &work);
}

// Gives every registered type its lane.
void make_lanes();

// Another number after each change of a type, or of a lane.
std::uint64_t version_of_types();

void watch_types();

} // namespace types

// A lane is made with its type, by the trigger on `job_types`, so that the first job of a type finds it committed. Where it
// is missing all the same, as for a type that a restore brought or that registers itself, its first job makes it. Who makes
// one holds nothing that who makes another needs: the numbers come from a sequence, since a greatest number plus one would
// be known to nobody else before the end of the transaction. So there are gaps.
//
// Lock order: `jobs`, then the lane, then rows of `jobs`. `jobs` is open for writing wherever a lane is made, so a rebuild,
// which lets nobody else have it open, waits for no lane. A job's lane is made before its row is written, whatever its state,
// so whoever has the row and moves the job finds it there. What is left to Postgres's deadlock detector: a transaction that
// makes several lanes, or takes rows first and makes a lane with another statement, or makes one
// with its type and then wants `jobs` to itself; an UPDATE of `job_type` to one without.
namespace lanes {

// The number under which the queue knows the type, given at the first use and never again to another type. Waits for a
// transaction that is making this very one.
std::int32_t of(std::string_view type);

// Makes the type's lane unless it is there, or the type's first job will: another transaction is making it or keeps others
// from writing to `jobs`, the caller may not write there, or the queue is not built.
void prepare_lane_of(std::string_view type);

// Nothing, if the type never had a job.
std::optional<std::int32_t> find_lane_of(std::string_view type);

// How many there are.
int count_lanes();
// The lane with the next greater number, after the last one the first.
std::int32_t after(std::int32_t lane);

// The type of a lane, or nothing.
std::optional<std::string_view> type_of(std::int32_t lane);

} // namespace lanes

// An interval as a span of time, a month being 30 days. 22023 when it is negative, infinite or too long.
Microseconds span_of(const Interval *interval, const char *argument);

} // namespace store
