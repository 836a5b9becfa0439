#include "store/lane_set.hpp"

#include <algorithm>

#include "store/lanes.hpp"

namespace store {

namespace {

using shared::hints::LaneSpot;

struct Known {
    MemoryContext memory; // what follows is in it
    bool is_valid;
    std::uint64_t version;
    ArrayType *names;
    text *category;
    LaneSpot *lanes;
    int count, room;
    bool is_vague;
};

// For a connection of a pool, through which workers of several kinds claim by turns.
std::array<Known, 4> all_known;
std::size_t next_to_go = 0;

bool same_value(const void *known, pg::Nullable value)
{
    if (known == nullptr || !value)
        return known == nullptr && !value;
    const void *other = DatumGetPointer(value.value);
    return VARSIZE(known) == VARSIZE(other) && std::memcmp(known, other, VARSIZE(other)) == 0;
}

// All of it in the ordinary form, with a header of four bytes, so that it compares by its bytes.
pg::Nullable plain(pg::Nullable value)
{
    return value ? pg::Nullable(PointerGetDatum(PG_DETOAST_DATUM(value.value))) : value;
}

template <class Value>
Value *copy_of(pg::Nullable value)
{
    if (!value)
        return nullptr;
    const auto original = static_cast<const Value *>(static_cast<const void *>(DatumGetPointer(value.value)));
    auto copy = static_cast<Value *>(palloc(VARSIZE(original)));
    std::memcpy(copy, original, VARSIZE(original));
    return copy;
}

void add(Known &known, std::int32_t lane)
{
    if (known.count == known.room) {
        known.room = std::max(known.room * 2, 8);
        const std::size_t size = sizeof(LaneSpot) * static_cast<std::size_t>(known.room);
        known.lanes = static_cast<LaneSpot *>(known.lanes == nullptr ? MemoryContextAlloc(known.memory, size)
                                                                     : repalloc(known.lanes, size));
    }
    known.lanes[known.count++] = {lane};
}

bool is_wanted(const Known &known, const Type &type)
{
    if (type.paused)
        return false;
    return known.category == nullptr ||
           (type.has_category && type.category == pg::text_view(PointerGetDatum(known.category)));
}

void add_type(Known &known, std::string_view name)
{
    if (!is_wanted(known, types::settings_of(name)))
        return;
    if (const auto lane = lanes::find_lane_of(name))
        add(known, *lane);
    else
        known.is_vague = true;
}

void find_lanes(Known &known)
{
    known.count = 0;
    known.is_vague = false;
    if (known.names != nullptr) {
        Datum *names;
        int count;
        deconstruct_array(known.names, TEXTOID, -1, false, TYPALIGN_INT, &names, nullptr, &count);
        for (int i = 0; i < count; ++i)
            add_type(known, pg::text_view(names[i]));
    } else if (known.category != nullptr) {
        types::each_type([&](const Type &type) { add_type(known, type.name); });
    } else {
        std::int32_t lane = 0;
        for (int left = lanes::count_lanes(); left > 0; --left) {
            lane = lanes::after(lane);
            if (const auto type = lanes::type_of(lane); type && is_wanted(known, types::settings_of(*type)))
                add(known, lane);
        }
    }
    auto by_number = [](const LaneSpot &a, const LaneSpot &b) { return a.lane < b.lane; };
    std::sort(known.lanes, known.lanes + known.count, by_number);
    known.count = static_cast<int>(std::unique(known.lanes, known.lanes + known.count,
                                               [](const LaneSpot &a, const LaneSpot &b) { return a.lane == b.lane; }) -
                                   known.lanes);
}

Known *find_known(pg::Nullable names, pg::Nullable category, bool any_category)
{
    const std::uint64_t version = lanes::known_version();
    for (Known &known : all_known)
        if (known.is_valid && known.version == version && same_value(known.names, names) &&
            (any_category || same_value(known.category, category)))
            return &known;
    return nullptr;
}

Known &make_known(pg::Nullable names, pg::Nullable category)
{
    Known &known = all_known[next_to_go];
    next_to_go = (next_to_go + 1) % all_known.size();
    if (known.memory == nullptr)
        known.memory = AllocSetContextCreate(TopMemoryContext, "jobs_ext lanes", ALLOCSET_SMALL_SIZES);
    MemoryContextReset(known.memory);
    known = {.memory = known.memory}; // not valid where an error comes between
    {
        MemoryContext before = MemoryContextSwitchTo(known.memory);
        known.names = copy_of<ArrayType>(names);
        known.category = copy_of<text>(category);
        MemoryContextSwitchTo(before);
    }
    // Again where a type changed meanwhile. Ten times at most, because debug_discard_caches makes every look a change.
    for (int tries = 0; tries < 10 && !known.is_valid; ++tries) {
        known.version = lanes::known_version();
        find_lanes(known);
        known.is_valid = lanes::known_version() == known.version;
    }
    return known;
}

} // namespace

bool LaneSet::has(std::int32_t lane) const
{
    return std::binary_search(lanes.begin(), lanes.end(), LaneSpot{lane},
                              [](const LaneSpot &a, const LaneSpot &b) { return a.lane < b.lane; });
}

LaneSet lanes_for(pg::Nullable names, pg::Nullable category)
{
    names = plain(names);
    category = plain(category);
    const Known *known = find_known(names, category, false);
    if (known == nullptr)
        known = &make_known(names, category);
    return {{known->lanes, static_cast<std::size_t>(known->count)}, known->is_vague};
}

bool is_known(Datum names) { return find_known(plain(pg::Nullable(names)), {}, true) != nullptr; }

} // namespace store
