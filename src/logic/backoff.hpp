// When a failed job is tried again: the type's backoff, capped, with jitter. Exponential backoff is that of M. Brooker,
// "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). Pure C++, unit-tested.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

namespace logic {

enum class Backoff : std::uint8_t { exponential, linear, fixed };

struct BackoffKind {
    std::string_view name;
    // The delay before the jitter, in milliseconds. `delay_ms` is above 0, `cap_ms` and `done`, the retries granted
    // before this one, are 0 or more. Never overflows: each product is compared with the cap before it is made.
    std::int64_t (*ceiling)(std::int64_t delay_ms, std::int64_t done, std::int64_t cap_ms);
};

// In the order of Backoff: min(cap, delay * 2^done), min(cap, delay * (done + 1)), min(cap, delay).
inline constexpr BackoffKind backoff_kinds[] = {
    // delay << done would pass the cap (or 2^63) exactly when cap >> done is smaller than the delay.
    {"exponential",
     [](std::int64_t delay_ms, std::int64_t done, std::int64_t cap_ms) {
         return done >= 62 || (cap_ms >> done) < delay_ms ? cap_ms : delay_ms << done;
     }},
    {"linear", [](std::int64_t delay_ms, std::int64_t done,
                  std::int64_t cap_ms) { return cap_ms / delay_ms <= done ? cap_ms : delay_ms * (done + 1); }},
    {"fixed", [](std::int64_t delay_ms, std::int64_t, std::int64_t cap_ms) { return std::min(cap_ms, delay_ms); }},
};

constexpr std::optional<Backoff> parse_backoff(std::string_view text)
{
    for (std::size_t i = 0; i < std::size(backoff_kinds); ++i)
        if (backoff_kinds[i].name == text)
            return static_cast<Backoff>(i);
    return std::nullopt;
}

// The delay before the jitter, in milliseconds. Negative values, which the CHECKs of `jobs` refuse as long as the owner
// leaves them there, count as 0.
constexpr std::int64_t backoff_ceiling(Backoff backoff, std::int64_t delay_ms, std::int32_t retries,
                                       std::int64_t cap_ms)
{
    if (delay_ms <= 0)
        return 0;
    return backoff_kinds[static_cast<std::size_t>(backoff)].ceiling(delay_ms, std::max(retries, 0),
                                                                    std::max<std::int64_t>(cap_ms, 0));
}

// The delay in milliseconds, from half the ceiling up to the ceiling: half of it is fixed and half random ("equal
// jitter" in the same article), so that jobs that failed together do not come back together. `random`: uniform, from 0
// to less than 1.
constexpr std::int64_t with_jitter(std::int64_t ceiling_ms, double random)
{
    const std::int64_t half = ceiling_ms / 2;
    return half + static_cast<std::int64_t>(static_cast<double>(ceiling_ms - half) * random);
}

} // namespace logic
