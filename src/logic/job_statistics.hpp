// The statistics of one job type, and what each event adds to them. Pure C++; shared/statistics.hpp has them in shared
// memory, store/count_events.cpp says which change of a job is which event.
#pragma once

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
    friend constexpr bool operator==(Item, Item) = default;

private:
    friend class JobStatistics;
    static constexpr int first_depth = event_count, first_wait = first_depth + 2,
                         first_run = first_wait + Histogram::bucket_count;
    constexpr explicit Item(int number) : number_(static_cast<std::uint16_t>(number)) {}

    std::uint16_t number_;
};

// How many jobs of the type are in the queue. Added up from what transactions told, which says nothing before somebody
// has counted what was there at the beginning (JobStatistics::counted()).
struct Depth {
    std::int64_t waiting, running;
};

class JobStatistics {
public:
    using Moment = std::int64_t; // microseconds, by a clock that nobody sets
    using Minute = SlidingCount<std::int64_t{5} * 1'000'000, 12>;
    using Hour = SlidingCount<std::int64_t{60} * 1'000'000, 60>;

    constexpr void add(Item item, int number, Moment now)
    {
        const int i = item.number_;
        if (i < event_count)
            add_events(static_cast<std::size_t>(i), number, now);
        else if (i < Item::first_wait)
            (item == Item::waiting() ? depth_.waiting : depth_.running) += number;
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

    // The depth; nothing: it is not known what there was at the beginning, or something changed that nobody counted.
    constexpr std::optional<Depth> depth() const { return is_depth_known_ ? std::optional(depth_) : std::nullopt; }

    // A count of the queue begins, under a snapshot that was just taken: what has been told by now, and how often it
    // was doubted. What is told from here on comes on top of what the count finds.
    struct DepthCount {
        Depth told;
        std::uint32_t doubts;
    };
    constexpr DepthCount begin_count() const { return {depth_, doubts_}; }
    // It has found so many. A session that committed before the snapshot and had not told yet when begin_count() came,
    // which is a matter of microseconds, counts twice until the next count.
    constexpr void end_count(const DepthCount &begun, const Depth &found)
    {
        depth_.waiting += found.waiting - begun.told.waiting;
        depth_.running += found.running - begun.told.running;
        is_depth_known_ = begun.doubts == doubts_;
    }
    constexpr void doubt_depth()
    {
        is_depth_known_ = false;
        ++doubts_;
    }

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
    Depth depth_ = {};
    bool is_depth_known_ = false;
    std::uint32_t doubts_ = 0;
    std::array<Minute, recent_event_count> minutes_;
    std::array<Hour, recent_event_count> hours_;
    RecentHistogram waits_, runs_;
};

} // namespace logic
