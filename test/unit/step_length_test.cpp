// Steps whose pieces cost more and less from one to the next.
#include "logic/step_length.hpp"

#include <gtest/gtest.h>

namespace {

using logic::StepLength;

TEST(StepLength, grows_to_the_most_while_pieces_are_cheap)
{
    StepLength step(20, 200, 2000);
    EXPECT_EQ(step.pieces(), 20);
    step.took(0);
    EXPECT_EQ(step.pieces(), 40);
    for (int i = 0; i < 5; ++i)
        step.took(10);
    EXPECT_EQ(step.pieces(), 200);
}

TEST(StepLength, has_but_as_many_as_fit_into_the_time)
{
    StepLength step(20, 200, 2000);
    step.took(20'000);
    EXPECT_EQ(step.pieces(), 2);
    step.took(16'000);
    EXPECT_EQ(step.pieces(), 1);
    step.took(60'000'000);
    EXPECT_EQ(step.pieces(), 1);
}

// With a cold cache that becomes warm: no step but the first takes longer than the time, or one piece.
TEST(StepLength, keeps_the_time_whatever_a_piece_costs)
{
    for (const std::int64_t cost : {1, 5, 100, 700, 5000, 20'000}) {
        StepLength step(20, 200, 2000);
        for (int i = 0; i < 20; ++i) {
            step.took(step.pieces() * cost);
            EXPECT_LE(step.pieces() * cost, std::max<std::int64_t>(2000, cost));
        }
        EXPECT_EQ(step.pieces(), std::clamp<std::int64_t>(2000 / cost, 1, 200)) << cost;
    }
}

} // namespace
