// The time in an id, and the last id of a time.
#include "logic/id_time.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace {

using logic::Id;

// RFC 9562, A.6: of 2022-02-22 14:22:22 -05:00.
constexpr Id of_the_rfc = {0x01, 0x7f, 0x22, 0xe2, 0x79, 0xb0, 0x7c, 0xc3,
                           0x98, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
constexpr logic::Instant time_of_the_rfc = (1'645'557'742'000 - 946'684'800'000) * 1000;

TEST(IdTime, IsReadFromVersion7Alone)
{
    EXPECT_EQ(logic::time_of_id(of_the_rfc), time_of_the_rfc);
    Id random = of_the_rfc;
    random[6] = 0x4c;
    EXPECT_EQ(logic::time_of_id(random), std::nullopt);
}

TEST(IdTime, LastIdOfATimeComesAfterAllOfItAndBeforeTheNextMillisecond)
{
    EXPECT_GE(logic::last_id_of(time_of_the_rfc), of_the_rfc);
    EXPECT_GE(logic::last_id_of(time_of_the_rfc + 999), of_the_rfc);
    EXPECT_LT(logic::last_id_of(time_of_the_rfc - 1), of_the_rfc);
    Id next = {0x01, 0x7f, 0x22, 0xe2, 0x79, 0xb1};
    EXPECT_LT(logic::last_id_of(time_of_the_rfc + 999), next);
    EXPECT_GT(logic::last_id_of(time_of_the_rfc + 1000), next);
}

TEST(IdTime, TimesThatNoIdCanHaveGetTheNearest)
{
    Id first = {};
    first.fill(0xff);
    std::fill_n(first.begin(), 6, std::uint8_t{0});
    EXPECT_EQ(logic::last_id_of(std::numeric_limits<logic::Instant>::min()), first);
    EXPECT_EQ(logic::last_id_of((logic::unix_epoch_ms - 1) * 1000), first);
    Id last = {};
    last.fill(0xff);
    EXPECT_EQ(logic::last_id_of(std::numeric_limits<logic::Instant>::max()), last);
}

} // namespace
