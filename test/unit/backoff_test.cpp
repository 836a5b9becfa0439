#include "logic/backoff.hpp"

#include <cstdint>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace {

using logic::Backoff;
using logic::backoff_ceiling;

constexpr std::int64_t hour_ms = 3'600'000;
constexpr auto largest_delay = std::numeric_limits<std::int32_t>::max();

TEST(Backoff, ExponentialDoublesUntilTheCap)
{
    EXPECT_EQ(backoff_ceiling(Backoff::exponential, 1000, 0, hour_ms), 1000);
    EXPECT_EQ(backoff_ceiling(Backoff::exponential, 1000, 1, hour_ms), 2000);
    EXPECT_EQ(backoff_ceiling(Backoff::exponential, 1000, 11, hour_ms), 2048000);
    EXPECT_EQ(backoff_ceiling(Backoff::exponential, 1000, 12, hour_ms), hour_ms);
}

TEST(Backoff, LinearGrowsByTheDelayUntilTheCap)
{
    EXPECT_EQ(backoff_ceiling(Backoff::linear, 1000, 0, hour_ms), 1000);
    EXPECT_EQ(backoff_ceiling(Backoff::linear, 1000, 4, hour_ms), 5000);
    EXPECT_EQ(backoff_ceiling(Backoff::linear, 1000, 3599, hour_ms), hour_ms);
    EXPECT_EQ(backoff_ceiling(Backoff::linear, 1000, 3600, hour_ms), hour_ms);
}

TEST(Backoff, FixedStaysBelowTheCap)
{
    EXPECT_EQ(backoff_ceiling(Backoff::fixed, 1000, 0, hour_ms), 1000);
    EXPECT_EQ(backoff_ceiling(Backoff::fixed, 1000, 1000, hour_ms), 1000);
    EXPECT_EQ(backoff_ceiling(Backoff::fixed, 2 * hour_ms, 0, hour_ms), hour_ms);
}

TEST(Backoff, NoDelayIsNoDelay)
{
    for (Backoff backoff : {Backoff::exponential, Backoff::linear, Backoff::fixed}) {
        EXPECT_EQ(backoff_ceiling(backoff, 0, 5, hour_ms), 0);
        EXPECT_EQ(backoff_ceiling(backoff, 1000, 5, 0), 0);
        EXPECT_EQ(backoff_ceiling(backoff, -1, 5, hour_ms), 0);
    }
}

// Against the same formula in 128 bits.
TEST(Backoff, NeverOverflowsAndNeverPassesTheCap)
{
    std::mt19937_64 random(20261123);
    for (int i = 0; i < 100000; ++i) {
        const std::int64_t delay = static_cast<std::int64_t>(random() % (std::uint64_t{1} << (random() % 31 + 1)));
        const std::int64_t cap = static_cast<std::int64_t>(random() >> (random() % 63 + 1));
        const std::int32_t retries = static_cast<std::int32_t>(random() >> (random() % 31 + 33));
        const int doublings = std::min(retries, 80);
        const __int128 exact = static_cast<__int128>(delay) << std::min(doublings, 90);
        const std::int64_t expected = static_cast<std::int64_t>(std::min<__int128>(exact, cap));
        ASSERT_EQ(backoff_ceiling(Backoff::exponential, delay, retries, cap), expected)
            << "delay " << delay << ", retries " << retries << ", cap " << cap;
        const __int128 line = static_cast<__int128>(delay) * (static_cast<__int128>(retries) + 1);
        ASSERT_EQ(backoff_ceiling(Backoff::linear, delay, retries, cap),
                  static_cast<std::int64_t>(std::min<__int128>(line, cap)))
            << "delay " << delay << ", retries " << retries << ", cap " << cap;
    }
    EXPECT_EQ(backoff_ceiling(Backoff::exponential, largest_delay, std::numeric_limits<std::int32_t>::max(), hour_ms),
              hour_ms);
}

TEST(Backoff, JitterIsHalfOfTheDelay)
{
    EXPECT_EQ(logic::with_jitter(1000, 0.0), 500);
    EXPECT_EQ(logic::with_jitter(1000, 0.5), 750);
    EXPECT_LT(logic::with_jitter(1000, 0.999999), 1000);
    EXPECT_EQ(logic::with_jitter(0, 0.9), 0);
    EXPECT_EQ(logic::with_jitter(1, 0.0), 0);
}

TEST(Backoff, NamesAreThoseOfTheContract)
{
    EXPECT_EQ(logic::parse_backoff("exponential"), Backoff::exponential);
    EXPECT_EQ(logic::parse_backoff("linear"), Backoff::linear);
    EXPECT_EQ(logic::parse_backoff("fixed"), Backoff::fixed);
    EXPECT_EQ(logic::parse_backoff("Fixed"), std::nullopt);
    EXPECT_EQ(logic::parse_backoff(""), std::nullopt);
}

} // namespace
