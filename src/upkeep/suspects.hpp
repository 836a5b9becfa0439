// Jobs at which maintenance met an error that looks like the server's: a full disk, a cancel. It may be: then it meets
// the others as well. But a trigger raises what it likes, or hands on what another server said. So such a job comes
// after all others, by itself, and when it fails again though others passed, it is the job's fault.
//
// What this process remembers, across its transactions: they may all be undone. A suspicion lapses an hour after the
// job failed last.
#pragma once

#include "upkeep/task.hpp"

namespace upkeep::suspects {

bool is_one(const pg_uuid_t *job);

// The job failed so, alone; `passed`: how many jobs of the task have passed in this process. Whether it is to be set
// aside; else it is suspected. What is for the caller undoes the other tasks too, so nobody waits for others to pass:
// the third time is enough.
bool is_at_fault(const pg_uuid_t *job, Task task, std::int64_t passed, bool is_for_the_caller);

// The caller's call was canceled at the job. That is never kept from the caller; but where each of so many calls was
// canceled at the same job, it is the job that takes too long: the next call sets it aside without trying it.
void note_cancel(const pg_uuid_t *job, Task task, std::int64_t passed);
bool is_too_slow(const pg_uuid_t *job, Task task);

// It passed, or is set aside.
void acquit(const pg_uuid_t *job);

} // namespace upkeep::suspects
