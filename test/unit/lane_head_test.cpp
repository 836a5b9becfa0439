// What is known of a lane at a glance, held against the hints that it follows from.
#include "logic/lane_head.hpp"

#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace {

using namespace logic;

constexpr std::size_t ranks = 4;
using Places = std::array<Place, ranks>;
constexpr Ranks all = {0, ranks - 1};

Place at(Instant time, std::uint8_t id = 0) { return {time, id_of_all(id)}; }

// The rank and place before which nothing is due.
PackedPlace first_due(const Places &places, Instant now)
{
    for (std::size_t i = 0; i < ranks; ++i)
        if (places[i].due_at <= now)
            return pack(i, places[i]);
    return no_place;
}

} // namespace

TEST(LaneHead, PackedPlacesKeepTheirOrder)
{
    const Instant least = std::numeric_limits<Instant>::min(), most = std::numeric_limits<Instant>::max();
    const Place places[] = {before_all, at(least, 1), at(-1), at(0), at(0, 1), at(1), at(1, 0xff), at(most - 1),
                            after_all};
    for (std::size_t rank = 0; rank < rank_count; ++rank)
        for (std::size_t i = 1; i < std::size(places); ++i) {
            EXPECT_LE(pack(rank, places[i - 1]), pack(rank, places[i]));
            EXPECT_LT(pack(rank, places[i]), pack(rank + 1, places[0]));
            EXPECT_EQ(packed_rank(pack(rank, places[i])), rank);
        }
    EXPECT_LT(pack(0, at(0)), pack(0, at(0, 1)));
    EXPECT_LT(pack(rank_count, after_all), no_place);
    EXPECT_EQ(first_of_all, pack(0, before_all));
}

TEST(LaneHead, KnowsNothingAtFirst)
{
    EXPECT_FALSE(LaneHead{}.holds_at(0));
    EXPECT_FALSE(LaneHead{}.holds_at(std::numeric_limits<Instant>::min()));
}

// A better job that waits for its time hides none that is due, and is not forgotten.
TEST(LaneHead, HoldsUntilABetterOneIsDue)
{
    const Places places = {at(100), at(20, 7), at(10), at(50)};
    const LaneHead head = LaneHead::of(places, 30, all);
    EXPECT_EQ(head.first, pack(1, at(20, 7)));
    EXPECT_EQ(head.until, 100);
    EXPECT_TRUE(head.holds_at(20));
    EXPECT_TRUE(head.holds_at(99));
    EXPECT_FALSE(head.holds_at(100));
    EXPECT_FALSE(head.holds_at(19)) << "by a clock that was set back";
    const LaneHead none = LaneHead::of(places, 9, all);
    EXPECT_TRUE(none.has_none());
    EXPECT_EQ(none.until, 10);
    EXPECT_TRUE(none.holds_at(-5));
    EXPECT_EQ(LaneHead::of(places, 9, {0, 1}).until, 20) << "of a table that has no other ranks";
}

// After any changes, where it holds at a time it says no more than the hints do, and exactly that once it was read anew.
TEST(LaneHead, NeverSaysTooMuch)
{
    for (unsigned seed = 0; seed < 500; ++seed) {
        std::mt19937 random(seed);
        auto below = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
        Places places;
        places.fill(before_all);
        LaneHead head;
        for (int step = 0; step < 300; ++step) {
            const auto rank = static_cast<std::size_t>(below(ranks));
            const Place place = below(9) == 0 ? after_all : at(below(100), static_cast<std::uint8_t>(below(3)));
            if (below(2) == 0) {
                places[rank] = std::min(places[rank], place);
                head.lowered(rank, places[rank]);
            } else {
                places[rank] = std::max(places[rank], place);
                head.raised(rank, places[rank]);
            }
            if (below(4) == 0) {
                const Instant now = below(100);
                head = LaneHead::of(places, now, all);
                ASSERT_TRUE(head.holds_at(now) || places[0].due_at == before_all.due_at);
                ASSERT_EQ(head.first, first_due(places, now));
            }
            for (Instant now = -1; now <= 101; ++now)
                if (head.holds_at(now)) {
                    ASSERT_LE(head.first, first_due(places, now)) << "seed " << seed << " step " << step;
                }
        }
    }
}
