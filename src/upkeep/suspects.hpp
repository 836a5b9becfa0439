// Jobs at which upkeep met an error that may be the server's: a full disk, a cancel, a lack of memory. If it is the
// server's, all jobs meet it, and none is to be set aside. But a user's trigger raises what it likes, or hands on what
// another server said. The SQLSTATE cannot tell, so the other jobs do: a suspect is tried after all others, by itself,
// and if it fails again although others have passed meanwhile, the job is at fault.
//
//     (unknown) ──── is_at_fault() says no, note_cancel() ────▶ suspect ──── passes: acquit() ───────────▶ (unknown)
//                                                                  │ ──── an hour without failure ──────────▶ (unknown)
//                                                                  └ others passed, or it failed 3 times ──▶ set aside
//
// This is memory of one process and no table, because each transaction in which a job becomes a suspect may be undone.
// No other process reads it: a worker that takes over suspects anew. A wrong suspicion only makes a job come last.
#pragma once

#include "upkeep/task.hpp"

namespace upkeep::suspects {

// Whether the job is suspected in any task.
bool is_one(const pg_uuid_t *job);

// Notes that the job failed with such an error, alone. `passed` counts the jobs of the task that have passed in this
// process. True: set it aside, because others have passed since it failed first. False: it is suspected from now on.
// An error that is raised to a session's caller undoes the whole call, so others may never pass: with
// `is_for_the_caller` the third failure is enough.
bool is_at_fault(const pg_uuid_t *job, Task task, std::int64_t passed, bool is_for_the_caller);

// The session's call was cancelled while it worked on the job. The caller always gets that error. But if three calls
// were cancelled at one job, and it did not pass between, the job takes too long: is_too_slow() then has the next call
// set it aside without trying it.
void note_cancel(const pg_uuid_t *job, Task task, std::int64_t passed);
bool is_too_slow(const pg_uuid_t *job, Task task);

// Ends the suspicion: the job passed, or is set aside.
void acquit(const pg_uuid_t *job);

} // namespace upkeep::suspects
