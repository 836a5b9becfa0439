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
#include <utility>

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

// The hints of the `lists` of one lane, by their number. So many lowerings are kept apart (forget_one() says what becomes
// of the others), of all lists together: most lanes have jobs of one rank only.
template <std::size_t lists, int kept>
class HintKeeping {
public:
    // Begins anew and knows nothing. `count` is the number of this event among the lowerings: what was lowered before
    // is forgotten, so a reader that noted an earlier one raises nothing.
    constexpr void begin(LoweringCount count)
    {
        places_.fill(before_all);
        begun_.fill(count);
        count_ = 0;
    }

    constexpr const Place &place(std::size_t list) const { return places_[list]; }
    constexpr const std::array<Place, lists> &places() const { return places_; }

    // A row at `to` became visible. `count` is greater than that of any event of these hints before.
    constexpr void lower(std::size_t list, const Place &to, LoweringCount count)
    {
        places_[list] = std::min(places_[list], to);
        // Only the lowest since a count is ever asked for: of earlier ones that are not lower nothing more is to be
        // said. So those of a list ascend by count and by place.
        const auto end = std::remove_if(lowerings_.begin(), lowerings_.begin() + count_, [&](const Lowering &other) {
            return other.list == list && other.to >= to;
        });
        count_ = static_cast<int>(end - lowerings_.begin());
        if (count_ == kept)
            forget_one(count);
        at(count_++) = {count, to, list};
    }

    // A reader that had noted the count `since` before its snapshot, and read place() afterwards, saw no row from there
    // on and before `to`. False: the hint stays where it was.
    constexpr bool raise(std::size_t list, Place to, LoweringCount since)
    {
        if (since < begun_[list] || to <= places_[list])
            return false;
        for (int i = 0; i < count_; ++i)
            if (at(i).list == list && at(i).count > since) {
                to = std::min(to, at(i).to);
                break;
            }
        const bool rises = to > places_[list];
        places_[list] = std::max(places_[list], to);
        return rises;
    }

private:
    struct Lowering {
        LoweringCount count;
        Place to;
        std::size_t list; // no bytes between, so that the model can compare states
    };

    constexpr Lowering &at(int i) { return lowerings_[static_cast<std::size_t>(i)]; }
    constexpr void drop(int i)
    {
        std::move(lowerings_.begin() + i + 1, lowerings_.begin() + count_, lowerings_.begin() + i);
        --count_;
    }

    // Makes one of two neighbours of a list, which counts as late as the later and goes as low as the lower: a reader
    // that came between them raises less far than it might, none too far. Of all pairs the one that is the closest for
    // its age, so that what is kept lies the denser the newer it is: whoever reads for twice as long raises about half
    // as well. Where each list has one lowering only the oldest goes, and readers that are older than it raise nothing.
    constexpr void forget_one(LoweringCount now)
    {
        int earlier = -1, later = -1;
        double best = std::numeric_limits<double>::infinity();
        std::array<int, lists> last; // lowering of each list that the loop has come to
        last.fill(-1);
        std::array<LoweringCount, lists> before = begun_; // the count before that
        for (int i = 0; i < count_; ++i) {
            const std::size_t list = at(i).list;
            const int neighbour = std::exchange(last[list], i);
            if (neighbour < 0)
                continue;
            const auto span = static_cast<double>(at(i).count - std::exchange(before[list], at(neighbour).count));
            const auto age = static_cast<double>(now - at(i).count);
            if (span / age < best) {
                best = span / age;
                earlier = neighbour;
                later = i;
            }
        }
        if (earlier < 0) {
            begun_[at(0).list] = at(0).count;
            earlier = 0;
        } else
            at(later).to = at(earlier).to;
        drop(earlier);
    }

    std::array<Place, lists> places_ = filled_with(before_all);
    std::array<LoweringCount, lists> begun_ = {};
    std::array<Lowering, kept> lowerings_ = {};
    int count_ = 0;

    static constexpr std::array<Place, lists> filled_with(const Place &place)
    {
        std::array<Place, lists> places = {};
        places.fill(place);
        return places;
    }
};

// Of the ranks of a lane, the best first.
using LaneHints = HintKeeping<rank_count, 12>;

} // namespace logic
