#include "store/steps.hpp"

#include <algorithm>

#include "pg/as_owner.hpp"
#include "pg/heap.hpp"
#include "pg/plan.hpp"
#include "store/open_table.hpp"
#include "store/transition.hpp"
#include "store/user_objects.hpp"

namespace store::steps {

namespace {

// In the order of Status.
constexpr std::string_view status_names[] = {"pending", "in_progress", "action_required", "completed", "failed"};

constexpr Check checks_of_ours[] = {
    {"check_step_status", [] { return is_text_in("status", status_names); }},
    {"check_step_type", [] { return is_text_in("step_type", step_types); }},
};

// Whether nothing of the owner's runs where the table is read or written: it is as we made it, without triggers, rules,
// constraints or computed indexes.
bool nothing_of_theirs(Relation table)
{
    return wrong_columns(table, steps_columns) == nullptr && table->rd_rules == nullptr && table->trigdesc == nullptr &&
           !has_check_of_theirs(table, checks_of_ours) && !has_computed_index(table);
}

// The table, open, and the statements on it as its owner.
class Steps {
public:
    explicit Steps(LOCKMODE lock)
        : table_(open_table(ApiTable::job_steps, lock)), is_plain_(nothing_of_theirs(table_)),
          owner_(RelationGetRelid(table_), hint_if_deferred(table_),
                 is_plain_ ? pg::AsOwner::Code::none : pg::AsOwner::Code::of_owner)
    {
    }
    Relation table() const { return table_; }
    bool is_plain() const { return is_plain_; }

private:
    pg::OpenRelation table_;
    bool is_plain_;
    pg::AsOwner owner_;
    pg::SpiScope spi_;
};

Datum text_datum(std::string_view text)
{
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

pg::Parameter job_parameter(const pg_uuid_t *job) { return {UUIDOID, UUIDPGetDatum(job)}; }
pg::Parameter int_parameter(std::int32_t number) { return {INT4OID, Int32GetDatum(number)}; }

#define COLUMNS_OF_STEP                                                                                                \
    "job, step_number, step_name, description, step_type, status, received, processed, passed, failed, result,"        \
    " decision, decided_by, error_message, metadata, started_at, completed_at"

// The numbers of the steps, as int4[].
Datum numbers_of(std::span<const New> given)
{
    auto numbers = static_cast<Datum *>(pg::allocate(sizeof(Datum) * std::max<std::size_t>(given.size(), 1)));
    for (std::size_t i = 0; i < given.size(); ++i)
        numbers[i] = Int32GetDatum(given[i].number);
    return PointerGetDatum(
        construct_array(numbers, static_cast<int>(given.size()), INT4OID, sizeof(std::int32_t), true, TYPALIGN_INT));
}

[[noreturn]] void raise_suppressed(const pg_uuid_t *job, std::int32_t number)
{
    ereport(ERROR,
            (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
             errmsg("a trigger or rule on job_steps kept step %d of job %s from being written", number, to_text(job))));
}

void set_one(const Row &job, const New &step)
{
    const pg::Parameter parameters[] = {{UUIDOID, job[Column::id]},
                                        int_parameter(step.number),
                                        {TEXTOID, step.name},
                                        {TEXTOID, step.description},
                                        {TEXTOID, step.type},
                                        {JSONBOID, step.metadata},
                                        {UUIDOID, job.get(Column::organisation_id)}};
    if (pg::run_sql("update public.job_steps set step_name = $3, description = $4,"
                    " step_type = coalesce($5, 'automatic'), metadata = coalesce($6, '{}'), organisation_id = $7"
                    " where job operator(pg_catalog.=) $1 and step_number operator(pg_catalog.=) $2"
                    " and status operator(pg_catalog.=) 'pending'",
                    parameters) > 0)
        return;
    pg::run_sql("insert into public.job_steps (" COLUMNS_OF_STEP ", organisation_id)"
                " select $1, $2, $3, $4, coalesce($5, 'automatic'), 'pending', null, null, null, null, null, null,"
                " null, null, coalesce($6, '{}'), null, null, $7 where not exists (select 1 from public.job_steps"
                " where job operator(pg_catalog.=) $1 and step_number operator(pg_catalog.=) $2)",
                parameters);
}

} // namespace

std::string_view name_of_status(Status status) { return status_names[static_cast<std::size_t>(status)]; }

std::optional<Standing> find_standing(const pg_uuid_t *job, std::int32_t number)
{
    static constexpr Oid gives[] = {TEXTOID, BOOLOID};
    const Steps steps(AccessShareLock);
    const pg::Parameter parameters[] = {job_parameter(job), int_parameter(number)};
    const pg::Rows rows = pg::query("select status, step_type operator(pg_catalog.=) 'action_required'"
                                    " from public.job_steps where job operator(pg_catalog.=) $1"
                                    " and step_number operator(pg_catalog.=) $2",
                                    parameters, gives, 0, true);
    if (rows.count() == 0)
        return std::nullopt;
    const pg::Nullable status = rows.at(0, 0);
    for (std::size_t i = 0; status && i < std::size(status_names); ++i)
        if (pg::text_view(status.value) == status_names[i])
            return Standing{static_cast<Status>(i), DatumGetBool(rows.at(0, 1).value)};
    raise_altered("job_steps", psprintf("Step %d of job %s has an unknown status.", number, to_text(job)));
}

bool is_decision(const pg_uuid_t *job, std::int32_t number, Datum decision)
{
    const Steps steps(AccessShareLock);
    const pg::Parameter parameters[] = {job_parameter(job), int_parameter(number), {JSONBOID, decision}};
    return pg::run_sql("select 1 from public.job_steps where job operator(pg_catalog.=) $1"
                       " and step_number operator(pg_catalog.=) $2 and decision operator(pg_catalog.=) $3",
                       parameters, 0, true) > 0;
}

HeapTuple read(const pg_uuid_t *job, std::int32_t number)
{
    MemoryContext caller = CurrentMemoryContext;
    const Steps steps(AccessShareLock);
    const pg::Parameter parameters[] = {job_parameter(job), int_parameter(number)};
    const pg::Rows rows = pg::query("select " COLUMNS_OF_STEP " from public.job_steps"
                                    " where job operator(pg_catalog.=) $1 and step_number operator(pg_catalog.=) $2",
                                    parameters, row_type);
    if (rows.count() == 0)
        raise_suppressed(job, number);
    pg::InMemory lasting(caller);
    return heap_copytuple(rows.whole(0));
}

HeapTuple write(const pg_uuid_t *job, std::int32_t number, const Change &change)
{
    MemoryContext caller = CurrentMemoryContext;
    const pg::Parameter parameters[] = {job_parameter(job),
                                        int_parameter(number),
                                        {TEXTOID, text_datum(name_of_status(change.to))},
                                        {TIMESTAMPTZOID, TimestampTzGetDatum(change.now)},
                                        {INT4OID, change.received},
                                        {INT4OID, change.processed},
                                        {INT4OID, change.passed},
                                        {INT4OID, change.failed},
                                        {JSONBOID, change.result},
                                        {JSONBOID, change.decision},
                                        {UUIDOID, change.decided_by},
                                        {TEXTOID, change.error_message},
                                        {JSONBOID, change.metadata}};
    const Steps steps(RowExclusiveLock);
    const pg::Rows rows = pg::query(
        "update public.job_steps set status = $3, received = coalesce($5, received),"
        " processed = coalesce($6, processed), passed = coalesce($7, passed), failed = coalesce($8, failed),"
        " result = coalesce($9, result), decision = coalesce($10, decision), decided_by = coalesce($11, decided_by),"
        " error_message = $12, metadata = coalesce($13, metadata),"
        " started_at = case when $3 operator(pg_catalog.=) 'in_progress' then $4 else coalesce(started_at, $4) end,"
        " completed_at = case when $3 operator(pg_catalog.=) 'completed' then $4 end"
        " where job operator(pg_catalog.=) $1 and step_number operator(pg_catalog.=) $2 returning " COLUMNS_OF_STEP,
        parameters, row_type);
    if (rows.count() != 1)
        raise_suppressed(job, number);
    pg::InMemory lasting(caller);
    return heap_copytuple(rows.whole(0));
}

std::int64_t count_with(const pg_uuid_t *job, std::span<const New> given)
{
    static constexpr Oid gives[] = {INT8OID};
    const pg::Parameter parameters[] = {job_parameter(job), {INT4ARRAYOID, numbers_of(given)}};
    const Steps steps(AccessShareLock);
    const pg::Rows rows = pg::query("select pg_catalog.count(*) from public.job_steps"
                                    " where job operator(pg_catalog.=) $1 and status operator(pg_catalog.<>) 'pending'"
                                    " and not step_number operator(pg_catalog.=) any ($2)",
                                    parameters, gives, 0, true);
    return DatumGetInt64(rows.at(0, 0).value) + static_cast<std::int64_t>(given.size());
}

void set(const Row &job, std::span<const New> given)
{
    const pg::Parameter parameters[] = {{UUIDOID, job[Column::id]}, {INT4ARRAYOID, numbers_of(given)}};
    const Steps steps(RowExclusiveLock);
    pg::run_sql("delete from public.job_steps where job operator(pg_catalog.=) $1"
                " and status operator(pg_catalog.=) 'pending' and not step_number operator(pg_catalog.=) any ($2)",
                parameters);
    for (const New &step : given) {
        CHECK_FOR_INTERRUPTS();
        set_one(job, step);
    }
}

void each(const pg_uuid_t *job, void (*put)(void *sink, HeapTuple row), void *sink)
{
    const Steps steps(AccessShareLock);
    const pg::Parameter parameters[] = {job_parameter(job)};
    const pg::Rows rows = pg::query("select " COLUMNS_OF_STEP " from public.job_steps"
                                    " where job operator(pg_catalog.=) $1 order by step_number",
                                    parameters, row_type);
    for (std::uint64_t i = 0; i < rows.count(); ++i)
        put(sink, rows.whole(i));
}

// A job that never had steps pays nothing. What an owner inserted by hand for such a job is the owner's to delete.
pg::Nullable as_json(const Row &job)
{
    if (!job.has(Column::total_steps))
        return {};
    static constexpr Oid gives[] = {JSONBOID};
    const pg::Parameter parameters[] = {{UUIDOID, job[Column::id]}, {INT8OID, Int64GetDatum(1024 * 1024)}};
    const Steps steps(AccessShareLock);
    const pg::Rows rows = pg::query(
        "with sized as (select *, coalesce(pg_catalog.octet_length(result::pg_catalog.text), 0)"
        " operator(pg_catalog.+) coalesce(pg_catalog.octet_length(decision::pg_catalog.text), 0)"
        " operator(pg_catalog.+) coalesce(pg_catalog.octet_length(metadata::pg_catalog.text), 0) as bytes"
        " from public.job_steps where job operator(pg_catalog.=) $1"
        "), summed as (select *, pg_catalog.sum(bytes) over (order by step_number) operator(pg_catalog.<=) $2 as fits"
        " from sized"
        ") select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('step_number', step_number, 'step_name', "
        "step_name,"
        " 'description', description, 'step_type', step_type, 'status', status, 'received', received,"
        " 'processed', processed, 'passed', passed, 'failed', failed, 'result', case when fits then result end,"
        " 'decision', case when fits then decision end, 'decided_by', decided_by,"
        " 'error_message', pg_catalog.left(error_message, 1000),"
        " 'metadata', case when fits then metadata end, 'started_at', started_at, 'completed_at', completed_at)"
        " operator(pg_catalog.||) case when fits then '{}' else pg_catalog.jsonb_build_object('left_out', bytes) end"
        " order by step_number) from summed",
        parameters, gives);
    const pg::Nullable all = rows.count() > 0 ? rows.at(0, 0) : pg::Nullable();
    return all ? SPI_datumTransfer(all.value, false, -1) : all;
}

// Row by row, as the attempts go (attempts::remove_all()): a TRUNCATE would wait for whoever reads the table, and they,
// whose policy reads `jobs`, for the TRUNCATE of that. Nobody writes a step meanwhile, since who does has `jobs` open.
// Where code of the owner's is on the table, at REPEATABLE READ, a step that is newer than the transaction stays.
void remove_all()
{
    if (!find_table(ApiTable::job_steps))
        return;
    const Steps steps(RowExclusiveLock);
    PushActiveSnapshot(GetLatestSnapshot());
    if (steps.is_plain())
        pg::remove_all_rows(steps.table());
    else
        pg::run_sql("delete from public.job_steps", {});
    PopActiveSnapshot();
}

} // namespace store::steps

namespace store {

// The follower: with its job steps are deleted, and go over to another organisation.
void keep_steps(const Transition &change)
{
    const bool is_deleted = change.after == nullptr;
    if ((!is_deleted && !change.changes_organisation()) || !change.before->has(Column::total_steps))
        return;
    const steps::Steps steps(RowExclusiveLock);
    const pg::Parameter job = steps::job_parameter(change.before->id());
    if (is_deleted) {
        pg::run_sql("delete from public.job_steps where job operator(pg_catalog.=) $1", {&job, 1});
        return;
    }
    const pg::Parameter moved[] = {job, {UUIDOID, change.after->get(Column::organisation_id)}};
    pg::run_sql("update public.job_steps set organisation_id = $2 where job operator(pg_catalog.=) $1", moved);
}

} // namespace store
