// Spans of time.
#pragma once

#include <algorithm>

#include "prelude.hpp"

namespace pg {

// Milliseconds from one instant to another, rounded up, INT_MAX at most; 0 when that is over. Also between infinite ones,
// where Postgres 15's own overflows.
inline long milliseconds_until(TimestampTz from, TimestampTz to)
{
    std::int64_t span;
    if (to <= from)
        return 0;
    if (pg_sub_s64_overflow(to, from, &span))
        return INT_MAX;
    return static_cast<long>(std::min<std::int64_t>(span / 1000 + (span % 1000 != 0), INT_MAX));
}

} // namespace pg
