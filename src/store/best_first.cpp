#include "store/best_first.hpp"

#include <algorithm>
#include <new>
#include <tuple>

namespace store {

// An error skips it: the abort releases buffer pins and index locks by the resource owner, and the memory with them.
BestFirst::~BestFirst()
{
    for (int i = 0; i < count_; ++i)
        if (lanes_[i].scan != nullptr)
            lanes_[i].scan->~LaneScan();
}

bool BestFirst::is_better(const Lane &a, const Lane &b)
{
    return std::tie(a.bound.rank, a.bound.place) < std::tie(b.bound.rank, b.bound.place);
}

void BestFirst::add_lane(std::int32_t number)
{
    Lane *end = lanes_ + count_;
    if (std::find_if(lanes_, end, [&](const Lane &lane) { return lane.number == number; }) != end)
        return;
    const std::optional<LaneBound> bound = first_due(queue_, number, now_, hints_);
    if (!bound)
        return;
    if (count_ == room_) {
        room_ = std::max(room_ * 2, 8);
        const std::size_t size = sizeof(Lane) * static_cast<std::size_t>(room_);
        lanes_ = static_cast<Lane *>(lanes_ == nullptr ? palloc(size) : repalloc(lanes_, size));
    }
    lanes_[count_++] = {number, *bound};
}

void BestFirst::look_at_head(Lane &lane)
{
    const Candidate *head = lane.scan->head();
    lane.over = head == nullptr;
    if (head != nullptr)
        lane.bound = {head->key.rank, place_of(head->key.due_at, &head->job)};
}

void BestFirst::open(Lane &lane)
{
    lane.scan = new (palloc(sizeof(LaneScan))) LaneScan(queue_, GetActiveSnapshot(), lane.number, now_, hints_);
}

std::optional<Candidate> BestFirst::best()
{
    if (best_ != nullptr)
        look_at_head(*best_);
    for (;;) {
        best_ = nullptr;
        for (int i = 0; i < count_; ++i)
            if (!lanes_[i].over && (best_ == nullptr || is_better(lanes_[i], *best_)))
                best_ = &lanes_[i];
        if (best_ == nullptr)
            return std::nullopt;
        if (best_->scan != nullptr)
            return *best_->scan->head();
        open(*best_);
        look_at_head(*best_);
    }
}

bool BestFirst::met_changes() const
{
    return std::any_of(lanes_, lanes_ + count_,
                       [](const Lane &lane) { return lane.scan != nullptr && lane.scan->met_changes(); });
}

} // namespace store
