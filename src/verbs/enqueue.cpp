// job_enqueue, job_enqueue_many.
#include <algorithm>

#include "pg/attempt.hpp"
#include "pg/excerpt.hpp"
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

std::optional<Row> find_by_key(Jobs &jobs, Datum key)
{
    jobs.renew_snapshot();
    return jobs.find_by_key(DatumGetTextPP(key));
}

// Whether the caller may see the job: by a statement of the caller's, under row security.
bool may_see(const Jobs &jobs, const pg_uuid_t *id)
{
    if (check_enable_rls(jobs.tables().jobs.in_catalogs(), InvalidOid, true) != RLS_ENABLED)
        return true;
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(id)}};
    return pg::run("select 1 from public.jobs where id operator(pg_catalog.=) $1", parameters) > 0;
}

// The job that has the key, if it is one that the caller may know: of the same type and organisation, and visible under row
// security. Else PT409. Nothing: nobody has the key any more, the job that had it was deleted or archived meanwhile.
std::optional<Row> existing(Jobs &jobs, const Row &wanted)
{
    require_select(jobs.tables());
    const Datum key = wanted[Column::job_id];
    std::optional<Row> found = find_by_key(jobs, key);
    if (!found && IsolationUsesXactSnapshot())
        // Only an older snapshot can miss a row that our insert has run into.
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to concurrent insert of job_id \"%s\"",
                               pg::text_excerpt(key))));
    if (!found)
        return std::nullopt;
    const Row seen = store::copy(*found);
    if (!may_see(jobs, seen.id())) {
        // Hidden, or gone between the two looks: the key is taken only if the same job still has it.
        found = find_by_key(jobs, key);
        if (!found || !store::same(found->id(), seen.id()))
            return std::nullopt;
        raise(key_taken(pg::text_excerpt(key)));
    }
    if (seen.text(Column::job_type) != wanted.text(Column::job_type) ||
        !store::same(DatumGetUUIDP(seen[Column::organisation_id]), DatumGetUUIDP(wanted[Column::organisation_id])))
        raise(key_taken(pg::text_excerpt(key)));
    return seen;
}

// Inserts by a statement that does not pass over a key that is taken: so where it writes nothing, a trigger or rule of the
// user's kept the row from being written, which is 09000. Null: it is written; else why the key is taken.
ErrorData *insert_or_be_refused(Jobs &jobs, Row &row)
{
    return pg::attempt([&] { jobs.insert(row, false); },
                       [](const ErrorData *raised) { return raised->sqlerrcode != ERRCODE_UNIQUE_VIOLATION; });
}

// Inserts the row, or sets it to the job that has its key. Says whether it was created.
//
// Where the key was taken and then nobody has it, its job was deleted or archived in between: then once more. Each round
// another transaction has got on, so only a cancel limits them. On the statement path a trigger or rule that keeps the row
// from being written looks like a key that is taken (statement::insert), in each round: there a second insert tells them
// apart. A trigger that gives the row another key, one that is taken, is found by the number of rounds.
bool insert_or_find(Jobs &jobs, Row &row, bool keyed)
{
    constexpr int most_refusals = 10;
    for (int refusals = 0;;) {
        CHECK_FOR_INTERRUPTS();
        if (jobs.insert(row, keyed))
            return true;
        if (const std::optional<Row> found = existing(jobs, row)) {
            row = *found;
            return false;
        }
        if (jobs.only_direct())
            continue;
        ErrorData *refused = insert_or_be_refused(jobs, row);
        if (refused == nullptr)
            return true;
        if (++refusals == most_refusals)
            ReThrowError(refused);
        FreeErrorData(refused);
    }
}

NewJob from_object(const JsonbValue &element)
{
    if (!pg::is_object(element))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("a job must be a JSON object")));
    NewJob job;
    pg::each_member(element.val.binary.data, [&](const pg::JsonMember &member) {
        if (!set_field(job, member))
            ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("unknown key \"%s\"", pg::excerpt(member.key))));
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

    pg::RowSink sink(fcinfo, job_state_type);
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
