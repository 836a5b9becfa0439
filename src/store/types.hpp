// The registry of job types, as each process remembers it.
//
// The race: a session changes a type while others enqueue and claim jobs of it. A process reads all types at once, as
// they are committed then, and forgets them when job_types changes: our trigger on it (job_types_changed() in
// job/direct_dml.cpp) sends an invalidation, which others read once it is committed, at their next lock on a table. So
// a call may go by settings from before a commit that happened during the call, as if it had come earlier; a caller to
// which that matters, such as a claim that goes to sleep, compares version_of_types() before and after. A change that
// is rolled back is forgotten too: the abort replays the invalidation in this process, and others never get it.
#pragma once

#include "logic/backoff.hpp"
#include "store/tables.hpp"

namespace store {

using Microseconds = std::int64_t;

// The most retries of a job or a type. There has to be an end: a job that fails at once, with no delay, would take
// every claim for ever.
constexpr int most_retries = 1000;

// jobs.job_type is a varchar(50); with the NUL at its end.
constexpr int type_name_bytes = 50 * MAX_MULTIBYTE_CHAR_LEN + 1;

// The name of a type, NUL-terminated. copy_name() cuts a longer text at a character's end.
using TypeName = char[type_name_bytes];
void copy_name(TypeName &to, Datum text);

struct Type {
    TypeName name;
    TypeName category; // empty where there is none
    bool has_category; // an empty one is one
    std::int32_t max_retries;
    logic::Backoff backoff;
    std::int32_t retry_delay_ms;                // before the first retry
    Microseconds retry_delay_max;               // the backoff goes no further
    std::optional<Microseconds> lease;          // nothing: jobs_ext.default_lease
    std::optional<Microseconds> timeout;        // the longest run; nothing: no limit
    std::optional<Microseconds> keep_completed; // in `jobs`, before it is archived; zero: deleted instead
    std::optional<Microseconds> keep_failed;
    bool keeps_all_attempts; // in job_attempts; else those that did not succeed
    bool paused;             // nobody claims its jobs now: it is paused, or the whole queue is (pauses.hpp)

    std::string_view key() const { return name; }
};

namespace types {

// All but watch_types() may read the table job_types, and then raise 42P01, 42804 or 42501 as open_table() does, and
// 23502 where an owner let a null in that no type may have.

// The settings of a type; the defaults where it is not registered any more, because its jobs must be able to end.
Type settings_of(std::string_view name);
// Whether all types are paused, by job_pause_all().
bool are_all_paused();

// Whether the type keeps a record of attempts that succeed. False where the table cannot be read: a job must be able to
// complete then too.
bool keeps_all_attempts(std::string_view name);

// The same as settings_of(), but raises 22023 with the nearest names where the type is not registered. Under
// jobs_ext.auto_register_types registers it instead, as the caller.
Type require_registered(std::string_view name);

// Reads the table if it has changed. Maintenance calls it before the first job, so that an error of the table ends the
// piece and is not taken for the job's.
void load_all_types();

// Calls `each` with the settings of every registered type. Where that has the list read anew and a type came or went,
// one may be missed or come twice.
void each_type(void (*each)(const Type &, void *), void *argument);
template <class Each>
void each_type(Each work)
{
    each_type([](const Type &type, void *argument) { (*static_cast<Each *>(argument))(type); }, &work);
}

// A number that differs after each change of a type that this process has heard of.
std::uint64_t known_version();
// The same. Reads invalidations first, so a change that was committed before
// the call counts.
std::uint64_t version_of_types();

// Registers the callback. To be called once in a process, from _PG_init.
void watch_types();

} // namespace types

// An interval as microseconds, a month being 30 days as in Postgres's own comparison of intervals. Raises 22023, with
// the argument's name, where it is negative, infinite or longer than 200 years.
Microseconds span_of(const Interval *interval, const char *argument);

} // namespace store
