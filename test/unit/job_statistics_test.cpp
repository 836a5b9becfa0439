// What is counted of late, held against the events themselves; and the depth, under a count of the queue.
#include "logic/job_statistics.hpp"

#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace logic;
constexpr std::int64_t second = 1'000'000;

using Ring = SlidingCount<5 * second, 12>;

// How many there were in the window, by its ends; and in one that is a bucket shorter or longer, between which the
// answer has to be.
TEST(SlidingCount, IsWithinABucketOfWhatThereWas)
{
    std::mt19937_64 random(3);
    for (const std::int64_t rest : {second / 50, second, 20 * second, 200 * second}) {
        Ring ring;
        std::vector<std::int64_t> events;
        std::int64_t now = static_cast<std::int64_t>(random() % 1000) + 1;
        for (int i = 0; i < 2000; ++i) {
            now += static_cast<std::int64_t>(random() % (2 * static_cast<std::uint64_t>(rest)));
            ring.add(1, now);
            events.push_back(now);
            const auto since = [&](std::int64_t span) {
                return std::count_if(events.begin(), events.end(), [&](auto at) { return at > now - span; });
            };
            EXPECT_GE(ring.sum(now), since(Ring::window - 5 * second));
            EXPECT_LE(ring.sum(now), since(Ring::window + 5 * second));
        }
        EXPECT_EQ(ring.sum(now + Ring::window + 5 * second), 0);
    }
}

TEST(SlidingCount, MovesWithTheTime)
{
    Ring ring;
    ring.add(100, 2 * second);
    EXPECT_EQ(ring.sum(2 * second), 100);
    EXPECT_EQ(ring.sum(60 * second), 100);
    EXPECT_EQ(ring.sum(60 * second + second), 80); // of the bucket 0 to 5 s, as if they had come evenly
    EXPECT_EQ(ring.sum(64 * second), 20);
    EXPECT_EQ(ring.sum(65 * second), 0);
}

TEST(SlidingCount, TakesWhatCameLate)
{
    Ring ring;
    ring.add(1, 100 * second);
    ring.add(1, 99 * second); // another process had read the clock a moment before
    EXPECT_EQ(ring.sum(99 * second), 2);
    EXPECT_EQ(ring.sum(100 * second), 2);
}

TEST(JobStatistics, CountsEachItem)
{
    JobStatistics statistics;
    constexpr std::int64_t now = 7 * second;
    for (int event = 0; event < event_count; ++event)
        statistics.add(Item::of(static_cast<Event>(event)), event + 1, now);
    for (int event = 0; event < event_count; ++event)
        EXPECT_EQ(statistics.count(static_cast<Event>(event)), event + 1);
    EXPECT_EQ(statistics.in_last_minute(Event::failed, now), 4);
    EXPECT_EQ(statistics.in_last_hour(Event::failed, now), 4);
    EXPECT_EQ(statistics.in_last_minute(Event::failed, now + 66 * second), 0);
    EXPECT_EQ(statistics.in_last_hour(Event::failed, now + 66 * second), 4);
    statistics.add(Item::wait(1000), 3, now);
    statistics.add(Item::run(5000), 1, now);
    statistics.add(Item::run(7'000'000), 2, now);
    EXPECT_EQ(statistics.waits().total(), 3);
    EXPECT_NEAR(static_cast<double>(*statistics.waits().quantile(0.5)), 1000, 50);
    EXPECT_EQ(statistics.runs().total(), 3);
    EXPECT_NEAR(static_cast<double>(*statistics.runs().quantile(0.5)), 7e6, 35e4);
}

// The columns of a type in SQL, in their order.
std::vector<std::string> columns_of_type(const std::string &name)
{
    std::ifstream file(SOURCE_DIR "/sql/parts/20_types.sql");
    std::vector<std::string> columns;
    bool is_in = false;
    for (std::string line; std::getline(file, line);) {
        if (is_in && line.rfind(')', 0) == 0)
            return columns;
        if (is_in)
            columns.push_back(line.substr(2, line.find(' ', 2) - 2));
        is_in = is_in || line == "create type public." + name + " as (";
    }
    return columns;
}

// verbs/stats.cpp sends them by position: after five columns of the depth, all events, then those of late, twice.
TEST(JobStatistics, IsInTheOrderOfTheColumns)
{
    const std::vector<std::string> columns = columns_of_type("job_type_stats");
    std::vector<std::string> expected(event_names, event_names + event_count);
    for (const std::string window : {"_last_minute", "_last_hour"})
        for (int event = 0; event < recent_event_count; ++event)
            expected.push_back(event_names[event] + window);
    ASSERT_EQ(columns.size(), 5 + expected.size() + 7);
    EXPECT_EQ(std::vector(columns.begin() + 5, columns.end() - 7), expected);
}

TEST(JobStatistics, AddsWhatWasWrittenDown)
{
    JobStatistics statistics;
    statistics.add(Item::of(Event::claimed), 5, second);
    Histogram waits, runs;
    waits.add(7, 2);
    runs.add(9, 1);
    statistics.add_earlier({10, 20}, waits, runs, second);
    EXPECT_EQ(statistics.count(Event::enqueued), 10);
    EXPECT_EQ(statistics.count(Event::claimed), 25);
    EXPECT_EQ(statistics.in_last_hour(Event::claimed, second), 5);
    EXPECT_EQ(statistics.waits()[7], 2U);
    EXPECT_EQ(statistics.runs()[9], 1U);
}

TEST(JobStatistics, AddsTheRowsOfTheQueueToItsDepth)
{
    JobStatistics statistics;
    statistics.depth().begin();
    for (const QueuePart part : {QueuePart::running, QueuePart::waiting}) {
        statistics.depth().begin_step(part, queue_end);
        statistics.depth().end_step(part, 10);
    }
    statistics.add(Item::waiting(), 3, second);
    statistics.add(Item::running(), -1, second);
    EXPECT_EQ(statistics.depth().shown()->waiting, 13);
    EXPECT_EQ(statistics.depth().shown()->running, 9);
    EXPECT_FALSE(Item::waiting().is_kept());
    EXPECT_TRUE(Item::of(Event::expired).is_kept());
    EXPECT_TRUE(Item::wait(0).is_kept());
}

} // namespace
