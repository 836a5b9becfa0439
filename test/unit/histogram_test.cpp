// A histogram, held against the spans themselves.
#include "logic/histogram.hpp"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace {

using logic::Histogram;
using logic::RecentHistogram;
using Span = Histogram::Span;

constexpr Span least = Span{1} << Histogram::first_octave, most = Span{1} << (Histogram::last_octave + 1);

TEST(Histogram, BucketsJoinWithoutAGap)
{
    EXPECT_EQ(Histogram::bucket_of(0), 0);
    EXPECT_EQ(Histogram::bucket_of(-5), 0);
    EXPECT_EQ(Histogram::bucket_of(most - 1), Histogram::bucket_count - 1);
    EXPECT_EQ(Histogram::bucket_of(most), Histogram::bucket_count - 1);
    EXPECT_EQ(Histogram::bucket_of(std::numeric_limits<Span>::max()), Histogram::bucket_count - 1);
    for (int bucket = 1; bucket < Histogram::bucket_count; ++bucket) {
        const auto first = static_cast<Span>(std::ceil(Histogram::beginning_of(bucket)));
        EXPECT_EQ(Histogram::bucket_of(first), bucket) << first;
        EXPECT_EQ(Histogram::bucket_of(first - 1), bucket - 1) << first;
    }
}

TEST(Histogram, TheMiddleIsWithin5PercentOfAllInTheBucket)
{
    for (int bucket = Histogram::steps; bucket < Histogram::bucket_count; ++bucket) {
        const double begin = Histogram::beginning_of(bucket), end = Histogram::beginning_of(bucket + 1);
        EXPECT_LT(std::abs(Histogram::middle_of(bucket) - begin) / begin, 0.05) << begin;
        EXPECT_LT(std::abs(Histogram::middle_of(bucket) - end) / end, 0.05) << end;
    }
}

// Spans as they come: a few are long. And all alike, and two heaps.
std::vector<Span> spans_of_kind(int kind, std::mt19937_64 &random, std::size_t count)
{
    std::vector<Span> spans;
    std::lognormal_distribution<double> some(9, 2.5);
    while (spans.size() < count) {
        const Span span = kind == 0   ? static_cast<Span>(some(random))
                          : kind == 1 ? Span{123456}
                                      : (random() % 100 < 95 ? 1000 : 60'000'000);
        spans.push_back(std::clamp(span, least, most - 1));
    }
    return spans;
}

TEST(Histogram, QuantilesAreWithin5Percent)
{
    std::mt19937_64 random(7);
    for (const int kind : {0, 1, 2})
        for (const std::size_t count : {1, 2, 3, 10, 99, 100, 101, 5000}) {
            std::vector<Span> spans = spans_of_kind(kind, random, count);
            Histogram histogram;
            for (const Span span : spans)
                histogram.add(Histogram::bucket_of(span), 1);
            EXPECT_EQ(histogram.total(), static_cast<std::int64_t>(count));
            std::sort(spans.begin(), spans.end());
            for (const double q : {0.0, 0.5, 0.95, 0.99, 1.0}) {
                const auto rank = std::max(1.0, std::ceil(q * static_cast<double>(count)));
                const auto real = static_cast<double>(spans[static_cast<std::size_t>(rank) - 1]);
                EXPECT_LE(std::abs(static_cast<double>(*histogram.quantile(q)) - real), real * 0.05 + 0.5)
                    << "kind " << kind << ", " << count << ", " << q;
            }
        }
}

TEST(Histogram, OfNothingThereIsNoQuantile)
{
    EXPECT_FALSE(Histogram().quantile(0.5));
    EXPECT_EQ(Histogram().total(), 0);
}

TEST(RecentHistogram, ForgetsAfterOneToTwoHours)
{
    constexpr auto minute = RecentHistogram::kept / 60;
    RecentHistogram recent;
    recent.add(3, 1, 10 * minute);
    recent.add(4, 1, 69 * minute);
    EXPECT_EQ(recent.all().total(), 2);
    recent.add(5, 1, 70 * minute); // the first hour is over
    EXPECT_EQ(recent.all().total(), 3);
    recent.add(6, 1, 129 * minute);
    EXPECT_EQ(recent.all().total(), 4);
    recent.add(7, 1, 130 * minute);
    EXPECT_EQ(recent.all().total(), 3);
    EXPECT_EQ(recent.all()[3], 0U);
    EXPECT_EQ(recent.all()[5], 1U);
    recent.add(8, 2, 1000 * minute); // long after: what there was last is still told
    EXPECT_EQ(recent.all().total(), 3);
    EXPECT_EQ(recent.all()[7], 1U);
}

} // namespace
