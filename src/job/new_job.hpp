// What a new job is made of: what the caller says, and the defaults for the rest.
#pragma once

#include "pg/json.hpp"
#include "store/jobs.hpp"

namespace job {

struct NewJob {
    pg::Nullable job_type, input_payload, priority, run_at, max_retries, retry_delay_ms, job_id, job_category,
        organisation_id, restaurant_id, created_by, parent_job_id, metadata, expires_at, options;
};

struct NewJobField {
    const char *name;
    Oid type;
    pg::Nullable NewJob::*member;
};

// In the order of job_enqueue's parameters.
inline constexpr NewJobField new_job_fields[] = {
    {"job_type", TEXTOID, &NewJob::job_type},
    {"input_payload", JSONBOID, &NewJob::input_payload},
    {"priority", INT4OID, &NewJob::priority},
    {"run_at", TIMESTAMPTZOID, &NewJob::run_at},
    {"max_retries", INT4OID, &NewJob::max_retries},
    {"retry_delay_ms", INT4OID, &NewJob::retry_delay_ms},
    {"job_id", TEXTOID, &NewJob::job_id},
    {"job_category", TEXTOID, &NewJob::job_category},
    {"organisation_id", UUIDOID, &NewJob::organisation_id},
    {"restaurant_id", UUIDOID, &NewJob::restaurant_id},
    {"created_by", UUIDOID, &NewJob::created_by},
    {"parent_job_id", UUIDOID, &NewJob::parent_job_id},
    {"metadata", JSONBOID, &NewJob::metadata},
    {"expires_at", TIMESTAMPTZOID, &NewJob::expires_at},
    {"options", JSONBOID, &NewJob::options},
};

// Sets what a member of a JSON object is named for. A JSON null means the default, whatever the parameter's type.
// False: there is no such parameter.
bool set_field(NewJob &job, const pg::JsonMember &member);

// Whether the caller's statements on `jobs` are under row security.
bool under_row_security(const store::Tables &tables);

// 42501 for a caller who may not insert, where no statement will ask.
void require_may_insert(const store::Jobs &jobs);

// The row to insert, created at `now`. 22023 or PT413 for what cannot be.
store::Row make_row(store::Jobs &jobs, const NewJob &wanted, TimestampTz now, const pg_uuid_t *id);

// `<job_type>-<26 characters>`: Crockford's base 32 of the id, so it sorts by time and is unique by construction.
text *make_job_id(std::string_view job_type, const pg_uuid_t *id);

// A claim of the request's JWT, as PostgREST passes it on; null when there is none.
pg::Nullable jwt_claim(const char *name);

} // namespace job
