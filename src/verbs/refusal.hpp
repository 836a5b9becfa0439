// Why a verb did nothing, as a value: job_finish_many reports it, everything else raises it.
#pragma once

#include "logic/states.hpp"
#include "pg/sqlstate.hpp"
#include "store/jobs.hpp"

namespace verbs {

struct Refusal {
    int sqlstate;
    const char *message;
    const char *detail; // JSON, or null
    const char *hint;
};

// PT404.
Refusal no_such_job(const char *which);
// PT409.
Refusal lost_lease(const store::Row &job);
Refusal illegal_transition(const store::Row &job, logic::Status to, const char *hint);
Refusal archived(const char *which);
Refusal key_taken(const char *job_id);

// PT413, or none: of a value over jobs_ext.max_payload, of a row that comes near to what Realtime can send.
std::optional<Refusal> too_large(pg::Nullable json, const char *argument);
std::optional<Refusal> too_large(const store::Row &row);

[[noreturn]] void raise(const Refusal &refusal);

// PT404, or PT409 when the job went to the archive and the caller may know; 42804 when the archive cannot be asked.
Refusal missing(const pg_uuid_t *id);
Refusal missing_key(const text *job_id);

} // namespace verbs
