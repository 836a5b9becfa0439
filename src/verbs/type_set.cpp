// job_type_set: makes a type, or changes the settings of one. Null leaves a setting as it is.
//
// Two sessions may set one type at once: INSERT … ON CONFLICT DO UPDATE lets the second wait for the first, and then
// writes over its values what it was given itself. The commit tells the others: a relcache invalidation empties what
// each session knows of types (store/types.hpp), and all sleepers are woken, since what they want may mean something
// else (shared/at_commit.hpp). Statement and trigger of the type run as the caller.
#include "call/fields.hpp"
#include "call/privileges.hpp"
#include "logic/backoff.hpp"
#include "pg/excerpt.hpp"
#include "pg/plan.hpp"
#include "pg/sqlstate.hpp"
#include "store/lanes.hpp"

namespace verbs {

namespace {

void known_backoff(pg::Nullable &backoff, const char *)
{
    if (backoff && !logic::parse_backoff(TextDatumGetCString(backoff.value)))
        ereport(ERROR,
                (errcode(sqlstate::bad_argument), errmsg("unknown backoff \"%s\"", pg::text_excerpt(backoff.value)),
                 errhint("%s", pg::one_of(logic::backoff_kinds))));
}

void known_keeping(pg::Nullable &keeping, const char *)
{
    if (keeping && pg::text_view(keeping.value) != "failed" && pg::text_view(keeping.value) != "all")
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("unknown keep_attempts \"%s\"", pg::text_excerpt(keeping.value)),
                        errhint("It is failed or all.")));
}

struct TypeSet {
    pg::Nullable job_type, description, job_category, max_retries, backoff, retry_delay_ms, retry_delay_max, lease,
        timeout, keep_completed, keep_failed, paused, keep_attempts;
};

// In the order of the function's parameters, of the statement's, and of the columns of its result.
constexpr call::Field<TypeSet> type_fields[] = {
    {"job_type", VARCHAROID, &TypeSet::job_type, call::length_up_to<50>, call::required},
    {"description", TEXTOID, &TypeSet::description},
    {"job_category", VARCHAROID, &TypeSet::job_category, call::length_up_to<50>},
    {"max_retries", INT4OID, &TypeSet::max_retries, call::in_range<0, store::most_retries>},
    {"backoff", TEXTOID, &TypeSet::backoff, known_backoff},
    {"retry_delay_ms", INT4OID, &TypeSet::retry_delay_ms, call::in_range<0, PG_INT32_MAX>},
    {"retry_delay_max", INTERVALOID, &TypeSet::retry_delay_max, call::span_from_zero},
    {"lease", INTERVALOID, &TypeSet::lease, call::positive_span},
    {"timeout", INTERVALOID, &TypeSet::timeout, call::positive_span},
    {"keep_completed", INTERVALOID, &TypeSet::keep_completed, call::span_from_zero},
    {"keep_failed", INTERVALOID, &TypeSet::keep_failed, call::span_from_zero},
    {"paused", BOOLOID, &TypeSet::paused},
    {"keep_attempts", TEXTOID, &TypeSet::keep_attempts, known_keeping},
};

constexpr const char *statement =
    "insert into public.job_types as t (job_type, description, job_category, max_retries, backoff, retry_delay_ms,"
    " retry_delay_max, lease, timeout, keep_completed, keep_failed, paused, keep_attempts)"
    " values ($1, $2, $3, coalesce($4, 3), coalesce($5, 'exponential'), coalesce($6, 1000),"
    " coalesce($7, pg_catalog.make_interval(hours => 1)), $8, $9, $10, $11, coalesce($12, false),"
    " coalesce($13, 'failed'))"
    " on conflict (job_type) do update set description = coalesce($2, t.description),"
    " job_category = coalesce($3, t.job_category), max_retries = coalesce($4, t.max_retries),"
    " backoff = coalesce($5, t.backoff), retry_delay_ms = coalesce($6, t.retry_delay_ms),"
    " retry_delay_max = coalesce($7, t.retry_delay_max), lease = coalesce($8, t.lease),"
    " timeout = coalesce($9, t.timeout), keep_completed = coalesce($10, t.keep_completed),"
    " keep_failed = coalesce($11, t.keep_failed), paused = coalesce($12, t.paused),"
    " keep_attempts = coalesce($13, t.keep_attempts)"
    " returning job_type, description, job_category, max_retries, backoff, retry_delay_ms, retry_delay_max, lease,"
    " timeout, keep_completed, keep_failed, paused, keep_attempts";

// ON CONFLICT (job_type) needs a unique index on that column, else the planner raises 42P10, which would tell the
// caller nothing. Raises 42804.
void require_key(Relation types)
{
    const AttrNumber key[] = {store::number_of(types, "job_type")};
    if (!pg::has_unique_index(types, key))
        store::raise_altered("job_types", "The primary key on (job_type) is missing, deferrable or not valid.");
}

} // namespace

JOBS_FUNCTION(job_type_set)
{
    const TypeSet given = call::read_arguments<type_fields>(fcinfo);
    pg::Parameter parameters[std::size(type_fields)];
    Oid types_of_row[std::size(type_fields)];
    for (std::size_t i = 0; i < std::size(type_fields); ++i) {
        types_of_row[i] = type_fields[i].type;
        parameters[i] = {type_fields[i].type, type_fields[i].value_in(given)};
    }
    PreventCommandIfReadOnly("job_type_set()");
    PreventCommandIfParallelMode("job_type_set()");
    MemoryContext caller = CurrentMemoryContext;
    call::require_on_any_column(store::ApiTable::job_types, ACL_INSERT);
    const pg::OpenRelation types = store::open_table(store::ApiTable::job_types, RowExclusiveLock);
    require_key(types);
    pg::SpiScope spi;
    const pg::Rows rows = pg::query(statement, parameters, types_of_row);
    if (rows.count() != 1)
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                        errmsg("a trigger or rule on job_types kept type \"%s\" from being written",
                               pg::text_excerpt(given.job_type.value))));
    // The trigger on job_types makes the lane of a new type. This is for a type that was there without one, as a
    // restore leaves it: so that its first job finds the lane committed, and need not hold it locked until its own
    // commit.
    store::lanes::prepare_lane_of(TextDatumGetCString(given.job_type.value));
    MemoryContextSwitchTo(caller); // SPI_connect() switched to memory that goes with SPI_finish()
    return pg::row_result(fcinfo, types_of_row, rows.whole(0));
}

} // namespace verbs
