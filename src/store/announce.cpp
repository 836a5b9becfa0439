// The follower that tells other processes of a change: sessions that sleep in job_claim() until a job can be claimed,
// sessions that sleep in job_wait() until a job has ended, and the worker.
//
// It wakes nobody. It notes in memory of this process (shared/at_commit.hpp), because the others cannot see the change
// before this transaction commits: a sleeper that woke now would look, find nothing and sleep on. At commit the notes
// are told; ROLLBACK, also TO SAVEPOINT, drops them and tells instead which jobs are back in their lanes; a crash loses
// them together with the sleepers. A transaction that is prepared tells nothing: see shared/at_commit.hpp.
#include "shared/at_commit.hpp"
#include "shared/sleepers.hpp"
#include "store/transition.hpp"
#include "store/types.hpp"

namespace store {

namespace {

// A job that was deleted has ended for a session that waits for it: job_wait() would otherwise sleep for nothing.
bool has_ended_or_gone(const Row *row) { return row == nullptr || logic::has_ended(row->status()); }

// The job had this key in the queue and has it no longer. Lane 0 has no sleepers: nobody claims a running job. Noted
// for the case of a rollback, after which the job can be claimed again.
void announce_left(const Key &key)
{
    if (lane_in(key) != logic::running_lane)
        shared::notes::job_taken(lane_in(key));
}

// The job has this key in the queue now. A running job concerns the worker, which reaps it when its lease or its run
// time is over. A waiting one concerns sleepers, unless its type is paused: then nobody can claim it, and the end of
// the pause wakes all sleepers (job_types_changed() in job/direct_dml.cpp).
//
// Another session may end the pause and commit between this look and our commit: its wake comes too early to find our
// job. So the worker is told of the job instead, and looks again whether the type is paused when it has seen the job.
//
// The settings of the type are read only where a session is asleep, because most enqueues meet none. A session may
// fall asleep after that look: it is then woken for a job of a paused type, finds nothing and sleeps on.
void announce_placed(const Key &key, const Row &row)
{
    const TimestampTz due_at = time_in(key);
    const bool is_running = lane_in(key) == logic::running_lane;
    if (is_running || (shared::sleepers::is_anybody_asleep() && types::settings_of(row.text(Column::job_type)).paused))
        shared::notes::note_due(due_at);
    else
        shared::notes::job_waits(lane_in(key), due_at);
}

// A child has ended, is gone, or is another job's now: the worker looks whether its former parent may go on. Of a job
// that begins to wait the worker hears as well, because its children may have ended since the look of the call that
// blocked it, and could not know that anybody waits.
void announce_children(const Transition &change)
{
    const std::optional<Key> &from = change.was[DerivedTable::children], &to = change.is[DerivedTable::children];
    if (from && !(to && same_key(*from, *to)))
        shared::notes::child_left(parent_in(*from));
    if (change.is[DerivedTable::blocked] && !change.was[DerivedTable::blocked])
        shared::notes::job_blocked(change.after->id());
}

} // namespace

void announce(const Transition &change)
{
    // A change that keeps the key, such as a heartbeat with progress alone, concerns no sleeper.
    const std::optional<Key> &from = change.was[DerivedTable::queue], &to = change.is[DerivedTable::queue];
    if (!from || !to || !same_key(*from, *to)) {
        if (from)
            announce_left(*from);
        if (to)
            announce_placed(*to, *change.after);
    }
    // Told also where the key stayed: the worker keeps the earliest time alone, so once more costs nothing.
    if (const std::optional<Key> &expiring = change.is[DerivedTable::expiring])
        shared::notes::note_due(time_in(*expiring));
    announce_children(change);
    if (!has_ended_or_gone(change.before) && has_ended_or_gone(change.after))
        shared::notes::job_ended(change.before->id());
}

} // namespace store
