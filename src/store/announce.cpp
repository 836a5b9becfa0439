// What others are to hear of a change, once it is theirs to see: who sleeps until a job can be claimed or has ended,
// and the worker.
#include "shared/at_commit.hpp"
#include "shared/sleepers.hpp"
#include "store/transition.hpp"
#include "store/types.hpp"

namespace store {

namespace {

bool has_ended(const Row *row) { return row == nullptr || logic::has_ended(row->status()); }

// A job that left its place in the queue.
void announce_left(const Key &key)
{
    if (lane_in(key) != logic::running_lane)
        shared::notes::job_taken(lane_in(key));
}

// A job that has a place in the queue now. Of a paused type nobody can claim it; the end of the pause wakes everybody.
void announce_placed(const Key &key, const Row &row)
{
    const TimestampTz due_at = time_in(key);
    if (lane_in(key) == logic::running_lane)
        shared::notes::note_due(due_at);
    else if (!shared::sleepers::is_anybody_asleep() || !types::settings_of(row.text(Column::job_type)).paused)
        shared::notes::job_waits(lane_in(key), due_at);
}

} // namespace

void announce(const Transition &change)
{
    const std::optional<Key> &from = change.was[DerivedTable::queue], &to = change.is[DerivedTable::queue];
    if (!from || !to || !same_key(*from, *to)) {
        if (from)
            announce_left(*from);
        if (to)
            announce_placed(*to, *change.after);
    }
    if (const std::optional<Key> &expiring = change.is[DerivedTable::expiring])
        shared::notes::note_due(time_in(*expiring));
    if (!has_ended(change.before) && has_ended(change.after))
        shared::notes::job_ended(change.before->id());
}

} // namespace store
