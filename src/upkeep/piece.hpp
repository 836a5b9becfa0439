// One piece of maintenance: job_maintain() does them, and so does the background worker.
#pragma once

#include "upkeep/task.hpp"

namespace upkeep {

// One bounded piece of a task, inside the caller's transaction, whose constraints it sets immediate. Whatever of the
// user's it fires runs as the owner of `jobs`, confined. A job that makes it fail is set aside, the others go on. What
// looks like no job's fault (pg::is_out_of_order, or a table that can't be used) is raised where nothing passed: the
// transaction is to be undone, the task to be tried again later; other tasks may go on. Where something passed, that
// stays done. `months`: whether it may make and drop months of the archive, whose locks last until the end of the
// transaction: not inside a transaction block.
enum class Months : bool { as_they_are, may_change };
Counts run_piece(Task task, Pace &pace, TimestampTz now, Months months);

// Sets a job aside at which an earlier process of ours did not end, as that one named it in shared memory. False:
// somebody else is writing; it is to be tried again.
bool set_unfinished_aside(const char *task, const pg_uuid_t *job, TimestampTz now);

} // namespace upkeep
