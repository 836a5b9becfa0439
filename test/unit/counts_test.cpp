#include "logic/counts.hpp"

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

using logic::Count;

std::vector<std::string> columns_of_the_list()
{
    std::vector<std::string> columns;
    logic::each_shown_count(logic::Sums<int>{}, [&](const char *column, int) { columns.push_back(column); });
    return columns;
}

// The bigint parameters of jobs_ext.maintenance_status(), in their order.
std::vector<std::string> columns_of_the_view()
{
    std::ifstream file(SOURCE_DIR "/sql/parts/45_maintenance.sql");
    std::vector<std::string> columns;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string out, name, type;
        if (words >> out >> name >> type && out == "out" && type.rfind("bigint", 0) == 0)
            columns.push_back(name);
    }
    return columns;
}

TEST(Counts, AreTheColumnsOfTheView)
{
    std::vector<std::string> expected = columns_of_the_view();
    ASSERT_GE(expected.size(), 2U);
    expected.resize(expected.size() - 2); // the waits, which sessions count
    EXPECT_EQ(columns_of_the_list(), expected);
    EXPECT_EQ(logic::shown_counts(), expected.size());
}

TEST(Counts, AreShownAsOneSumWhereTheyShareAColumn)
{
    logic::Sums<int> sums;
    sums[Count::leases] = 2;
    sums[Count::timeouts] = 3;
    sums[Count::retried] = 7;
    int reaped = 0, retried = 0;
    logic::each_shown_count(sums, [&](std::string_view column, int number) {
        reaped = column == "reaped" ? number : reaped;
        retried = column == "retried" ? number : retried;
    });
    EXPECT_EQ(reaped, 5);
    EXPECT_EQ(retried, 7);
}

TEST(Counts, AddUp)
{
    logic::Sums<std::int64_t> sums;
    logic::Sums<int> piece;
    piece[Count::archived] = 4;
    sums.add_all(piece);
    sums.add_all(piece);
    EXPECT_EQ(sums[Count::archived], 8);
    EXPECT_EQ(sums[Count::left], 0);
}

} // namespace
