#include "store/best_first.hpp"

#include <algorithm>
#include <new>
#include <tuple>

#include "shared/own_rows.hpp"
#include "shared/takers.hpp"

namespace store {

namespace {

// Room for one more element; doubles it.
template <class Element, class Count>
void make_room_for_one(Element *&list, Count count, Count &room)
{
    if (count < room)
        return;
    room = std::max<Count>(room * 2, 8);
    const std::size_t size = sizeof(Element) * static_cast<std::size_t>(room);
    list = static_cast<Element *>(list == nullptr ? palloc(size) : repalloc(list, size));
}

// A rank that is none, which only a superuser writes, counts as the next one that is.
logic::PackedPlace pack(std::int16_t rank, const logic::Place &place)
{
    return logic::pack(
        static_cast<std::size_t>(std::clamp(rank, logic::best_rank, logic::worst_rank) - logic::best_rank), place);
}

} // namespace

// An error skips it: the abort releases buffer pins and index locks by the resource owner, and the memory with them.
BestFirst::~BestFirst()
{
    for (std::int32_t i = 0; i < scan_count_; ++i)
        scans_[i]->~LaneScan();
}

// Packed places tell two jobs apart but for the end of their ids. Then a lane that is not opened yet goes first, since
// its row may be either.
bool BestFirst::is_worse(const DueLane &a, const DueLane &b) const
{
    if (a.first != b.first || a.scan < 0 || b.scan < 0)
        return std::tie(a.first, a.scan) > std::tie(b.first, b.scan);
    const auto place = [this](const DueLane &lane) {
        const Candidate *head = scan_of(lane).head();
        return std::tuple(head->key.rank, place_of(head->key.due_at, &head->job));
    };
    return place(a) > place(b);
}

void BestFirst::add_lanes(std::span<shared::hints::LaneSpot> lanes)
{
    const auto own = hints_ ? static_cast<std::size_t>(shared::own_rows::count_lists()) : 0;
    const std::size_t room = std::max<std::size_t>(lanes.size() + own, 1);
    lanes_ = static_cast<DueLane *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(DueLane) * room));
    if (hints_)
        count_ = shared::hints::find_due(RelationGetRelid(queue_.table()), lanes, now_, lanes_).count;
    else
        for (const shared::hints::LaneSpot &lane : lanes)
            lanes_[count_++] = {lane.lane, -1, logic::first_of_all};
    if (count_ > 1) // a single one will be opened anyway
        find_first_entries();
    if (own > 0)
        add_own(lanes);
}

namespace {

using shared::hints::DueLane;

bool is_unknown(const DueLane &lane) { return lane.first == logic::first_of_all; }

// The last one of the unknown lanes from `lane` on that have one number after the other.
const DueLane *last_of_stretch(const DueLane *lane, const DueLane *end)
{
    while (lane + 1 != end && is_unknown(lane[1]) && lane[1].lane == lane->lane + 1)
        ++lane;
    return lane;
}

} // namespace

// One descent for each unknown lane whose first entry is due, and one for a whole stretch of others. It reads nothing
// of lanes between, because to walk over what is dead there may be long.
void BestFirst::find_first_entries()
{
    std::optional<EntryScan> entries;
    std::optional<Entry> entry;     // the first one of those that were asked for last,
    const DueLane *asked = nullptr; // up to this lane
    const DueLane *end = lanes_ + count_;
    count_ = 0;
    for (DueLane *lane = lanes_; lane != end; ++lane) {
        if (is_unknown(*lane)) {
            const bool is_new = asked == nullptr || asked < lane;
            if (is_new)
                asked = last_of_stretch(lane, end);
            if (is_new || (entry && entry->lane < lane->lane)) {
                if (!entries)
                    entries.emplace(queue_, GetActiveSnapshot());
                entry = entries->first_of_lanes(lane->lane, asked->lane);
            }
            if (!begin_at(*lane, entry && entry->lane == lane->lane ? entry : std::nullopt, *entries))
                continue;
        }
        lanes_[count_++] = *lane;
    }
}

// `entry` is the first one of an unknown lane, if it has any. False: nothing of the lane is due. A further descent for
// each rank that has an entry and nothing due.
bool BestFirst::begin_at(DueLane &lane, std::optional<Entry> entry, EntryScan &entries)
{
    const Oid queue = RelationGetRelid(queue_.table());
    for (std::int16_t rank = logic::best_rank;; entry = entries.first_of_lane(lane.lane, rank)) {
        if (entry && !logic::is_rank(entry->rank))
            return true; // whatever a superuser wrote beside the others
        if (hints_)
            shared::hints::raise_to_first(rank, {queue, lane.lane, entry ? entry->rank : shared::hints::no_rank},
                                          entry ? entry->place : logic::after_all, hints_.since);
        if (!entry)
            return false;
        if (entry->place.due_at <= now_) {
            lane.first = pack(entry->rank, entry->place);
            return true;
        }
        rank = static_cast<std::int16_t>(entry->rank + 1);
    }
}

// What this transaction brought itself, which the hints do not say.
void BestFirst::add_own(std::span<shared::hints::LaneSpot> lanes)
{
    const auto by_number = [](const auto &a, const auto &b) { return a.lane < b.lane; };
    const std::size_t found = count_;
    for (int i = 0; i < shared::own_rows::count_lists(); ++i) {
        const shared::hints::List list = shared::own_rows::list(i);
        const logic::Place first = shared::own_rows::first(i);
        if (list.table != RelationGetRelid(queue_.table()) || first.due_at > now_ ||
            !std::binary_search(lanes.begin(), lanes.end(), shared::hints::LaneSpot{list.lane}, by_number))
            continue;
        const DueLane own = {list.lane, -1, pack(list.rank, first)};
        DueLane *lane = std::lower_bound(lanes_, lanes_ + found, own, by_number);
        if (lane != lanes_ + found && lane->lane == own.lane)
            lane->first = std::min(lane->first, own.first);
        else
            lanes_[count_++] = own;
    }
    // Of the lanes that have no other job, one entry each: that of their best rank.
    std::sort(lanes_ + found, lanes_ + count_,
              [](const DueLane &a, const DueLane &b) { return std::tie(a.lane, a.first) < std::tie(b.lane, b.first); });
    count_ = static_cast<std::size_t>(std::unique(lanes_ + found, lanes_ + count_,
                                                  [](const DueLane &a, const DueLane &b) { return a.lane == b.lane; }) -
                                      lanes_);
}

void BestFirst::open(DueLane &lane)
{
    make_room_for_one(scans_, scan_count_, scan_room_);
    const auto best = static_cast<std::int16_t>(logic::best_rank + static_cast<int>(logic::packed_rank(lane.first)));
    scans_[scan_count_] =
        new (palloc(sizeof(LaneScan))) LaneScan(queue_, GetActiveSnapshot(), lane.lane, now_, hints_, best);
    lane.scan = scan_count_++;
}

// Puts the first lane where its head belongs, or takes it away if it has none.
void BestFirst::settle_first()
{
    if (lanes_[0].scan < 0)
        open(lanes_[0]);
    has_moved_ = false;
    const Candidate *head = scan_of(lanes_[0]).head();
    std::pop_heap(lanes_, lanes_ + count_, worse());
    if (head == nullptr) {
        --count_;
        return;
    }
    lanes_[count_ - 1].first = pack(head->key.rank, place_of(head->key.due_at, &head->job));
    std::push_heap(lanes_, lanes_ + count_, worse());
}

std::optional<Candidate> BestFirst::best()
{
    if (!std::exchange(is_heap_, true)) // none is open yet
        std::make_heap(lanes_, lanes_ + count_, [](const DueLane &a, const DueLane &b) { return a.first > b.first; });
    while (count_ > 0) {
        if (lanes_[0].scan >= 0 && !has_moved_)
            return *scan_of(lanes_[0]).head();
        settle_first();
    }
    return std::nullopt;
}

namespace {

shared::hints::List list_of(Relation queue, const Candidate &candidate)
{
    return {RelationGetRelid(queue), candidate.key.lane, candidate.key.rank};
}

} // namespace

bool BestFirst::begin_taking()
{
    const Candidate &head = *scan_of(lanes_[0]).head();
    if (!hints_ || !logic::is_rank(head.key.rank))
        return true;
    shared::own_rows::removed(list_of(queue_.table(), head), place_of(head.key.due_at, &head.job));
    if (!shared::takers::begin(&head.job))
        return false;
    scan_of(lanes_[0]).pass_head();
    return true;
}

void BestFirst::end_taking(bool moved)
{
    const Candidate &head = *scan_of(lanes_[0]).head();
    if (!hints_ || !logic::is_rank(head.key.rank))
        return;
    shared::takers::end();
    if (moved)
        return;
    shared::hints::lower(list_of(queue_.table(), head), place_of(head.key.due_at, &head.job));
    scan_of(lanes_[0]).head_stays();
}

bool BestFirst::met_changes() const
{
    return std::any_of(scans_, scans_ + scan_count_, [](const LaneScan *scan) { return scan->met_changes(); });
}

} // namespace store
