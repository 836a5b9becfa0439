// Two clocks, and spans of time on each: TimestampTz for what people and rows say, Moment for what lasts or rests.
#pragma once

#include <algorithm>
#include <compare>
#include <ctime>

#include "prelude.hpp"

namespace pg {

// Milliseconds from one instant to another, rounded up, so that a sleeper does not wake a moment too early and find
// nothing due; INT_MAX at most; 0 if `to` is over. Also between infinite ones, where TimestampDifferenceMilliseconds()
// of Postgres 15 overflows.
inline long milliseconds_until(TimestampTz from, TimestampTz to)
{
    std::int64_t span;
    if (to <= from)
        return 0;
    if (pg_sub_s64_overflow(to, from, &span))
        return INT_MAX;
    return static_cast<long>(std::min<std::int64_t>(span / 1000 + (span % 1000 != 0), INT_MAX));
}

// An instant by a clock that nobody sets, in microseconds since some beginning: the same for all processes of a
// machine, and standing while that sleeps. Rests, limits and intervals go by it, because by the server's clock all of
// them would end at once when an operator sets it forward, and would not end when it is set back. The two do not
// compare. A Moment may stand in shared memory, which ends with the postmaster, but never in a table.
struct Moment {
    std::int64_t microseconds;

    constexpr auto operator<=>(const Moment &) const = default;
    constexpr bool is_set() const { return microseconds != 0; }
};

// long_ago: any span since then is over. (The subtraction overflows, which milliseconds_until() takes for INT_MAX.)
constexpr Moment unset{0}, long_ago{PG_INT64_MIN};

inline Moment moment()
{
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return {static_cast<std::int64_t>(now.tv_sec) * USECS_PER_SEC + now.tv_nsec / 1000};
}

constexpr Moment operator+(Moment from, std::int64_t microseconds) { return {from.microseconds + microseconds}; }

// From now on.
inline Moment in_milliseconds(std::int64_t milliseconds) { return moment() + milliseconds * 1000; }

// The rules of the other kind hold here too: rounded up, 0 to INT_MAX.
inline long milliseconds_until(Moment from, Moment to)
{
    return milliseconds_until(from.microseconds, to.microseconds);
}
inline long milliseconds_until(Moment to) { return milliseconds_until(moment(), to); }
inline long milliseconds_since(Moment from) { return milliseconds_until(from, moment()); }

// Whether so many milliseconds are over since then.
inline bool is_over(Moment since, long milliseconds) { return milliseconds_since(since) >= milliseconds; }

} // namespace pg
