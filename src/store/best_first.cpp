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
    return logic::pack(static_cast<std::size_t>(std::clamp(rank, logic::best_rank, logic::worst_rank) - logic::best_rank),
                       place);
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

void BestFirst::add_lane(std::int32_t number)
{
    make_room_for_one(lanes_, count_, room_);
    lanes_[count_++] = {number, -1, logic::first_of_all};
}

void BestFirst::add_lanes(std::span<shared::hints::LaneSpot> lanes)
{
    const auto own = static_cast<std::size_t>(shared::own_rows::count_lists());
    room_ = std::max<std::size_t>(lanes.size() + own, 1);
    lanes_ = static_cast<DueLane *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(DueLane) * room_));
    count_ = shared::hints::find_due(RelationGetRelid(queue_.table()), lanes, now_, lanes_).count;
    if (own > 0)
        add_own(lanes);
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
    scans_[scan_count_] =
        new (palloc(sizeof(LaneScan))) LaneScan(queue_, GetActiveSnapshot(), lane.lane, now_, hints_);
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
