// What a new job is made of: what the caller says, and the defaults for the rest. For job_enqueue, job_enqueue_many and
// the run of a schedule.
//
// A call may be the repetition of one whose reply was lost. Meanwhile its expires_at may have passed, its parent may be
// gone, its type have been removed, a limit have been lowered: the job is there all the same, and is the answer. So
// what depends on the time, on other rows or on settings is judged for a job alone that is new: make_row() judges at
// once; where the caller gave a key, make_unjudged_row() comes first, and judge_new() when the row was inserted, whose
// error takes the row back. What no job could ever have, such as a priority of 11, is 22023 in any call.
#pragma once

#include "call/fields.hpp"
#include "store/jobs.hpp"

namespace job {

struct NewJob {
    pg::Nullable job_type, input_payload, priority, run_at, max_retries, retry_delay_ms, job_id, job_key, job_category,
        organisation_id, restaurant_id, created_by, parent_job_id, metadata, expires_at;
};

inline constexpr std::array<call::Field<NewJob>, 0> new_job_options = {}; // none is known yet

constexpr int longest_job_key = 255; // characters: an entry of an index must be shorter than 2700 bytes

// In the order of job_enqueue's parameters. The limits of lengths and priorities are those of the columns and of
// check_priority (sql/parts/61_jobs.sql), so that the caller hears which argument is wrong.
inline constexpr call::Field<NewJob> new_job_fields[] = {
    {"job_type", TEXTOID, &NewJob::job_type, call::anything, call::required},
    {"input_payload", JSONBOID, &NewJob::input_payload, call::json_object_of_any_size},
    {"priority", INT4OID, &NewJob::priority, call::in_range<-10, 10>},
    {"run_at", TIMESTAMPTZOID, &NewJob::run_at, call::finite_time},
    {"max_retries", INT4OID, &NewJob::max_retries, call::in_range<0, store::most_retries>},
    {"retry_delay_ms", INT4OID, &NewJob::retry_delay_ms, call::in_range<0, PG_INT32_MAX>},
    {"job_id", TEXTOID, &NewJob::job_id, call::length_up_to<100>},
    {"job_key", TEXTOID, &NewJob::job_key, call::length_up_to<longest_job_key>},
    {"job_category", TEXTOID, &NewJob::job_category, call::length_up_to<50>},
    {"organisation_id", UUIDOID, &NewJob::organisation_id},
    {"restaurant_id", UUIDOID, &NewJob::restaurant_id},
    {"created_by", UUIDOID, &NewJob::created_by},
    {"parent_job_id", UUIDOID, &NewJob::parent_job_id},
    {"metadata", JSONBOID, &NewJob::metadata, call::json_object_of_any_size},
    {"expires_at", TIMESTAMPTZOID, &NewJob::expires_at, call::finite_time},
    {"options", JSONBOID, call::read_nested<new_job_options>, call::json_object},
};

// Whether row security applies to the caller's statements on `jobs`: not to the owner, nor to a role with BYPASSRLS.
bool under_row_security(const store::Tables &tables);

// Whether the caller may see the job. Under row security a statement of the caller's tells, so that policies count; its
// snapshot is a new one at READ COMMITTED, which may show more than the caller's own look at `jobs`. Else true, without
// a look.
bool may_see_job(const store::Tables &tables, const pg_uuid_t *id);

// What is asked of a new job, whether a function makes it or an INSERT. A caller under row security is a tenant: it
// shares the queue and its workers with others, and may not say that it is somebody else. What the owner inserts is
// kept as given and asked nothing of this.

// Sets the creator, where it is null, to the user of the request. Raises 42501 for another one of a tenant's, and for
// any of a tenant's where the request names no user.
void settle_creator(bool is_tenant, store::Row &row);

// When a job may start that is to start at `run_at`: of a tenant not before now. Of jobs of one priority the oldest
// run_at is claimed first, so a time in the past would put the job before those of all others.
inline TimestampTz allowed_run_at(bool is_tenant, TimestampTz run_at, TimestampTz now)
{
    return is_tenant ? std::max(run_at, now) : run_at;
}

// Raises 22023 for a job that would expire before it could start.
void check_expiry(const store::Row &row, TimestampTz now);

bool is_of_same_organisation(const std::optional<store::Row> &job, const store::Row &other);
[[noreturn]] void refuse_parent(const store::Row &row);

// Raises 22023, the same for a parent that is not there, one that the caller may not see and one of another
// organisation: nobody is to learn of another tenant's job. A new job is not there yet, so it is not its own parent
// either. `find(const pg_uuid_t *) -> std::optional<Row>` may go past row security; it is called for a job alone that
// the caller may see. There is no foreign key, so a parent that is deleted or archived a moment later leaves its id in
// the row; nothing depends on it.
template <class Find>
void check_new_parent(const store::Tables &tables, const store::Row &row, Find find)
{
    if (!row.has(store::Column::parent_job_id))
        return;
    const pg_uuid_t *parent = DatumGetUUIDP(row[store::Column::parent_job_id]);
    if (!may_see_job(tables, parent) || !is_of_same_organisation(find(parent), row))
        refuse_parent(row);
}

// Raises 42501 for a caller who may not insert, where the write goes straight to the table. On the statement path the
// executor asks, also for the privileges of columns.
void require_may_insert(const store::Jobs &jobs);

// The row to insert, created at `now` under this id, from fields that were checked one by one. Makes the lane of the
// type where there is none, so it may wait for a transaction that is making the same one, and calls of the same
// (sub)transaction hold it. Raises 22023 for a type that is not registered, max_retries over the type's under row
// security, a parent of another organisation, expires_at before the job could start; 42501 as settle_creator() does;
// PT413 for a row that is too large.
store::Row make_row(store::Jobs &jobs, const NewJob &wanted, TimestampTz now, const pg_uuid_t *id);

// The same for a job that may be there already, without any of these errors but 42501 (under
// jobs_ext.auto_register_types it registers the type, and raises what that raises). judge_new() raises them for the row
// that it made, once that turned out to be new; `storable` is that row without a payload and metadata that are too
// large, so that they are not written to be taken back.
store::Row make_unjudged_row(const store::Jobs &jobs, const NewJob &wanted, TimestampTz now, const pg_uuid_t *id);
store::Row storable(const NewJob &wanted, const store::Row &row);
void judge_new(store::Jobs &jobs, const NewJob &wanted, const store::Row &row);

// The organisation of a job whose producer names none: the claim org_id, else the nil uuid, so that it is never null,
// which policies and the key of `jobs` rest on.
pg_uuid_t *default_organisation();

// `<job_type>-<26 characters>`: the id in Crockford's base 32 (https://www.crockford.com/base32.html), in lower case.
// So the job_ids of a type sort by time, and are unique because the ids are.
text *make_job_id(std::string_view job_type, const pg_uuid_t *id);

} // namespace job
