// How many there were of late: a ring of buckets that each count a while. Pure C++, unit-tested.
//
// The window moves with the time, and not from bucket to bucket: of the oldest bucket, which is half in it, that part
// counts, as if what is in it had come evenly. So it is wrong by what came unevenly within one bucket.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace logic {

// `width`: of a bucket, in microseconds; the window is `count` buckets long.
template <std::int64_t width, int count>
class SlidingCount {
public:
    using Moment = std::int64_t; // microseconds, above 0, by a clock that nobody sets back
    static constexpr std::int64_t window = width * count;

    constexpr void add(std::int64_t number, Moment now)
    {
        advance(now);
        at(tick_) += static_cast<std::uint32_t>(number);
    }

    // How many there were in the window that ends now.
    std::int64_t sum(Moment now) const
    {
        SlidingCount moved = *this;
        moved.advance(now);
        double sum = 0;
        for (Tick tick = moved.tick_ - count + 1; tick <= moved.tick_; ++tick)
            sum += moved.at(tick);
        const double gone = static_cast<double>(now - (moved.tick_ - count) * width) / static_cast<double>(width);
        // Never negative: a process that read the clock a moment ago may come after one that read it now.
        return std::llround(sum + (gone < 0 ? 1 : 1 - gone) * moved.at(moved.tick_ - count));
    }

private:
    using Tick = std::int64_t;

    constexpr std::uint32_t &at(Tick tick) { return buckets_[static_cast<std::size_t>(tick % (count + 1))]; }

    // Empties the buckets that come after the last one that was used, a round of them at most.
    constexpr void advance(Moment now)
    {
        const Tick tick = now / width + count;
        if (tick - tick_ > count) {
            buckets_ = {};
            tick_ = tick;
        }
        while (tick_ < tick)
            at(++tick_) = 0;
    }

    // Of the newest bucket. They begin at `count`, so that none is negative.
    Tick tick_ = count;
    std::array<std::uint32_t, count + 1> buckets_ = {};
};

} // namespace logic
