// Spans of time.
#pragma once

#include <algorithm>
#include <compare>
#include <ctime>

#include "prelude.hpp"

namespace pg {

// Milliseconds from one instant to another, rounded up, INT_MAX at most; 0 when that is over. Also between infinite
// ones, where Postgres 15's own overflows.
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
// machine, and standing while that sleeps. By it goes whatever lasts, rests or is put off for a while: by the server's
// clock all of that ended at once when the clock is set forward, and stood still when it is set back. A TimestampTz is
// for what people see, and for what rows say; the two do not compare.
struct Moment {
    std::int64_t microseconds;

    constexpr auto operator<=>(const Moment &) const = default;
    constexpr bool is_set() const { return microseconds != 0; }
};

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

// As between two of the other kind.
inline long milliseconds_until(Moment from, Moment to)
{
    return milliseconds_until(from.microseconds, to.microseconds);
}
inline long milliseconds_until(Moment to) { return milliseconds_until(moment(), to); }
inline long milliseconds_since(Moment from) { return milliseconds_until(from, moment()); }

// Whether so many milliseconds are over since then.
inline bool is_over(Moment since, long milliseconds) { return milliseconds_since(since) >= milliseconds; }

} // namespace pg
