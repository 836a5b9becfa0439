// When a failed job is tried again: the type's backoff, capped, with jitter. Exponential backoff is that of M. Brooker,
// "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). Pure C++, unit-tested.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace logic {

enum class Backoff : std::uint8_t { exponential, linear, fixed };

constexpr std::optional<Backoff> parse_backoff(std::string_view text)
{
    if (text == "exponential")
        return Backoff::exponential;
    if (text == "linear")
        return Backoff::linear;
    if (text == "fixed")
        return Backoff::fixed;
    return std::nullopt;
}

// The delay before the jitter, in milliseconds: min(cap, delay * 2^retries), min(cap, delay * (retries + 1)), or
// min(cap, delay). `retries` counts the retries granted before this one. Negative values, which the CHECKs of `jobs`
// refuse as long as the owner leaves them there, count as 0. Never overflows: a shift or a division compares each
// product with the cap before it is made.
constexpr std::int64_t backoff_ceiling(Backoff backoff, std::int64_t delay_ms, std::int32_t retries,
                                       std::int64_t cap_ms)
{
    delay_ms = std::max<std::int64_t>(delay_ms, 0);
    cap_ms = std::max<std::int64_t>(cap_ms, 0);
    const std::int64_t done = std::max(retries, 0);
    if (delay_ms == 0)
        return 0;
    switch (backoff) {
    case Backoff::exponential:
        // delay << done would pass the cap (or 2^63) exactly when cap >> done is smaller than the delay.
        return done >= 62 || (cap_ms >> done) < delay_ms ? cap_ms : delay_ms << done;
    case Backoff::linear:
        return cap_ms / delay_ms <= done ? cap_ms : delay_ms * (done + 1);
    case Backoff::fixed:
        return std::min(cap_ms, delay_ms);
    }
    return cap_ms;
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
