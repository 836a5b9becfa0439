// The registry of job types, as a cache in the backend: any change to `job_types` empties it.
#pragma once

#include "logic/backoff.hpp"
#include "store/tables.hpp"

namespace store {

using Microseconds = std::int64_t;

// Of a job or type: one that fails at once for ever would take every claim.
constexpr int most_retries = 1000;

constexpr int type_name_bytes = 50 * MAX_MULTIBYTE_CHAR_LEN + 1;

// The name of a type; longer than a job's type can be it is cut.
using TypeName = char[type_name_bytes];
void copy_name(TypeName &to, Datum text);

struct Type {
    TypeName name;
    TypeName category; // empty: none
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

    std::string_view key() const { return name; }
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

// Another number after each change of a type.
std::uint64_t version_of_types();

void watch_types();

} // namespace types

// An interval as a span of time, a month being 30 days. 22023 when it is negative, infinite or too long.
Microseconds span_of(const Interval *interval, const char *argument);

} // namespace store
