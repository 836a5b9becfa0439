// What a new job is made of: what the caller says, and the defaults for the rest.
#pragma once

#include "call/fields.hpp"
#include "store/jobs.hpp"

namespace job {

struct NewJob {
    pg::Nullable job_type, input_payload, priority, run_at, max_retries, retry_delay_ms, job_id, job_category,
        organisation_id, restaurant_id, created_by, parent_job_id, metadata, expires_at;
};

inline constexpr std::array<call::Field<NewJob>, 0> new_job_options = {}; // none is known yet

// In the order of job_enqueue's parameters.
inline constexpr call::Field<NewJob> new_job_fields[] = {
    {"job_type", TEXTOID, &NewJob::job_type, call::anything, call::required},
    {"input_payload", JSONBOID, &NewJob::input_payload, call::json_object},
    {"priority", INT4OID, &NewJob::priority, call::in_range<-10, 10>},
    {"run_at", TIMESTAMPTZOID, &NewJob::run_at, call::finite_time},
    {"max_retries", INT4OID, &NewJob::max_retries, call::in_range<0, store::most_retries>},
    {"retry_delay_ms", INT4OID, &NewJob::retry_delay_ms, call::in_range<0, PG_INT32_MAX>},
    {"job_id", TEXTOID, &NewJob::job_id, call::length_up_to<100>},
    {"job_category", TEXTOID, &NewJob::job_category, call::length_up_to<50>},
    {"organisation_id", UUIDOID, &NewJob::organisation_id},
    {"restaurant_id", UUIDOID, &NewJob::restaurant_id},
    {"created_by", UUIDOID, &NewJob::created_by},
    {"parent_job_id", UUIDOID, &NewJob::parent_job_id},
    {"metadata", JSONBOID, &NewJob::metadata, call::json_object},
    {"expires_at", TIMESTAMPTZOID, &NewJob::expires_at, call::finite_time},
    {"options", JSONBOID, call::read_nested<new_job_options>, call::json_object},
};

// Whether the caller's statements on `jobs` are under row security.
bool under_row_security(const store::Tables &tables);

// Whether the caller may see the job: by a statement of the caller's, under row security.
bool may_see_job(const store::Jobs &jobs, const pg_uuid_t *id);

// 42501 for a caller who may not insert, where no statement will ask.
void require_may_insert(const store::Jobs &jobs);

// The row to insert, created at `now`, of what the fields allow. 22023 or PT413 for what cannot be.
store::Row make_row(store::Jobs &jobs, const NewJob &wanted, TimestampTz now, const pg_uuid_t *id);

// `<job_type>-<26 characters>`: Crockford's base 32 of the id, so it sorts by time and is unique by construction.
text *make_job_id(std::string_view job_type, const pg_uuid_t *id);

// A claim of the request's JWT, as PostgREST passes it on; null when there is none.
pg::Nullable jwt_claim(const char *name);

} // namespace job
