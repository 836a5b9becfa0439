// What several calls read of a job.
#pragma once

#include "pg/function.hpp"

namespace verbs {

// A row of the sink's for a job by id or job_id, archived ones too, as far as the caller may see it; else null. By a
// statement of the caller's, under the active snapshot.
HeapTuple find_job(pg::Nullable id, pg::Nullable job_id, const pg::RowSink &sink);

} // namespace verbs
