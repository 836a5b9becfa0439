// One piece of upkeep. The worker of a database does pieces in a transaction each, job_maintain() in a subtransaction
// each; both may run in the same database at the same time (piece.cpp says why that is safe).
#pragma once

#include "upkeep/task.hpp"

namespace upkeep {

// Does one piece of a task at `now`, the queue's time, inside the caller's transaction, whose constraints it sets
// immediate. Triggers and other code of users that it fires runs as the owner of `jobs`, confined. Returns what it has
// done; `more` says that the task has work left.
//
// A job whose code fails is set aside, and the other jobs go on. An error that may be the server's
// (pg::is_out_of_order) is raised if no job passed or was set aside, with `pace.in_doubt` set: the caller undoes the
// transaction and tries the task again later; other tasks may go on. If one was, the piece keeps what it has done.
// Raises besides:
//   42804          a table of ours was altered so that it cannot be used
//   42501          the session holds temporary objects of a third role (pg/as_owner.hpp)
//   55P03          a table is locked, in a process that waits for none
//   40001          outside READ COMMITTED, where the snapshot is too old
//   57014, 53200   in a session at once, whatever passed: its caller was cancelled, or memory is out
//
// `months`: whether the piece may make and drop months of the archive. Not in a transaction block, because the locks
// (ACCESS EXCLUSIVE on partitions) last until the end of the transaction.
enum class Months : bool { as_they_are, may_change };
Counts run_piece(Task task, Pace &pace, TimestampTz now, Months months);

// Sets a job aside for ten minutes at least, at which an earlier worker had to be ended; that worker named the task and
// the job in shared memory (shared::databases::works_on). For its successor, before any other work with jobs. False:
// another process writes to the list of jobs that are set aside; the caller tries again.
bool set_unfinished_aside(const char *task, const pg_uuid_t *job, TimestampTz now);

} // namespace upkeep
