// New UUIDs, palloc'd in the current memory context. Both raise XX000 if the server has no random bytes.
#pragma once

#include "prelude.hpp"

namespace pg {

// Version 4 (RFC 9562, 5.4), as the ids of leases have it: 122 random bits, so that nobody guesses one.
pg_uuid_t *random_uuid();

// Version 7 (RFC 9562, 5.7, with method 3 of 6.2: the 12 bits after the milliseconds are their fraction). Ids that a
// process makes one after the other sort in that order, also within a microsecond, and fill index pages from left to
// right. Ids of two processes sort by their clocks alone; they differ by their 62 random bits.
pg_uuid_t *time_ordered_uuid(TimestampTz now);

} // namespace pg
