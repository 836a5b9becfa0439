// What is known at a glance of the first job of a lane, so small that who looks at thousands of lanes walks over some
// kilobytes in shared memory (shared/hints.hpp) and takes no lock. It follows from the hints of the lane, and as they
// do it says too little rather than too much: no row stands before it. Pure C++, unit-tested.
#pragma once

#include <span>

#include "logic/hint.hpp"

namespace logic {

// Rank, due time and the beginning of the id, in that order, as two numbers: a place that is not later than another is
// not greater. Times of more than 9000 years before or after the year 2000 are all the same.
struct PackedPlace {
    std::uint64_t time, id;

    friend constexpr auto operator<=>(const PackedPlace &, const PackedPlace &) = default;
};
inline constexpr int bits_of_due = 59;
constexpr std::uint64_t pack_due(Instant due_at)
{
    constexpr Instant limit = Instant{1} << (bits_of_due - 1);
    return static_cast<std::uint64_t>(std::clamp(due_at, -limit, limit - 1) + limit);
}
constexpr std::uint64_t packed_due(const PackedPlace &place)
{
    return place.time & ((std::uint64_t{1} << bits_of_due) - 1);
}
constexpr std::uint64_t packed_rank(const PackedPlace &place) { return place.time >> bits_of_due; }
// The rank by its number from the best one on, which is 0.
constexpr PackedPlace pack(std::size_t rank, const Place &place)
{
    std::uint64_t id = 0;
    for (std::size_t i = 0; i < sizeof(id); ++i)
        id = id << 8 | place.id[i];
    return {std::uint64_t{rank} << bits_of_due | pack_due(place.due_at), id};
}
inline constexpr PackedPlace first_of_all = {0, 0}, no_place = {~std::uint64_t{0}, ~std::uint64_t{0}};

// Ranks by their numbers from the best one on.
struct Ranks {
    std::size_t first, last;
};
inline constexpr Ranks all_ranks = {0, rank_count - 1};

// Until a time no rank that is better than that of `first` has anything due, and in that rank nothing stands before
// `first`; no_place: until then nothing of the lane is due at all.
struct LaneHead {
    Instant until = before_all.due_at;
    PackedPlace first = no_place;

    // What the hints of a lane say at that time, of those ranks that its table has.
    static constexpr LaneHead of(std::span<const Place> hints, Instant now, Ranks ranks)
    {
        LaneHead head = {after_all.due_at, no_place};
        for (std::size_t rank = ranks.first; rank <= ranks.last; ++rank) {
            const Place &place = hints[rank];
            if (place.due_at <= now) {
                head.first = pack(rank, place);
                break;
            }
            head.until = std::min(head.until, place.due_at);
        }
        return head;
    }

    constexpr bool has_none() const { return first == no_place; }
    // Whether it says where the first job stands that is due at that time. If not, the hints do.
    constexpr bool holds_at(Instant now) const
    {
        return now < until && (has_none() || packed_due(first) <= pack_due(now));
    }

    // A hint came down to that place, or went up to it.
    constexpr void lowered(std::size_t rank, const Place &place)
    {
        if (rank < packed_rank(first))
            until = std::min(until, place.due_at);
        else if (rank == packed_rank(first))
            first = std::min(first, pack(rank, place));
    }
    constexpr void raised(std::size_t rank, const Place &place)
    {
        if (rank == packed_rank(first))
            first = pack(rank, place);
    }
};

} // namespace logic
