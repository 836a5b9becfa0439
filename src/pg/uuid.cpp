#include "pg/uuid.hpp"

namespace pg {

namespace {

// Microseconds between 1970-01-01 and Postgres's epoch.
constexpr std::int64_t epoch_shift = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

// The random source costs about as much for one uuid as for 64 (1 kB). No two processes share what is drawn: none is
// drawn in the postmaster, before the fork.
pg_uuid_t *random_bytes()
{
    constexpr int drawn_at_once = 64;
    static std::array<pg_uuid_t, drawn_at_once> drawn;
    static int left = 0;

    if (left == 0) {
        if (!pg_strong_random(drawn.data(), sizeof(drawn)))
            ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
        left = drawn_at_once;
    }
    auto uuid = static_cast<pg_uuid_t *>(palloc(sizeof(pg_uuid_t)));
    *uuid = drawn[--left];
    return uuid;
}

// The version and the variant (RFC 9562, 4.1 and 4.2).
void stamp(pg_uuid_t *uuid, unsigned char version)
{
    uuid->data[6] = static_cast<unsigned char>((uuid->data[6] & 0x0f) | (version << 4));
    uuid->data[8] = static_cast<unsigned char>((uuid->data[8] & 0x3f) | 0x80);
}

} // namespace

pg_uuid_t *random_uuid()
{
    pg_uuid_t *uuid = random_bytes();
    stamp(uuid, 4);
    return uuid;
}

pg_uuid_t *time_ordered_uuid(TimestampTz now)
{
    constexpr std::uint64_t per_ms = 4096;
    constexpr std::uint64_t one_second = 1000 * per_ms;
    static std::uint64_t last = 0;

    const std::uint64_t unix_us = static_cast<std::uint64_t>(now + epoch_shift);
    std::uint64_t tick = unix_us / 1000 * per_ms + unix_us % 1000 * per_ms / 1000;
    // A clock that stands, or was set back by less than a second, is counted on from the last tick, so ids
    // still ascend. One that was set back further is followed: ids must not carry a wrong time for as long as that
    // lasts.
    if (tick <= last && last - tick < one_second)
        tick = last + 1;
    last = tick;

    pg_uuid_t *uuid = random_bytes();
    const std::uint64_t ms = tick / per_ms;
    for (int i = 0; i < 6; ++i)
        uuid->data[i] = static_cast<unsigned char>(ms >> (40 - 8 * i));
    uuid->data[6] = static_cast<unsigned char>(tick % per_ms >> 8);
    uuid->data[7] = static_cast<unsigned char>(tick);
    stamp(uuid, 7);
    return uuid;
}

} // namespace pg
