// A hint, held against one that remembers every lowering.
#include "logic/hint.hpp"

#include <array>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace logic;

using Hint = HintKeeping<1, 8>;

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
    hint.raise(0, at(50), 1);
    EXPECT_EQ(hint.place(0), at(50));
    hint.lower(0, at(80), 2); // invisible for a reader of count 1, above the hint
    hint.raise(0, after_all, 1);
    EXPECT_EQ(hint.place(0), at(80));
    hint.raise(0, after_all, 2);
    EXPECT_EQ(hint.place(0), after_all);
    hint.lower(0, at(10), 3);
    EXPECT_EQ(hint.place(0), at(10));
    hint.raise(0, at(5), 3); // nobody lowers by raising
    EXPECT_EQ(hint.place(0), at(10));
}

TEST(Hint, AReaderOlderThanItsBeginningRaisesNothing)
{
    Hint hint;
    hint.begin(9);
    hint.raise(0, at(50), 8);
    EXPECT_EQ(hint.place(0), before_all);
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
                hint.lower(0, place, ++count);
                plain.lower(place, count);
            } else {
                const LoweringCount since = count - std::min<LoweringCount>(below(60), count);
                hint.raise(0, place, since);
                plain.raise(place, since);
            }
            ASSERT_LE(hint.place(0), plain.place) << "seed " << seed << " step " << step;
        }
        const Place found = at(200);
        hint.raise(0, found, count - 1);
        EXPECT_GE(hint.place(0), plain.highest(found, count - 1)) << "seed " << seed;
    }
}

// Lists that share their room are each as right as one alone, and none is raised by what is told of another.
TEST(Hint, ListsShareWhatIsKept)
{
    constexpr std::size_t lists = 5;
    for (unsigned seed = 0; seed < 200; ++seed) {
        std::mt19937 random(seed);
        auto below = [&](unsigned limit) { return random() % limit; };
        HintKeeping<lists, 4> hints;
        std::array<Plain, lists> plain;
        LoweringCount count = 1;
        hints.begin(count);
        for (Plain &list : plain)
            list.begin(count);
        for (int step = 0; step < 500; ++step) {
            const std::size_t list = below(lists);
            const Place place = at(static_cast<int>(below(100)));
            if (below(2) == 0) {
                hints.lower(list, place, ++count);
                plain[list].lower(place, count);
            } else {
                const Place before = hints.place(list);
                const LoweringCount since = count - std::min<LoweringCount>(below(30), count);
                const bool rose = hints.raise(list, place, since);
                EXPECT_EQ(rose, hints.place(list) > before);
                plain[list].raise(place, since);
            }
            for (std::size_t i = 0; i < lists; ++i)
                ASSERT_LE(hints.place(i), plain[i].place) << "seed " << seed << " step " << step;
        }
        for (std::size_t i = 0; i < lists; ++i) {
            hints.raise(i, at(200), count);
            EXPECT_EQ(hints.place(i), at(200)) << "a reader that nobody came after";
        }
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
                hint.lower(0, at(++time), ++count);
        };
        come(10 * during);
        for (int reader = 0; reader < 5; ++reader) {
            const LoweringCount since = count;
            const int seen = time;
            come(during);
            hint.raise(0, at(seen + 1), since);
        }
        EXPECT_GT(hint.place(0), at(time - 4 * during - 4)) << during;
    }
}
