#include "job/new_job.hpp"

#include "call/privileges.hpp"
#include "call/refusal.hpp"
#include "job/claims.hpp"
#include "job/moves.hpp"
#include "pg/plan.hpp"
#include "pg/sqlstate.hpp"
#include "settings.hpp"
#include "store/lanes.hpp"

namespace job {

namespace {

using store::Column;
using store::Row;

pg::Nullable or_else(pg::Nullable value, pg::Nullable fallback) { return value ? value : fallback; }

// Raises 22023. A caller under row security is a tenant, who shares the workers with others: a job that fails at once a
// thousand times would take their turns.
void check_retries(bool is_tenant, const NewJob &wanted, const store::Type &type)
{
    if (is_tenant && wanted.max_retries && DatumGetInt32(wanted.max_retries.value) > type.max_retries)
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("max_retries must be at most that of the type, %d: %d", type.max_retries,
                               DatumGetInt32(wanted.max_retries.value)),
                        errhint("Only who is not under row security may give a job more retries than its type has.")));
}

} // namespace

bool under_row_security(const store::Tables &tables)
{
    return check_enable_rls(tables.jobs.in_catalogs(), InvalidOid, true) == RLS_ENABLED;
}

bool may_see_job(const store::Tables &tables, const pg_uuid_t *id)
{
    if (!under_row_security(tables))
        return true;
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(id)}};
    return pg::run_sql("select 1 from public.jobs where id operator(pg_catalog.=) $1", parameters) > 0;
}

void settle_creator(bool is_tenant, Row &row)
{
    if (row.has(Column::created_by) && !is_tenant)
        return;
    const pg::Nullable user = user_of_request();
    if (!row.has(Column::created_by))
        row.set(Column::created_by, user);
    else if (!user || !store::same_id(DatumGetUUIDP(row[Column::created_by]), DatumGetUUIDP(user.value)))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("created_by names another than the user of the request: %s",
                               store::to_text(DatumGetUUIDP(row[Column::created_by]))),
                        errhint("Under row security created_by is the claim sub of the JWT: leave it out.")));
}

void check_expiry(const Row &row, TimestampTz now)
{
    const auto expires_at = row.time(Column::expires_at);
    if (expires_at && *expires_at <= std::max(now, *row.time(Column::run_at)))
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("expires_at is before the job could start: %s", timestamptz_to_str(*expires_at))));
}

bool is_of_same_organisation(const std::optional<Row> &job, const Row &other)
{
    return job && other.has(Column::organisation_id) &&
           store::same_id(DatumGetUUIDP((*job)[Column::organisation_id]),
                          DatumGetUUIDP(other[Column::organisation_id]));
}

void refuse_parent(const Row &row)
{
    const char *parent = store::to_text(DatumGetUUIDP(row[Column::parent_job_id]));
    ereport(ERROR,
            (errcode(sqlstate::bad_argument), errmsg("parent_job_id names no job of this organisation: %s", parent),
             row.has(Column::organisation_id)
                 ? errhint("The new job is for organisation %s. Pass the organisation_id of its parent.",
                           store::to_text(DatumGetUUIDP(row[Column::organisation_id])))
                 : 0));
}

text *make_job_id(std::string_view job_type, const pg_uuid_t *id)
{
    static constexpr char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    constexpr int length = 26;
    // 128 bits in 26 digits of 5: the first digit holds 3.
    unsigned __int128 number = 0;
    for (unsigned char byte : id->data)
        number = number << 8 | byte;
    StringInfoData text;
    initStringInfo(&text);
    appendBinaryStringInfo(&text, job_type.data(), static_cast<int>(job_type.size()));
    appendStringInfoChar(&text, '-');
    for (int i = length - 1; i >= 0; --i)
        appendStringInfoChar(&text, digits[static_cast<int>(number >> (5 * i)) & 31]);
    return cstring_to_text_with_len(text.data, text.len);
}

void require_may_insert(const store::Jobs &jobs)
{
    if (store::direct(jobs.tables(), store::Operation::insert, 0))
        call::require_insert(jobs.tables().jobs);
}

pg_uuid_t *default_organisation()
{
    const pg::Nullable claimed = organisation_of_request();
    return claimed ? DatumGetUUIDP(claimed.value) : static_cast<pg_uuid_t *>(palloc0(sizeof(pg_uuid_t)));
}

namespace {

Row compose(bool is_tenant, const NewJob &wanted, const store::Type &type, TimestampTz now, const pg_uuid_t *id)
{
    call::check_length(wanted.job_type, 50, "job_type"); // its column may be wider in job_types
    // Makes the lane, if this is the type's first job. Before the row is inserted, because of the lock order `jobs`,
    // lane, rows: a session that makes the lane first and then wants our row would wait for us, and we for its lane.
    store::lanes::of(type.name);

    Row row = {};
    row.null.fill(true);
    row.set(Column::id, UUIDPGetDatum(id));
    row.set(Column::job_type, wanted.job_type);
    row.set(Column::job_id, or_else(wanted.job_id, PointerGetDatum(make_job_id(type.name, id))));
    row.set(Column::job_key, wanted.job_key);
    row.set(Column::job_category,
            or_else(wanted.job_category,
                    type.has_category ? pg::Nullable(CStringGetTextDatum(type.category)) : pg::Nullable{}));
    row.set(Column::input_payload, or_else(wanted.input_payload, pg::parse_json("{}")));
    row.set(Column::metadata, or_else(wanted.metadata, pg::parse_json("{}")));
    row.set(Column::priority, or_else(wanted.priority, Int32GetDatum(0)));
    row.set_number(Column::retries, 0);
    row.set_number(Column::attempt, 0);
    row.set(Column::max_retries, or_else(wanted.max_retries, Int32GetDatum(type.max_retries)));
    row.set(Column::retry_delay_ms, or_else(wanted.retry_delay_ms, Int32GetDatum(type.retry_delay_ms)));
    row.set_time(Column::created_at, now);
    row.set_time(Column::updated_at, now);
    row.set(Column::organisation_id,
            wanted.organisation_id ? wanted.organisation_id : UUIDPGetDatum(default_organisation()));
    row.set(Column::created_by, wanted.created_by);
    settle_creator(is_tenant, row);
    row.set(Column::restaurant_id, wanted.restaurant_id);
    row.set(Column::parent_job_id, wanted.parent_job_id);
    row.set(Column::expires_at, wanted.expires_at);
    moves::wait(row, now,
                wanted.run_at ? allowed_run_at(is_tenant, DatumGetTimestampTz(wanted.run_at.value), now) : now);
    return row;
}

void judge(store::Jobs &jobs, const NewJob &wanted, const store::Type &type, const Row &row)
{
    check_retries(under_row_security(jobs.tables()), wanted, type);
    call::check_size(wanted.input_payload, "input_payload");
    call::check_size(wanted.metadata, "metadata");
    check_expiry(row, *row.time(Column::created_at));
    check_new_parent(jobs.tables(), row, [&](const pg_uuid_t *parent) { return jobs.find(parent); });
    call::check_row_size(row);
}

} // namespace

Row make_row(store::Jobs &jobs, const NewJob &wanted, TimestampTz now, const pg_uuid_t *id)
{
    const store::Type type = store::types::require_registered(pg::text_view(wanted.job_type.value));
    const Row row = compose(under_row_security(jobs.tables()), wanted, type, now, id);
    judge(jobs, wanted, type, row);
    return row;
}

// A type that is to be registered is registered before its job is written: registering locks the type's name, and a
// session that had written its job first could wait for one that has the name and waits for the job's lane.
Row make_unjudged_row(const store::Jobs &jobs, const NewJob &wanted, TimestampTz now, const pg_uuid_t *id)
{
    const std::string_view type = pg::text_view(wanted.job_type.value);
    return compose(under_row_security(jobs.tables()), wanted,
                   settings::auto_register_types ? store::types::require_registered(type)
                                                 : store::types::settings_of(type),
                   now, id);
}

Row storable(const NewJob &wanted, const Row &row)
{
    Row small = row;
    if (call::too_large(wanted.input_payload, "") || call::too_large(wanted.metadata, "") || call::too_large(row))
        for (Column column : {Column::input_payload, Column::metadata})
            small.set(column, pg::parse_json("{}"));
    return small;
}

void judge_new(store::Jobs &jobs, const NewJob &wanted, const Row &row)
{
    judge(jobs, wanted, store::types::require_registered(pg::text_view(wanted.job_type.value)), row);
}

} // namespace job
