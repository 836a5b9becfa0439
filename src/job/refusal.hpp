// Why a job does not do what is asked of it.
#pragma once

#include "call/refusal.hpp"
#include "logic/states.hpp"
#include "store/jobs.hpp"

namespace job {

// PT404.
call::Refusal no_such_job(const char *which);
// PT409.
call::Refusal lost_lease(const store::Row &job);
call::Refusal illegal_transition(const store::Row &job, logic::Status to, const char *hint);
call::Refusal archived(const char *which);
call::Refusal key_taken(const char *job_id);

// PT404, or PT409 when the job went to the archive and the caller may know; 42804 when the archive cannot be asked.
call::Refusal missing(const pg_uuid_t *id);
call::Refusal missing_key(const text *job_id);

} // namespace job
