// The statistics of one job type, and what each event adds to them. Pure C++; shared/statistics.hpp has them in shared
// memory, store/count_events.cpp says which change of a job is which event.
#pragma once

#include "logic/counted_depth.hpp"
#include "logic/histogram.hpp"
#include "logic/sliding_count.hpp"

namespace logic {

// What is counted of the jobs of a type; the names of their columns in job_stats() are below.
enum class Event : std::uint8_t {
    enqueued,  // a new job that waits or is held
    claimed,   // an attempt began
    completed, // a job ended so
    failed,    // likewise
    cancelled, // likewise, also one that expired
    retried,   // a job waits again after an attempt that did not succeed, or after job_retry
    released,  // an attempt was given back
    reaped,    // an attempt was ended, since its lease or its run time was over
    expired,   // a job was cancelled, since it had not started in time
};
inline constexpr const char *event_names[] = {"enqueued", "claimed",  "completed", "failed", "cancelled",
                                              "retried",  "released", "reaped",    "expired"};
inline constexpr int event_count = static_cast<int>(std::size(event_names));
static_assert(event_count == static_cast<int>(Event::expired) + 1);
// Of so many, the first ones, it is also counted how many there were of late.
inline constexpr int recent_event_count = static_cast<int>(Event::failed) + 1;

// Something that is added to, as one number: so what a transaction did is a list of numbers and how often.
class Item {
public:
    static constexpr Item of(Event event) { return Item(static_cast<int>(event)); }
    static constexpr Item waiting() { return Item(first_depth); }
    static constexpr Item running() { return Item(first_depth + 1); }
    static constexpr Item wait(Histogram::Span span) { return Item(first_wait + Histogram::bucket_of(span)); }
    static constexpr Item run(Histogram::Span span) { return Item(first_run + Histogram::bucket_of(span)); }

    constexpr std::uint32_t number() const { return number_; }
    // Whether it is written down for the next start of the server. The depth is not.
    constexpr bool is_kept() const { return number_ < first_depth || number_ >= first_wait; }
    friend constexpr bool operator==(Item, Item) = default;

private:
    friend class JobStatistics;
    static constexpr int first_depth = event_count, first_wait = first_depth + 2,
                         first_run = first_wait + Histogram::bucket_count;
    constexpr explicit Item(int number) : number_(static_cast<std::uint16_t>(number)) {}

    std::uint16_t number_;
};

class JobStatistics {
public:
    using Moment = std::int64_t; // microseconds, by a clock that nobody sets
    using Minute = SlidingCount<std::int64_t{5} * 1'000'000, 12>;
    using Hour = SlidingCount<std::int64_t{60} * 1'000'000, 60>;

    // `at`: of an item of the depth the row's place in its part of the queue, where that is known.
    constexpr void add(Item item, int number, Moment now, const std::optional<QueuePlace> &at = std::nullopt)
    {
        const int i = item.number_;
        if (i < event_count)
            add_events(static_cast<std::size_t>(i), number, now);
        else if (i < Item::first_wait)
            depth_.add(item == Item::waiting() ? QueuePart::waiting : QueuePart::running, number, at);
        else if (i < Item::first_run)
            waits_.add(i - Item::first_wait, static_cast<std::uint32_t>(number), now);
        else
            runs_.add(i - Item::first_run, static_cast<std::uint32_t>(number), now);
    }

    constexpr std::int64_t count(Event event) const { return counts_[static_cast<std::size_t>(event)]; }
    std::int64_t in_last_minute(Event event, Moment now) const
    {
        return minutes_[static_cast<std::size_t>(event)].sum(now);
    }
    std::int64_t in_last_hour(Event event, Moment now) const
    {
        return hours_[static_cast<std::size_t>(event)].sum(now);
    }
    constexpr Histogram waits() const { return waits_.all(); }
    constexpr Histogram runs() const { return runs_.all(); }

    // Adds what was written down of earlier times: by number of event, and the histograms.
    constexpr void add_earlier(const std::array<std::int64_t, event_count> &counts, const Histogram &waits,
                               const Histogram &runs, Moment now)
    {
        for (std::size_t i = 0; i < counts.size(); ++i)
            counts_[i] += counts[i];
        waits_.add(waits, now);
        runs_.add(runs, now);
    }

    constexpr CountedDepth &depth() { return depth_; }
    constexpr const CountedDepth &depth() const { return depth_; }

private:
    constexpr void add_events(std::size_t event, int number, Moment now)
    {
        counts_[event] += number;
        if (event < minutes_.size()) {
            minutes_[event].add(number, now);
            hours_[event].add(number, now);
        }
    }

    std::array<std::int64_t, event_count> counts_ = {};
    CountedDepth depth_;
    std::array<Minute, recent_event_count> minutes_;
    std::array<Hour, recent_event_count> hours_;
    RecentHistogram waits_, runs_;
};

} // namespace logic
