// The time that an id carries: a UUID of version 7 (RFC 9562, 5.7) begins with the milliseconds since 1970, big end
// first, so that ids sort by it. Pure C++, unit-tested (test/unit/id_time_test.cpp).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "logic/queue_key.hpp"

namespace logic {

using Id = std::array<std::uint8_t, 16>;

// From 1970 to 2000, where Instant begins.
inline constexpr Instant unix_epoch_ms = -946'684'800'000;

// The beginning of the millisecond in which the id was made; nothing: it is of another version.
constexpr std::optional<Instant> time_of_id(const Id &id)
{
    if (id[6] >> 4 != 7)
        return std::nullopt;
    Instant ms = 0;
    for (std::size_t i = 0; i < 6; ++i)
        ms = ms << 8 | id[i];
    return (ms + unix_epoch_ms) * 1000;
}

// The greatest id that begins with this time; of a time before 1970 or after the year 10889 the nearest that there is.
constexpr Id last_id_of(Instant instant)
{
    constexpr Instant last_ms = (Instant{1} << 48) - 1;
    const Instant floored = instant / 1000 - (instant % 1000 < 0 ? 1 : 0);
    Instant ms = floored < unix_epoch_ms ? 0 : floored - unix_epoch_ms;
    ms = ms > last_ms ? last_ms : ms;
    Id id = {};
    id.fill(0xff);
    for (std::size_t i = 6; i-- > 0; ms >>= 8)
        id[i] = static_cast<std::uint8_t>(ms & 0xff);
    return id;
}

} // namespace logic
