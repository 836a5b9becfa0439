#include "store/queue_scan.hpp"

#include <algorithm>

namespace store {

LaneScan::LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, TimestampTz from)
    : LaneScan(queue, snapshot, lane, now, from, Hints{}, logic::best_rank)
{
}

LaneScan::LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, Hints hints,
                   std::int16_t best)
    : LaneScan(queue, snapshot, lane, now, DT_NOBEGIN, hints, best)
{
}

LaneScan::LaneScan(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz now, TimestampTz from,
                   Hints hints, std::int16_t best)
    : queue_(queue), snapshot_(snapshot), lane_(lane), now_(now), from_(from),
      hints_(read_places(queue, lane, hints, places_) ? hints : Hints{}), rank_(best - 1), run_(queue, snapshot, hints_)
{
    if (hints_)
        run_.heed_takers();
    advance();
}

// Starts the run of the next rank that may have a due row. False: there is none.
bool LaneScan::next_rank() { return hints_ ? next_hinted_rank() : next_found_rank(); }

bool LaneScan::next_hinted_rank()
{
    while (++rank_ <= logic::worst_rank) {
        const auto rank = static_cast<std::int16_t>(rank_);
        const logic::Place &place = place_at(places_, rank);
        if (place == logic::before_all)
            learn_places(rank);
        if (place.due_at > now_)
            continue;
        run_.start(lane_, rank, place, now_);
        return true;
    }
    return false;
}

EntryScan &LaneScan::entries()
{
    if (!entries_)
        entries_.emplace(queue_, snapshot_);
    return *entries_;
}

// Of this rank nothing is known. The index says where its first row may stand, and if it has none which is the next one
// that has: all ranks before that are known to be empty then.
void LaneScan::learn_places(std::int16_t rank)
{
    const std::optional<Entry> entry = entries().first_of_lane(lane_, rank);
    const bool is_any = entry && logic::is_rank(entry->rank);
    const std::int16_t next = is_any ? entry->rank : shared::hints::no_rank;
    const logic::Place place = is_any ? entry->place : logic::after_all;
    for (std::int16_t empty = rank; empty < next; ++empty)
        place_at(places_, empty) = logic::after_all;
    if (is_any)
        place_at(places_, next) = place;
    shared::hints::raise_to_first(rank, {RelationGetRelid(queue_.table()), lane_, next}, place, hints_.since);
}

bool LaneScan::next_found_rank()
{
    for (;;) {
        const std::optional<Entry> entry = entries().first_of_lane(lane_, rank_ + 1);
        if (!entry)
            return false;
        rank_ = entry->rank;
        if (entry->place.due_at > now_)
            continue;
        // A rank of which no row is visible: advance() goes on to the next one.
        run_.start(lane_, entry->rank, logic::first_place(from_), now_);
        return true;
    }
}

void LaneScan::skip_rank()
{
    run_.leave();
    advance();
}

void LaneScan::advance()
{
    for (;;) {
        head_ = run_.next();
        if (head_ == nullptr && !next_rank())
            return;
        if (head_ != nullptr && !run_.is_going())
            return;
        met_changes_ = met_changes_ || head_ != nullptr;
    }
}

TimestampTz next_due_in_lane(KeyTable &queue, Snapshot snapshot, std::int32_t lane, TimestampTz after)
{
    TimestampTz first = DT_NOEND;
    // From the next microsecond on, without an end: the head of each rank is its earliest row.
    for (LaneScan later(queue, snapshot, lane, DT_NOEND, after + 1); later.head() != nullptr; later.skip_rank())
        first = std::min(first, later.head()->key.due_at);
    return first;
}

TimestampTz next_due_of(KeyTable &queue, std::span<shared::hints::LaneSpot> lanes, TimestampTz after, Hints hints)
{
    TimestampTz first = DT_NOEND;
    each_due_lane(queue, lanes, after, hints, first, [&](std::int32_t lane) {
        first = std::min(first, next_due_in_lane(queue, GetActiveSnapshot(), lane, after));
    });
    return first;
}

std::optional<std::int32_t> next_lane(KeyTable &queue, std::int32_t lane)
{
    if (lane == PG_INT32_MAX)
        return std::nullopt;
    const std::optional<Entry> entry = EntryScan(queue, GetActiveSnapshot()).first_of_lanes(lane + 1, PG_INT32_MAX);
    return entry ? std::optional(entry->lane) : std::nullopt;
}

} // namespace store
