// What several calls read of a job.
#pragma once

#include "call/job_name.hpp"

namespace verbs {

// A job by id or job_id, archived ones too, as far as the caller may see it; else null. By a statement of the caller's,
// under the active snapshot.
HeapTuple find_job(const call::JobName &name);

} // namespace verbs
