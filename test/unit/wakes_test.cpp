// What whoever wakes may rely on, by examples. That it is always so: wakes_model_test.cpp.
#include <gtest/gtest.h>

#include "wakes_server.hpp"

namespace {

using namespace wakes_test;

Wish wish_for(std::initializer_list<std::int32_t> lanes)
{
    Wish wish;
    for (std::int32_t lane : lanes)
        wish.add(lane);
    return wish;
}

Wish wish_for_any()
{
    Wish wish;
    wish.any = true;
    return wish;
}

std::vector<Number> woken(Server &server, int places)
{
    std::vector<Number> result;
    for (Number who = 0; who < places; ++who)
        if (server.sleeper(who).woken)
            result.push_back(who);
    return result;
}

using Numbers = std::vector<Number>;

TEST(Wakes, as_many_as_there_are_jobs_the_longest_asleep_first)
{
    Server server(1, 6);
    server.sleep(5, wish_for({1}));
    server.sleep(0, wish_for_any());
    server.sleep(4, wish_for({2}));
    server.sleep(1, wish_for({2, 1, 257}));
    server.sleep(3, wish_for({257}));
    server.sleep(2, wish_for({1}));
    EXPECT_EQ(server.room().wake(1, 0), 0);
    EXPECT_EQ(server.room().wake(1, 2), 2);
    EXPECT_EQ(woken(server, 6), (Numbers{0, 5}));
    EXPECT_EQ(server.room().wake(1, 1), 1);
    EXPECT_EQ(woken(server, 6), (Numbers{0, 1, 5}));
    EXPECT_EQ(server.room().wake(257, 7), 1);
    EXPECT_EQ(woken(server, 6), (Numbers{0, 1, 3, 5}));
    EXPECT_EQ(server.signals.size(), 4u);
}

TEST(Wakes, who_comes_back_without_a_job_is_the_longest_asleep_again)
{
    Server server(1, 3);
    for (const Number who : {0, 1, 2})
        server.sleep(who, wish_for({1}));
    server.room().wake(1, 2);
    for (const Number who : {1, 0}) {
        server.room().arm_place(who, wish_for({1}));
        server.room().falls_asleep(who);
    }
    EXPECT_EQ(server.room().wake(1, 1), 1);
    EXPECT_EQ(woken(server, 3), (Numbers{0}));
}

TEST(Wakes, the_vague_are_woken_besides)
{
    Server server(1, 4);
    Wish vague;
    vague.vague = true;
    server.sleep(0, wish_for({1}));
    server.sleep(1, wish_for({1}));
    server.sleep(2, vague);
    Wish many;
    for (int lane = 0; lane <= max_wanted_lanes; ++lane)
        many.add(lane + 2);
    server.sleep(3, many);
    EXPECT_EQ(server.room().wake(1, 1), 3);
    EXPECT_EQ(woken(server, 4), (Numbers{0, 2, 3}));
}

// What it costs to wake one, and to arm a place again: nodes of lists that are read.
struct Cost {
    long wake = 0, arm = 0;
};

// In the last of so many rooms, in each of which so many sleep, for one of so many lanes each.
Cost cost_of_one(int rooms, int in_room, int lanes)
{
    Server server(rooms, rooms * in_room);
    const auto lane_of = [&](Number who) { return 1 + who / rooms % lanes; };
    for (Number who = 0; who < rooms * in_room; ++who)
        server.sleep(who, wish_for({lane_of(who), 100}), who % rooms);
    Cost most;
    for (int lane = lanes; lane > 0; --lane)
        for (int turn = 0; turn < in_room / lanes; ++turn) {
            auto room = server.room(rooms - 1);
            EXPECT_EQ(room.wake(lane, 1), 1);
            most.wake = std::max(most.wake, room.looked_at());
        }
    for (Number who = rooms - 1; who < rooms * in_room; who += rooms)
        server.room(rooms - 1).leave_place(who);
    for (Number who = rooms - 1; who < rooms * in_room; who += rooms) {
        server.enter(who, rooms - 1);
        auto room = server.room(rooms - 1);
        room.arm_place(who, wish_for({lane_of(who), 100}));
        most.arm = std::max(most.arm, room.looked_at());
    }
    return most;
}

// However many others sleep, in its database and elsewhere, for the same or for something else.
TEST(Wakes, cost_nothing_of_others)
{
    const Cost few = cost_of_one(1, 5, 1);
    EXPECT_LT(few.wake, 20);
    using Crowds = std::initializer_list<std::array<int, 3>>;
    for (const auto &[rooms, in_room, lanes] :
         Crowds{{20, 25, 1}, {20, 25, 5}, {1, 500, 1}, {1, 500, 50}, {1, 2000, 1}}) {
        const Cost many = cost_of_one(rooms, in_room, lanes);
        // One that stands in the middle of a list has one more neighbour there, and stands in two lists.
        EXPECT_LE(many.wake, few.wake + 2) << rooms << " x " << in_room << ", " << lanes << " lanes";
        EXPECT_EQ(many.arm, few.arm) << rooms << " x " << in_room << ", " << lanes << " lanes";
    }
}

TEST(Wakes, places_are_kept_for_claims_and_for_other_roles)
{
    const auto has_one = [] { return true; };
    const auto has_none = [] { return false; };
    EXPECT_TRUE(may_have_a_place(Purpose::claim, 17, 0, 20, has_one));
    EXPECT_FALSE(may_have_a_place(Purpose::claim, 18, 0, 20, has_one));
    EXPECT_TRUE(may_have_a_place(Purpose::claim, 18, 0, 20, has_none));
    EXPECT_TRUE(may_have_a_place(Purpose::claim, 9, 10, 20, has_none));
    EXPECT_FALSE(may_have_a_place(Purpose::claim, 10, 10, 20, has_none));
    EXPECT_TRUE(may_have_a_place(Purpose::end, 0, 9, 20, has_one));
    EXPECT_FALSE(may_have_a_place(Purpose::end, 0, 10, 20, has_none));
    EXPECT_FALSE(may_have_a_place(Purpose::claim, 0, 0, 0, has_none));
}

} // namespace
