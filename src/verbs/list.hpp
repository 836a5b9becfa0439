// What job_get and job_wait read of a job.
#pragma once

#include "call/job_name.hpp"

namespace verbs {

// The job with this id or job_id, from `jobs` or else from the archive, as far as the caller may see it: by a statement
// of the caller's, under the active snapshot. Null: there is none. The tuple is in the current memory context, with the
// columns of store::row_type(). Raises 42501 without SELECT, 42804 where a table was altered so that it cannot be used.
//
// Where several archived jobs had one job_id it is the newest.
HeapTuple find_job(const call::JobName &name);

} // namespace verbs
