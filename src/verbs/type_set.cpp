// job_type_set.
#include "call/arguments.hpp"
#include "call/privileges.hpp"
#include "logic/backoff.hpp"
#include "pg/excerpt.hpp"
#include "pg/plan.hpp"
#include "pg/sqlstate.hpp"
#include "store/lanes.hpp"

namespace verbs {

namespace {

void check_backoff(pg::Nullable backoff)
{
    if (backoff && !logic::parse_backoff(TextDatumGetCString(backoff.value)))
        ereport(ERROR,
                (errcode(sqlstate::bad_argument), errmsg("unknown backoff \"%s\"", pg::text_excerpt(backoff.value)),
                 errhint("It is one of exponential, linear, fixed.")));
}

void check_not_negative(pg::Nullable interval, const char *argument)
{
    if (interval)
        store::span_of(DatumGetIntervalP(interval.value), argument);
}

constexpr const char *statement =
    "insert into public.job_types as t (job_type, description, job_category, max_retries, backoff, retry_delay_ms,"
    " retry_delay_max, lease, timeout, keep_completed, keep_failed, paused)"
    " values ($1, $2, $3, coalesce($4, 3), coalesce($5, 'exponential'), coalesce($6, 1000),"
    " coalesce($7, pg_catalog.make_interval(hours => 1)), $8, $9, $10, $11, coalesce($12, false))"
    " on conflict (job_type) do update set description = coalesce($2, t.description),"
    " job_category = coalesce($3, t.job_category), max_retries = coalesce($4, t.max_retries),"
    " backoff = coalesce($5, t.backoff), retry_delay_ms = coalesce($6, t.retry_delay_ms),"
    " retry_delay_max = coalesce($7, t.retry_delay_max), lease = coalesce($8, t.lease),"
    " timeout = coalesce($9, t.timeout), keep_completed = coalesce($10, t.keep_completed),"
    " keep_failed = coalesce($11, t.keep_failed), paused = coalesce($12, t.paused)"
    " returning job_type, description, job_category, max_retries, backoff, retry_delay_ms, retry_delay_max, lease,"
    " timeout, keep_completed, keep_failed, paused";

constexpr Oid parameter_types[] = {VARCHAROID,  TEXTOID,     VARCHAROID,  INT4OID,     TEXTOID,     INT4OID,
                                   INTERVALOID, INTERVALOID, INTERVALOID, INTERVALOID, INTERVALOID, BOOLOID};

// ON CONFLICT needs it.
void require_key(Relation types)
{
    const AttrNumber key[] = {store::number_of(types, "job_type")};
    if (!pg::has_unique_index(types, key))
        store::raise_altered("job_types", "The primary key on (job_type) is missing, deferrable or not valid.");
}

} // namespace

JOBS_FUNCTION(job_type_set)
{
    pg::Parameter parameters[std::size(parameter_types)];
    for (std::size_t i = 0; i < std::size(parameters); ++i)
        parameters[i] = {parameter_types[i], pg::argument(fcinfo, static_cast<int>(i))};
    auto given = [&](int i) { return parameters[i].value; };

    call::require_value(given(0), "job_type");
    call::check_length(given(0), 50, "job_type");
    call::check_length(given(2), 50, "job_category");
    call::check_range(given(3), 0, store::most_retries, "max_retries");
    check_backoff(given(4));
    call::check_range(given(5), 0, PG_INT32_MAX, "retry_delay_ms");
    check_not_negative(given(6), "retry_delay_max");
    call::positive_span(given(7), "lease");
    call::positive_span(given(8), "timeout");
    check_not_negative(given(9), "keep_completed");
    check_not_negative(given(10), "keep_failed");

    PreventCommandIfReadOnly("job_type_set()");
    PreventCommandIfParallelMode("job_type_set()");
    MemoryContext caller = CurrentMemoryContext;
    call::require_on_any_column(store::ApiTable::job_types, ACL_INSERT);
    const pg::OpenRelation types = store::open_table(store::ApiTable::job_types, RowExclusiveLock);
    require_key(types);
    pg::SpiScope spi;
    const pg::Rows rows = pg::query(statement, parameters, parameter_types);
    if (rows.count() != 1)
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                        errmsg("a trigger or rule on job_types kept type \"%s\" from being written",
                               pg::text_excerpt(given(0).value))));
    store::lanes::prepare_lane_of(TextDatumGetCString(given(0).value)); // of a type that was there without one
    Datum values[std::size(parameter_types)];
    bool nulls[std::size(parameter_types)];
    rows.get(0, values, nulls);
    MemoryContextSwitchTo(caller);
    return pg::row_result(fcinfo, parameter_types, values, nulls);
}

} // namespace verbs
