// How long things took, counted in buckets, from which a quantile follows within 5 %. Pure C++, unit-tested.
//
// The buckets are log-linear: each octave, from a power of two to the next, is cut into ten of equal width, so that a
// bucket is at most a tenth of its beginning wide. That is the scheme of HdrHistogram (G. Tene,
// https://hdrhistogram.org), and of Circllhist by decades (H. Hartmann and T. Schlossnagle, "Circllhist", 2020,
// arXiv:2001.06561), from which the answer for a bucket is: the harmonic mean 2ab / (a + b) of its ends a < b. It is at
// most (b - a) / (b + a) away from anything in the bucket, in parts of that: of [10, 11) 1/21, which is 4.8 %. The
// arithmetic mean would be 5 % away from a.
//
// Spans are microseconds. Below 64 of them a bucket is 6.4 wide; what is longer than 25 days counts as 25 days.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace logic {

class Histogram {
public:
    using Span = std::int64_t;
    static constexpr int steps = 10; // buckets of an octave
    static constexpr int first_octave = 6, last_octave = 40;
    static constexpr int bucket_count = steps * (last_octave - first_octave + 2);

    static constexpr int bucket_of(Span span)
    {
        const auto length = static_cast<std::uint64_t>(std::max<Span>(span, 0));
        if (length < (std::uint64_t{1} << first_octave))
            return static_cast<int>((length * steps) >> first_octave);
        const int octave = static_cast<int>(std::bit_width(length)) - 1;
        if (octave > last_octave)
            return bucket_count - 1;
        const std::uint64_t step = ((length - (std::uint64_t{1} << octave)) * steps) >> octave;
        return steps * (octave - first_octave + 1) + static_cast<int>(step);
    }

    // Where a bucket begins; the next one's beginning is its end.
    static constexpr double beginning_of(int bucket)
    {
        const int octave = bucket / steps - 1 + first_octave;
        const double step = static_cast<double>(bucket % steps) / steps;
        if (octave < first_octave)
            return step * static_cast<double>(Span{1} << first_octave);
        return (1 + step) * static_cast<double>(Span{1} << octave);
    }

    // What stands for all in a bucket.
    static constexpr double middle_of(int bucket)
    {
        const double a = beginning_of(bucket), b = beginning_of(bucket + 1);
        return a == 0 ? b / 2 : 2 * a * b / (a + b);
    }

    constexpr void add(int bucket, std::uint32_t count) { counts_[static_cast<std::size_t>(bucket)] += count; }
    constexpr void add(const Histogram &other)
    {
        for (std::size_t i = 0; i < counts_.size(); ++i)
            counts_[i] += other.counts_[i];
    }
    constexpr std::uint32_t operator[](int bucket) const { return counts_[static_cast<std::size_t>(bucket)]; }

    constexpr std::int64_t total() const
    {
        std::int64_t sum = 0;
        for (const std::uint32_t count : counts_)
            sum += count;
        return sum;
    }

    // The span that the share `q` of all do not exceed: of n, the ceil(q * n)th from below (the nearest rank). Nothing:
    // there are none.
    std::optional<Span> quantile(double q) const
    {
        const std::int64_t count = total();
        if (count == 0)
            return std::nullopt;
        const auto rank = std::max<std::int64_t>(1, std::llround(std::ceil(q * static_cast<double>(count))));
        std::int64_t seen = 0;
        int bucket = 0;
        while ((seen += (*this)[bucket]) < rank && bucket < bucket_count - 1)
            ++bucket;
        return std::llround(middle_of(bucket));
    }

private:
    std::array<std::uint32_t, bucket_count> counts_ = {};
};

// A histogram of late: after each hour the last one is kept beside a new one, and the one before that forgotten. So it
// has all of the last hour, and at most of the last two in which there was anything.
class RecentHistogram {
public:
    using Moment = std::int64_t; // microseconds
    static constexpr Moment kept = Moment{3600} * 1'000'000;

    constexpr void add(int bucket, std::uint32_t count, Moment now)
    {
        begin_anew(now);
        current_.add(bucket, count);
    }
    // What an earlier process knew counts as just seen.
    constexpr void add(const Histogram &known, Moment now)
    {
        begin_anew(now);
        current_.add(known);
    }
    constexpr Histogram all() const
    {
        Histogram sum = earlier_;
        sum.add(current_);
        return sum;
    }

private:
    constexpr void begin_anew(Moment now)
    {
        if (begun_ != 0 && now - begun_ < kept)
            return;
        if (begun_ != 0) {
            earlier_ = current_;
            current_ = {};
        }
        begun_ = now;
    }

    Moment begun_ = 0;
    Histogram current_, earlier_;
};

} // namespace logic
