#include "upkeep/ended_lanes.hpp"

#include "settings.hpp"
#include "shared/own_rows.hpp"
#include "store/lanes.hpp"

namespace upkeep {

namespace {

static_assert(logic::completed_rank == 0 && logic::cancelled_rank == 2);
constexpr logic::Ranks ranks = {logic::completed_rank - logic::best_rank, logic::cancelled_rank - logic::best_rank};

// As of that version of types and lanes, and that setting.
struct {
    MemoryContext memory;
    bool is_valid;
    std::uint64_t version;
    int archive_after;
    EndedLane *lanes;
    std::size_t count;
} known;

bool is_known()
{
    return known.is_valid && known.version == store::lanes::known_version() &&
           known.archive_after == settings::archive_after;
}

void find_lanes()
{
    known.is_valid = false;
    if (known.memory == nullptr)
        known.memory = AllocSetContextCreate(TopMemoryContext, "jobs_ext ended lanes", ALLOCSET_SMALL_SIZES);
    MemoryContextReset(known.memory);
    known.version = store::lanes::known_version();
    known.archive_after = settings::archive_after;
    known.count = static_cast<std::size_t>(store::lanes::count_lanes());
    known.lanes = static_cast<EndedLane *>(
        MemoryContextAllocHuge(known.memory, sizeof(EndedLane) * std::max<std::size_t>(known.count, 1)));
    std::int32_t lane = 0;
    for (std::size_t i = 0; i < known.count; ++i) {
        lane = store::lanes::after(lane);
        known.lanes[i] = {{lane}, {}};
        for (std::int16_t rank = 0; rank < logic::ended_ranks; ++rank)
            known.lanes[i].keeps[static_cast<std::size_t>(rank)] = keep_of(lane, rank);
    }
    known.is_valid = known.version == store::lanes::known_version();
}

} // namespace

std::span<EndedLane> ended_lanes()
{
    // Ten times at most, because debug_discard_caches makes every look a change.
    for (int tries = 0; tries < 10 && !is_known(); ++tries)
        find_lanes();
    return {known.lanes, known.count};
}

// What this transaction ended itself the hints do not say.
EndedAt::EndedAt(const store::KeyTable &ended, EndedLane &lane, store::Hints hints, bool &is_full)
    : ended_(ended), lane_(lane), is_known_(hints && shared::own_rows::count_lists() == 0)
{
    times_.fill(DT_NOBEGIN);
    if (!is_known_)
        return;
    // At a time at which nothing is due yet a head says when the first job of any rank is.
    const auto head = shared::hints::glance(RelationGetRelid(ended.table()), lane.lane, DT_NOBEGIN, ranks);
    is_known_ = head.has_value();
    if (!is_known_ && !is_full)
        is_full = !shared::hints::make_room(RelationGetRelid(ended.table()), lane.lane.lane);
    if (head && head->has_none())
        times_.fill(head->until);
}

void EndedAt::look_closely()
{
    shared::hints::Places places;
    if (is_known_ && shared::hints::renew(RelationGetRelid(ended_.table()), lane_.lane, DT_NOBEGIN, ranks, places))
        for (std::size_t rank = 0; rank < times_.size(); ++rank)
            times_[rank] = store::place_at(places, static_cast<std::int16_t>(rank)).due_at;
}

} // namespace upkeep
