// job_enqueue, job_enqueue_many.
#include "pg/json.hpp"
#include "pg/plan.hpp"
#include "pg/sqlstate.hpp"
#include "settings.hpp"
#include "verbs/answer.hpp"
#include "verbs/arguments.hpp"
#include "verbs/new_job.hpp"
#include "verbs/privileges.hpp"
#include "verbs/refusal.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Jobs;
using store::Row;

// The job that has the key already, if it is one that the caller may know: of the same type and organisation, and
// visible under row security.
Row existing(Jobs &jobs, const Row &wanted)
{
    const Datum key = wanted[Column::job_id];
    if (check_enable_rls(jobs.tables().jobs, InvalidOid, true) == RLS_ENABLED) {
        pg::SpiScope spi;
        const pg::Parameter parameters[] = {{VARCHAROID, key}};
        if (pg::run("select 1 from public.jobs where job_id::pg_catalog.text operator(pg_catalog.=)"
                    " $1::pg_catalog.text",
                    parameters) == 0)
            raise(key_taken(TextDatumGetCString(key)));
    }
    jobs.renew_snapshot();
    const std::optional<Row> found = jobs.find_by_key(DatumGetTextPP(key));
    if (!found)
        // Only an older snapshot can miss a row that our insert has run into.
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to concurrent insert of job_id \"%s\"",
                               TextDatumGetCString(key))));
    if (found->text(Column::job_type) != wanted.text(Column::job_type) ||
        !store::same(DatumGetUUIDP((*found)[Column::organisation_id]), DatumGetUUIDP(wanted[Column::organisation_id])))
        raise(key_taken(TextDatumGetCString(key)));
    return store::copy(*found);
}

struct Enqueued {
    Row row;
    bool created;
};

Enqueued enqueue(Jobs &jobs, const NewJob &wanted)
{
    const bool keyed = static_cast<bool>(wanted.job_id);
    Row row = make_row(jobs, wanted);
    if (jobs.insert(row, keyed))
        return {row, true};
    return {existing(jobs, row), false};
}

void require_may_insert(const Jobs &jobs)
{
    if (store::direct(jobs.tables(), store::Operation::insert, 0))
        require_insert(jobs.tables());
}

NewJob from_object(const JsonbValue &element)
{
    if (!pg::is_object(element))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("a job must be a JSON object")));
    NewJob job;
    pg::each_member(element.val.binary.data, [&](const pg::JsonMember &member) {
        for (const NewJobField &field : new_job_fields) {
            if (member.key != field.name)
                continue;
            // A JSON null means the default, but for the objects, where it is a value of the wrong kind.
            job.*field.member = pg::sql_value(member.value, field.type, field.name);
            return;
        }
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("unknown key \"%.*s\"", static_cast<int>(member.key.size()), member.key.data())));
    });
    return job;
}

} // namespace

JOBS_FUNCTION(job_enqueue)
{
    NewJob wanted;
    for (std::size_t i = 0; i < std::size(new_job_fields); ++i)
        wanted.*new_job_fields[i].member = pg::argument(fcinfo, static_cast<int>(i));

    pg::StatementScope scope("job_enqueue()");
    Jobs jobs = Jobs::open();
    require_may_insert(jobs);
    const Enqueued enqueued = enqueue(jobs, wanted);
    return answer(fcinfo, enqueued.row, BoolGetDatum(enqueued.created));
}

JOBS_FUNCTION(job_enqueue_many)
{
    Jsonb *list = DatumGetJsonbP(require(pg::argument(fcinfo, 0), "jobs"));
    if (!JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("jobs must be a JSON array")));

    pg::RowSink sink(fcinfo);
    pg::StatementScope scope("job_enqueue_many()");
    Jobs jobs = Jobs::open();
    require_may_insert(jobs);
    pg::RowMemory memory;
    pg::ElementContext context("jobs");
    pg::each_element(&list->root, [&](const JsonbValue &element, int position) {
        CHECK_FOR_INTERRUPTS();
        context.position = position;
        pg::RowMemory::Use use(memory);
        const Enqueued enqueued = enqueue(jobs, from_object(element));
        JobState state = state_of(enqueued.row, BoolGetDatum(enqueued.created));
        sink.put(state.values, state.nulls);
    });
    return Datum{0};
}

} // namespace verbs
