#include "logic/parents.hpp"

#include <random>
#include <set>

#include <gtest/gtest.h>

namespace {

using logic::Parents;
using Id = std::array<unsigned char, 16>;

TEST(Parents, NoneIsMissing)
{
    std::mt19937 random(1);
    Parents parents;
    EXPECT_TRUE(parents.is_empty());
    for (int i = 0; i < 100; ++i) {
        Id id;
        for (unsigned char &byte : id)
            byte = static_cast<unsigned char>(random());
        parents.add(id.data());
        EXPECT_TRUE(parents.has(id.data()));
    }
    Parents copy;
    for (std::size_t i = 0; i < Parents::words; ++i)
        copy.add_word(i, parents.word(i));
    std::mt19937 again(1);
    for (int i = 0; i < 100; ++i) {
        Id id;
        for (unsigned char &byte : id)
            byte = static_cast<unsigned char>(again());
        EXPECT_TRUE(copy.has(id.data()));
    }
    copy.clear();
    EXPECT_TRUE(copy.is_empty());
    copy.add_all();
    EXPECT_TRUE(copy.has(Id{}.data()));
}

// Ids that differ in a byte only, at either end, do not meet in one bit.
TEST(Parents, IdsThatAreCloseDiffer)
{
    for (const std::size_t place : {0, 5, 15}) {
        std::set<std::size_t> bits;
        for (int i = 0; i < 256; ++i) {
            Id id = {};
            id[place] = static_cast<unsigned char>(i);
            bits.insert(Parents::bit_of(id.data()));
        }
        EXPECT_GT(bits.size(), 150u) << "byte " << place;
    }
}

} // namespace
