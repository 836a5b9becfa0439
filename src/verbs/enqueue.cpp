// job_enqueue, job_enqueue_many.
#include <algorithm>

#include "pg/json.hpp"
#include "pg/plan.hpp"
#include "pg/sqlstate.hpp"
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
    require_select(jobs.tables());
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
    if (!found && !IsolationUsesXactSnapshot())
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                        errmsg("a trigger or rule on jobs kept the new job from being written")));
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

// Inserts the row, or sets it to the job that has its key. Says whether it was created.
bool insert_or_find(Jobs &jobs, Row &row, bool keyed)
{
    if (jobs.insert(row, keyed))
        return true;
    row = existing(jobs, row);
    return false;
}

NewJob from_object(const JsonbValue &element)
{
    if (!pg::is_object(element))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("a job must be a JSON object")));
    NewJob job;
    pg::each_member(element.val.binary.data, [&](const pg::JsonMember &member) {
        if (!set_field(job, member))
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
    Row row = make_row(jobs, wanted);
    const bool created = insert_or_find(jobs, row, static_cast<bool>(wanted.job_id));
    return answer(fcinfo, row, BoolGetDatum(created));
}

namespace {

struct Element {
    Row row;
    bool keyed;
    int position;
};

// Two calls with the same keys in another order would wait for each other: keys are taken in their own order, whatever
// the order of the array, which is that of the ids and of the answer.
bool takes_key_before(const Element *a, const Element *b)
{
    if (a->keyed != b->keyed)
        return a->keyed;
    if (a->keyed && a->row.text(Column::job_id) != b->row.text(Column::job_id))
        return a->row.text(Column::job_id) < b->row.text(Column::job_id);
    return a->position < b->position;
}

} // namespace

JOBS_FUNCTION(job_enqueue_many)
{
    Jsonb *list = DatumGetJsonbP(require(pg::argument(fcinfo, 0), "jobs"));
    if (!JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("jobs must be a JSON array")));

    pg::RowSink sink(fcinfo);
    pg::StatementScope scope("job_enqueue_many()");
    Jobs jobs = Jobs::open();
    require_may_insert(jobs);
    const std::size_t count = JsonContainerSize(&list->root);
    std::span<Element> elements(static_cast<Element *>(pg::allocate(sizeof(Element) * count)), count);
    std::span<Element *> order(static_cast<Element **>(pg::allocate(sizeof(Element *) * count)), count);
    pg::ElementContext context("jobs");
    pg::each_element(&list->root, [&](const JsonbValue &value, int position) {
        CHECK_FOR_INTERRUPTS();
        context.position = position;
        const NewJob wanted = from_object(value);
        elements[position - 1] = {make_row(jobs, wanted), static_cast<bool>(wanted.job_id), position};
        order[position - 1] = &elements[position - 1];
    });

    std::sort(order.begin(), order.end(), takes_key_before);
    Datum *created = static_cast<Datum *>(pg::allocate(sizeof(Datum) * count));
    for (Element *element : order) {
        CHECK_FOR_INTERRUPTS();
        context.position = element->position;
        created[element->position - 1] = BoolGetDatum(insert_or_find(jobs, element->row, element->keyed));
    }
    for (std::size_t i = 0; i < count; ++i) {
        JobState state = state_of(elements[i].row, created[i]);
        sink.put(state.values, state.nulls);
    }
    return Datum{0};
}

} // namespace verbs
