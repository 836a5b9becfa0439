// What a new job is made of: what the caller says, and the defaults for the rest. For job_enqueue, job_enqueue_many and
// the run of a schedule.
#pragma once

#include "call/fields.hpp"
#include "store/jobs.hpp"

namespace job {

struct NewJob {
    pg::Nullable job_type, input_payload, priority, run_at, max_retries, retry_delay_ms, job_id, job_category,
        organisation_id, restaurant_id, created_by, parent_job_id, metadata, expires_at;
};

inline constexpr std::array<call::Field<NewJob>, 0> new_job_options = {}; // none is known yet

// In the order of job_enqueue's parameters. The limits of lengths and priorities are those of the columns and of
// check_priority (sql/parts/61_jobs.sql), so that the caller hears which argument is wrong.
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

// Whether row security applies to the caller's statements on `jobs`: not to the owner, nor to a role with BYPASSRLS.
bool under_row_security(const store::Tables &tables);

// Whether the caller may see the job. Under row security a statement of the caller's tells, so that policies count; its
// snapshot is a new one at READ COMMITTED, which may show more than the caller's own look at `jobs`. Else true, without
// a look.
bool may_see_job(const store::Tables &tables, const pg_uuid_t *id);

// Raises 42501 for a caller who may not insert, where the write goes straight to the table. On the statement path the
// executor asks, also for the privileges of columns.
void require_may_insert(const store::Jobs &jobs);

// The row to insert, created at `now` under this id, from fields that were checked one by one. Makes the lane of the
// type where there is none, so it may wait for a transaction that is making the same one, and calls of the same
// (sub)transaction hold it. Raises 22023 for a type that is not registered, max_retries over the type's under row
// security, a parent of another organisation, expires_at before the job could start; PT413 for a row that is too large;
// 22P02 where the request's JWT has an org_id that is no uuid.
store::Row make_row(store::Jobs &jobs, const NewJob &wanted, TimestampTz now, const pg_uuid_t *id);

// `<job_type>-<26 characters>`: the id in Crockford's base 32 (https://www.crockford.com/base32.html), in lower case.
// So the job_ids of a type sort by time, and are unique because the ids are.
text *make_job_id(std::string_view job_type, const pg_uuid_t *id);

// A claim of the request's JWT, as text; null where there is none, or an empty one. PostgREST sets request.jwt.claims
// to a JSON object; older ones set request.jwt.claim.<name>, which wins. Raises 22P02 where the first is no JSON.
pg::Nullable jwt_claim(const char *name);

} // namespace job
