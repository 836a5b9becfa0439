// The task `unblock`: jobs that wait for their children (job_await_children) are queued again when all of them have
// ended, by success or not, or are gone.
//
// Nothing of this is due at a time: sessions leave the ids of jobs whose children end (shared::databases::tell_parents)
// and the worker looks at those, at all in its first round, when something happened that nobody counts, and once a
// minute. job_maintain() looks at all.
//
// Who meets upkeep at such a job: a session that adds a child, whose lock on the parent's row conflicts with ours
// (store/children.hpp); job_cancel() and DELETE; another process at upkeep. None is waited for, as reap.cpp tells. The
// tests are children-added.spec and children-last-two.spec in test/isolation/specs.
#include "job/moves.hpp"
#include "store/children.hpp"
#include "store/run_scan.hpp"
#include "upkeep/work.hpp"

namespace upkeep {

namespace {

using logic::Parents;
using logic::Status;
using store::Candidate;
using store::Column;
using store::Jobs;
using store::Row;

// Where the last look of this process at a parent found a child. A hint, overwritten by that of another parent with the
// same bit: the next look begins there, so that 10 000 children that end one after the other are walked past once, and
// not once a look, also where an old snapshot keeps vacuum from them.
struct LastFound {
    pg_uuid_t parent, child;
};
LastFound last_found[Parents::bits];

bool has_unended(store::children::Look &look, const pg_uuid_t *parent)
{
    LastFound &last = last_found[Parents::bit_of(parent->data)];
    const std::optional<pg_uuid_t> child =
        look.find_unended(parent, store::same_id(&last.parent, parent) ? &last.child : nullptr);
    if (child)
        last = {*parent, *child};
    return child.has_value();
}

// Those of pace.parents, and those that were set aside, of which nobody tells once more.
void find_to_unblock(const Search &search, Pace &pace, Candidates &found)
{
    store::Derived &derived = search.jobs.derived();
    pace.any_blocked.reset();
    if (pace.parents.is_empty() && search.skip.set_aside.size() == 0)
        return;
    pace.any_blocked = false;
    store::children::Look look(derived.open(store::DerivedTable::children));
    store::RunScan blocked(derived.blocked(), DT_NOEND, search.hints);
    while (const Candidate *next = found.full() ? nullptr : blocked.next()) {
        pace.any_blocked = true;
        if ((pace.parents.has(next->job.data) || search.skip.set_aside.find(&next->job) != nullptr) &&
            !has_unended(look, &next->job))
            found.add(*next, search.skip);
    }
}

bool unblock(Batch &batch, const Candidate &candidate)
{
    Jobs &jobs = batch.jobs;
    const std::optional<Row> before = jobs.find(&candidate.job);
    const store::Key found = store::instant_key_of(candidate.key.due_at, &candidate.job);
    if (!before) {
        jobs.derived().remove_orphan(jobs.derived().blocked(), found);
        return true;
    }
    if (jobs.try_lock(store::children::lock_to_go_on) != Jobs::Lock::taken)
        return false;
    // A session cancelled the job.
    if (before->status() != Status::blocked || *before->time(Column::created_at) != candidate.key.due_at) {
        jobs.derived().blocked().remove(found);
        return true;
    }
    // Another child was added since the scan: it tells when it ends.
    if (store::children::is_any_left(&candidate.job))
        return true;
    Row after = *before;
    after.changed = 0;
    job::moves::unblock(after, batch.now);
    if (!write_move(jobs, *before, after))
        return false;
    ++batch.counts[Count::unblocked];
    return true;
}

bool may_go_on(const Row &job, TimestampTz)
{
    return job.status() == Status::blocked && !store::children::is_any_left(job.id());
}

} // namespace

const Work unblocking = {Task::unblock, find_to_unblock, nullptr, nullptr, unblock, may_go_on};

} // namespace upkeep
