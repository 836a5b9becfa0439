// The children of a job: those that name it in parent_job_id. A job that waits for them (blocked) is queued again when
// none is left that has not ended (upkeep/unblock.cpp, verbs/children.cpp).
//
// The ends of the children never meet in a row: each removes its own row of the derived table `children`, touches
// nothing of the parent's, and leaves the parent's id for the worker (announce.cpp). So 10 000 of them end beside each
// other as any jobs do.
//
// The race: the last child ends, and a session adds another one. The parent is to be queued before that child exists,
// or to wait for it; never is a child to be there, committed and not ended, when its blocked parent is queued. The row
// of the parent decides:
//   - whoever adds a child (a new job, a parent that is named later, job_retry of a child) locks the parent's row FOR
//     KEY SHARE, as a foreign key would, until its commit: hold_parent(), on every path. Any number of sessions may,
//     beside the parent's own worker, whose calls change no key;
//   - whoever lets the parent go on locks its row FOR UPDATE first, and looks afterwards, under the newest snapshot.
//     The two conflict. If the child's session had the lock, it has committed, and the look finds the child; else it
//     waits until the parent is queued, and adds a child to a queued job.
// A rollback, or a crash, gives back the lock and takes back the child.
#pragma once

#include "store/jobs.hpp"

namespace store::children {

// Finds out for one parent after the other whether a child is left, under the snapshot that is active meanwhile.
class Look {
public:
    explicit Look(KeyTable &children);
    ~Look();
    Look(const Look &) = delete;
    Look &operator=(const Look &) = delete;

    // A child that has not ended, or nothing. `from`: the look begins at this id, and goes on before it where it finds
    // none: from where the last look found one, it does not walk past those that have ended since, again and again.
    std::optional<pg_uuid_t> find_unended(const pg_uuid_t *parent, const pg_uuid_t *from = nullptr);

private:
    bool find_from(const pg_uuid_t *parent, const pg_uuid_t *from);

    pg::Slot slot_;
    IndexScanDesc scan_;
};

// The lock of the second kind; see above.
inline constexpr LockTupleMode lock_to_go_on = LockTupleExclusive;

// Whether the job has a child that has not ended, under the newest snapshot, whatever that of the transaction is. Holds
// for as long as the caller has the job's row locked so.
bool is_any_left(const pg_uuid_t *parent);

} // namespace store::children
