#include "logic/stall.hpp"

#include <gtest/gtest.h>

namespace {

using logic::Stall;
using Look = Stall::Look;

constexpr std::int64_t patience = 600;

// Looks once in 100 from `from` to `to`. Returns how often it was to be told.
int look(Stall &stall, Look what, std::int64_t from, std::int64_t to)
{
    int told = 0;
    for (std::int64_t now = from; now <= to; now += 100)
        told += stall.note(what, now, patience) ? 1 : 0;
    return told;
}

TEST(Stall, is_told_after_patience_and_then_once_in_as_long)
{
    Stall stall;
    EXPECT_EQ(look(stall, Look::none_done, 1000, 1500), 0);
    EXPECT_TRUE(stall.note(Look::none_done, 1600, patience));
    EXPECT_EQ(stall.since(), 1000);
    EXPECT_EQ(look(stall, Look::none_done, 1700, 2100), 0);
    EXPECT_TRUE(stall.note(Look::none_done, 2200, patience));
    EXPECT_EQ(stall.since(), 1000);
}

TEST(Stall, ends_when_something_is_done_or_nothing_is_due)
{
    for (const Look end : {Look::some_done, Look::nothing_due}) {
        Stall stall;
        EXPECT_EQ(look(stall, Look::none_done, 1000, 1500), 0);
        EXPECT_FALSE(stall.note(end, 1600, patience));
        EXPECT_EQ(look(stall, Look::none_done, 1700, 2200), 0);
        EXPECT_TRUE(stall.note(Look::none_done, 2300, patience));
        EXPECT_EQ(stall.since(), 1700);
    }
}

TEST(Stall, says_nothing_of_a_time_in_which_nobody_looked)
{
    Stall stall;
    EXPECT_FALSE(stall.note(Look::none_done, 1000, patience));
    EXPECT_FALSE(stall.note(Look::none_done, 5000, patience));
    EXPECT_EQ(look(stall, Look::none_done, 5100, 5500), 0);
    EXPECT_TRUE(stall.note(Look::none_done, 5600, patience));
}

} // namespace
