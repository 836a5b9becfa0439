#include "store/best_first.hpp"

#include <new>

namespace store {

namespace {

// The bytes of a UUID compare as uuid_cmp() and the index compare them.
bool is_better(const Candidate &a, const Candidate &b)
{
    if (a.key.rank != b.key.rank)
        return a.key.rank < b.key.rank;
    if (a.key.due_at != b.key.due_at)
        return a.key.due_at < b.key.due_at;
    return std::memcmp(&a.job, &b.job, UUID_LEN) < 0;
}

} // namespace

// An error skips it: the abort releases buffer pins and index locks by the resource owner, and the memory with them.
BestFirst::~BestFirst()
{
    ListCell *cell;
    foreach (cell, scans_)
        static_cast<LaneScan *>(lfirst(cell))->~LaneScan();
}

void BestFirst::add_lane(std::int32_t lane)
{
    if (list_member_int(lanes_, lane))
        return;
    lanes_ = lappend_int(lanes_, lane);
    scans_ = lappend(scans_, new (palloc(sizeof(LaneScan))) LaneScan(queue_, GetActiveSnapshot(), lane, now_));
}

std::optional<Candidate> BestFirst::best()
{
    best_ = nullptr;
    ListCell *cell;
    foreach (cell, scans_) {
        auto scan = static_cast<LaneScan *>(lfirst(cell));
        if (scan->head() != nullptr && (best_ == nullptr || is_better(*scan->head(), *best_->head())))
            best_ = scan;
    }
    return best_ != nullptr ? std::optional(*best_->head()) : std::nullopt;
}

} // namespace store
