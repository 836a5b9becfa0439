// A hint, held against one that remembers every lowering.
#include "logic/hint.hpp"

#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace logic;

Place at(int time) { return first_place(time); }

class Plain {
public:
    void begin(LoweringCount count)
    {
        place = before_all;
        begun = count;
        lowerings.clear();
    }
    void lower(Place to, LoweringCount count)
    {
        place = std::min(place, to);
        lowerings.emplace_back(count, to);
    }
    Place highest(Place to, LoweringCount since) const
    {
        if (since < begun)
            return before_all;
        for (const auto &[count, lowered] : lowerings)
            if (count > since)
                to = std::min(to, lowered);
        return to;
    }
    void raise(Place to, LoweringCount since) { place = std::max(place, highest(to, since)); }

    Place place = before_all;
    LoweringCount begun = 0;
    std::vector<std::pair<LoweringCount, Place>> lowerings;
};

} // namespace

TEST(Hint, NextPlaceFollowsAtOnce)
{
    Place place = {7, id_of_all(0)};
    place.id.back() = 0xff;
    place = next_place(place);
    EXPECT_EQ(place.id[14], 1);
    EXPECT_EQ(place.id[15], 0);
    EXPECT_EQ(next_place({7, id_of_all(0xff)}), at(8));
    EXPECT_EQ(next_place(after_all), after_all);
    EXPECT_LT(before_all, at(std::numeric_limits<int>::min()));
}

TEST(Hint, StopsAtWhatWasLoweredSinceTheSnapshot)
{
    Hint hint;
    hint.begin(1);
    hint.raise(at(50), 1);
    EXPECT_EQ(hint.place(), at(50));
    hint.lower(at(80), 2); // invisible for a reader of count 1, above the hint
    hint.raise(after_all, 1);
    EXPECT_EQ(hint.place(), at(80));
    hint.raise(after_all, 2);
    EXPECT_EQ(hint.place(), after_all);
    hint.lower(at(10), 3);
    EXPECT_EQ(hint.place(), at(10));
    hint.raise(at(5), 3); // nobody lowers by raising
    EXPECT_EQ(hint.place(), at(10));
}

TEST(Hint, AReaderOlderThanItsBeginningRaisesNothing)
{
    Hint hint;
    hint.begin(9);
    hint.raise(at(50), 8);
    EXPECT_EQ(hint.place(), before_all);
}

// Never higher than one that forgets nothing, and as high for a reader whose count is among the last few.
TEST(Hint, IsNeverTooHigh)
{
    for (unsigned seed = 0; seed < 200; ++seed) {
        std::mt19937 random(seed);
        auto below = [&](unsigned limit) { return random() % limit; };
        Hint hint;
        Plain plain;
        LoweringCount count = 1;
        hint.begin(count);
        plain.begin(count);
        for (int step = 0; step < 500; ++step) {
            const Place place = at(static_cast<int>(below(100)));
            if (below(200) == 0) {
                hint.begin(++count);
                plain.begin(count);
            } else if (below(2) == 0) {
                hint.lower(place, ++count);
                plain.lower(place, count);
            } else {
                const LoweringCount since = count - std::min<LoweringCount>(below(60), count);
                hint.raise(place, since);
                plain.raise(place, since);
            }
            ASSERT_LE(hint.place(), plain.place) << "seed " << seed << " step " << step;
        }
        const Place found = at(200);
        hint.raise(found, count - 1);
        EXPECT_GE(hint.place(), plain.highest(found, count - 1)) << "seed " << seed;
    }
}

// Jobs come in the order of their times while somebody reads for long: the hint follows at a distance that is a small
// multiple of what came meanwhile, however long that was.
TEST(Hint, FollowsALongReader)
{
    for (const int during : {1, 5, 30, 200, 3000}) {
        Hint hint;
        LoweringCount count = 1;
        hint.begin(count);
        int time = 0;
        auto come = [&](int jobs) {
            for (int i = 0; i < jobs; ++i)
                hint.lower(at(++time), ++count);
        };
        come(10 * during);
        for (int reader = 0; reader < 5; ++reader) {
            const LoweringCount since = count;
            const int seen = time;
            come(during);
            hint.raise(at(seen + 1), since);
        }
        EXPECT_GT(hint.place(), at(time - 4 * during - 4)) << during;
    }
}
