// New UUIDs.
#pragma once

#include "prelude.hpp"

namespace pg {

// Version 4. In the current memory context.
pg_uuid_t *random_uuid();

// Version 7 (RFC 9562, 5.7, with method 3 of 6.2: the 12 bits after the milliseconds are their fraction). Ids that a
// backend makes one after the other sort in that order, also within a microsecond, and fill index pages from left to
// right.
pg_uuid_t *time_ordered_uuid(TimestampTz now);

} // namespace pg
