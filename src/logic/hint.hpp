// Where to begin to read a sorted list whose beginning is full of rows that are gone: no row that can be seen stands
// before place(). A list is one lane and rank of a derived table; its order is due time, then id. The hint is shared by
// all sessions. Pure C++, unit-tested (test/unit/hint_test.cpp), and all interleavings of three actors are walked by
// test/unit/hint_model_test.cpp; shared/hints.hpp has it in shared memory, and its lock.
//
// Whoever reads raises the hint, up to the first row that it saw; whoever makes a row visible lowers it, down to that
// row. The race is between the two: a reader does not see the row of a transaction that commits after the reader's
// snapshot, and would raise the hint past it. So each lowering is counted, by one counter for all hints, and
//   - a session that makes rows visible lowers the hint after they are visible: at commit for a row that it brought,
//     at rollback for one that it had removed;
//   - a reader notes the count before it takes its snapshot, and raises the hint to the lowest of what it found and of
//     what was lowered since that count.
// A row that became visible after the snapshot was lowered for after the count was noted, so the raise stops at it; or
// it will be, since its session is still to lower, and then the hint comes down after the raise. In between the hint
// stands too high, by the row of a transaction whose COMMIT has not returned yet: a delay, of which nobody can tell.
//
// A reader passes over a row that it sees where a transaction in progress, its own or another, is removing it: if that
// is rolled back, it lowers. A row that is merely locked stops it.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <limits>

#include "logic/queue_key.hpp"

namespace logic {

// Where a row stands in its list.
struct Place {
    Instant due_at;
    std::array<std::uint8_t, 16> id;

    friend constexpr auto operator<=>(const Place &, const Place &) = default;
};

constexpr std::array<std::uint8_t, 16> id_of_all(std::uint8_t byte)
{
    std::array<std::uint8_t, 16> id = {};
    id.fill(byte);
    return id;
}
inline constexpr Place before_all = {std::numeric_limits<Instant>::min(), id_of_all(0)};
inline constexpr Place after_all = {std::numeric_limits<Instant>::max(), id_of_all(0xff)};

// The first place of that time, before which stands all that is due earlier.
constexpr Place first_place(Instant due_at) { return {due_at, id_of_all(0)}; }
// The last place of that time.
constexpr Place last_place(Instant due_at) { return {due_at, id_of_all(0xff)}; }

// The next place: nothing stands between.
constexpr Place next_place(Place place)
{
    for (std::size_t i = place.id.size(); i-- > 0;)
        if (++place.id[i] != 0)
            return place;
    return place.due_at == after_all.due_at ? after_all : first_place(place.due_at + 1);
}

// Counts lowerings. Each gets the next number, from 1 on; 0 is before all.
using LoweringCount = std::uint64_t;

// So many lowerings are kept apart (forget_one() says what becomes of the others).
template <int kept>
class HintKeeping {
public:
    // Begins anew and knows nothing. `count` is the number of this event among the lowerings: what was lowered before
    // is forgotten, so a reader that noted an earlier one raises nothing.
    constexpr void begin(LoweringCount count)
    {
        place_ = before_all;
        begun_ = count;
        count_ = 0;
    }

    constexpr const Place &place() const { return place_; }

    // A row at `to` became visible. `count` is greater than that of any event of this hint before.
    constexpr void lower(const Place &to, LoweringCount count)
    {
        place_ = std::min(place_, to);
        // Only the lowest since a count is ever asked for: of earlier ones that are not lower nothing more is to be
        // said. So the list ascends by count and by place.
        while (count_ > 0 && at(count_ - 1).to >= to)
            --count_;
        if (count_ == kept)
            forget_one(count);
        at(count_++) = {count, to};
    }

    // A reader that had noted the count `since` before its snapshot, and read place() afterwards, saw no row from there
    // on and before `to`.
    constexpr void raise(Place to, LoweringCount since)
    {
        if (since < begun_)
            return;
        for (int i = 0; i < count_; ++i)
            if (at(i).count > since) {
                to = std::min(to, at(i).to);
                break;
            }
        place_ = std::max(place_, to);
    }

private:
    struct Lowering {
        LoweringCount count;
        Place to;
    };

    constexpr Lowering &at(int i) { return lowerings_[static_cast<std::size_t>(i)]; }

    // Makes one of two neighbours, which counts as late as the later and goes as low as the lower: a reader that came
    // between them raises less far than it might, none too far. Of all pairs the one that is the closest for its age,
    // so that what is kept lies the denser the newer it is: whoever reads for twice as long raises about half as well.
    constexpr void forget_one(LoweringCount now)
    {
        int closest = 0;
        double best = std::numeric_limits<double>::infinity();
        for (int i = 0; i + 1 < count_; ++i) {
            const LoweringCount before = i == 0 ? begun_ : at(i - 1).count;
            const auto span = static_cast<double>(at(i + 1).count - before);
            const auto age = static_cast<double>(now - at(i + 1).count);
            if (span / age < best) {
                best = span / age;
                closest = i;
            }
        }
        at(closest + 1).to = at(closest).to;
        std::move(lowerings_.begin() + closest + 1, lowerings_.begin() + count_, lowerings_.begin() + closest);
        --count_;
    }

    Place place_ = before_all;
    LoweringCount begun_ = 0;
    std::array<Lowering, kept> lowerings_ = {};
    int count_ = 0;
};

using Hint = HintKeeping<8>;

} // namespace logic
