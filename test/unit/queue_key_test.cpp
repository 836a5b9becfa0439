#include "logic/queue_key.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace {

using logic::make_queue_key;
using logic::QueueKey;
using logic::Status;

constexpr std::int32_t lane = 7;

TEST(QueueKey, AWaitingJobStandsInTheLaneOfItsType)
{
    for (Status status : {Status::pending, Status::queued})
        EXPECT_EQ(make_queue_key(status, lane, 3, 1000, std::nullopt, std::nullopt), (QueueKey{lane, -3, 1000}));
}

TEST(QueueKey, ALeaseOfAWaitingJobDoesNotCount)
{
    EXPECT_EQ(make_queue_key(Status::pending, lane, 0, 1000, 5, 6), (QueueKey{lane, 0, 1000}));
}

TEST(QueueKey, ARunningJobStandsByWhatEndsFirst)
{
    EXPECT_EQ(make_queue_key(Status::in_progress, lane, 3, 1000, 50, std::nullopt), (QueueKey{0, 0, 50}));
    EXPECT_EQ(make_queue_key(Status::in_progress, lane, 3, 1000, 50, 40), (QueueKey{0, 0, 40}));
    EXPECT_EQ(make_queue_key(Status::in_progress, lane, 3, 1000, 50, 60), (QueueKey{0, 0, 50}));
    EXPECT_EQ(make_queue_key(Status::in_progress, lane, 3, 1000, std::nullopt, 60), (QueueKey{0, 0, 60}));
}

TEST(QueueKey, AnyOtherJobHasNoRow)
{
    for (Status status : {Status::paused, Status::blocked, Status::completed, Status::failed, Status::cancelled})
        EXPECT_EQ(make_queue_key(status, lane, 0, 1000, 50, 60), std::nullopt) << logic::name_of_status(status);
}

TEST(QueueKey, SortsByPriorityThenDueTime)
{
    const auto key = [](int priority, logic::Instant due) {
        return *make_queue_key(Status::queued, lane, priority, due, std::nullopt, std::nullopt);
    };
    std::vector<QueueKey> keys = {key(0, 5), key(-10, 1), key(10, 9), key(0, 4), key(10, 8)};
    std::sort(keys.begin(), keys.end());
    EXPECT_EQ(keys, (std::vector<QueueKey>{key(10, 8), key(10, 9), key(0, 4), key(0, 5), key(-10, 1)}));
}

TEST(EndedKey, AnEndedJobStandsByItsEnd)
{
    using logic::make_ended_key;
    EXPECT_EQ(make_ended_key(Status::completed, lane, 1000), (QueueKey{lane, 0, 1000}));
    EXPECT_EQ(make_ended_key(Status::failed, lane, 1000), (QueueKey{lane, 1, 1000}));
    EXPECT_EQ(make_ended_key(Status::cancelled, lane, 1000), (QueueKey{lane, 2, 1000}));
}

TEST(EndedKey, AnyOtherJobHasNoRow)
{
    for (Status status : {Status::pending, Status::queued, Status::in_progress, Status::paused, Status::blocked})
        EXPECT_EQ(logic::make_ended_key(status, lane, 1000), std::nullopt) << logic::name_of_status(status);
    EXPECT_EQ(logic::make_ended_key(Status::completed, lane, std::nullopt), std::nullopt);
}

} // namespace
