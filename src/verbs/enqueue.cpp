// job_enqueue, job_enqueue_many.
#include <algorithm>

#include "call/answer.hpp"
#include "call/privileges.hpp"
#include "job/new_job.hpp"
#include "job/refusal.hpp"
#include "pg/excerpt.hpp"
#include "pg/subtransaction.hpp"
#include "pg/uuid.hpp"
#include "settings.hpp"
#include "store/statement.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Jobs;
using store::Row;

std::optional<Row> find_by_job_id(Jobs &jobs, Datum key)
{
    jobs.renew_snapshot();
    return jobs.find_by_key(DatumGetTextPP(key));
}

// The job that has the key, if it is one that the caller may know: of the same type and organisation, and visible under
// row security. Else PT409. Nothing: nobody has the key any more, the job that had it was deleted or archived
// meanwhile.
std::optional<Row> existing(Jobs &jobs, const Row &wanted)
{
    call::require_select(jobs.tables().jobs);
    const Datum key = wanted[Column::job_id];
    std::optional<Row> found = find_by_job_id(jobs, key);
    if (!found && IsolationUsesXactSnapshot())
        // Only an older snapshot can miss a row that our insert has run into.
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to concurrent insert of job_id \"%s\"",
                               pg::text_excerpt(key))));
    if (!found)
        return std::nullopt;
    const Row seen = store::copy(*found);
    if (!job::may_see_job(jobs, seen.id())) {
        // Hidden, or gone between the two looks: the key is taken only if the same job still has it.
        found = find_by_job_id(jobs, key);
        if (!found || !store::same_id(found->id(), seen.id()))
            return std::nullopt;
        call::raise(job::key_taken(pg::text_excerpt(key)));
    }
    if (seen.text(Column::job_type) != wanted.text(Column::job_type) ||
        !store::same_id(DatumGetUUIDP(seen[Column::organisation_id]), DatumGetUUIDP(wanted[Column::organisation_id])))
        call::raise(job::key_taken(pg::text_excerpt(key)));
    return seen;
}

// Inserts by a statement that does not pass over a key that is taken: so where it writes nothing, a trigger or rule of
// the user's kept the row from being written, which is 09000. Null: it is written; else why the key is taken.
ErrorData *insert_or_be_refused(Jobs &jobs, Row &row)
{
    // Never straight to the table, be that possible by now: what that would open has to outlive the subtransaction.
    return pg::in_subtransaction(
        [&] { (void)store::statement::insert_by_statement(jobs.current(), row, false); },
        [](const ErrorData *raised) { return raised->sqlerrcode != ERRCODE_UNIQUE_VIOLATION; });
}

// Inserts the row, or sets it to the job that has its key. Says whether it was created.
//
// Where the key was taken and then nobody has it, its job was deleted or archived in between: then once more. Each
// round another transaction has got on, so only a cancel limits them. On the statement path a trigger or rule that
// keeps the row from being written looks like a key that is taken (statement::insert), in each round: there a second
// insert tells them apart. A trigger that gives the row another key, one that is taken, is found by the number of
// rounds.
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

} // namespace

JOBS_FUNCTION(job_enqueue)
{
    const job::NewJob wanted = call::read_arguments<job::new_job_fields>(fcinfo);
    pg::StatementScope scope("job_enqueue()");
    Jobs jobs = Jobs::open(call::require_any_insert);
    job::require_may_insert(jobs);
    const TimestampTz now = settings::now();
    Row row = job::make_row(jobs, wanted, now, pg::time_ordered_uuid(now));
    const bool created = insert_or_find(jobs, row, static_cast<bool>(wanted.job_id));
    return call::answer(fcinfo, row, BoolGetDatum(created));
}

namespace {

// An element that names its job. The others are made when their turn comes and leave nothing behind: what a call holds
// in memory must not be a multiple of what it was given. Of each element it holds its birth, and no more where there
// are no names.
struct Keyed {
    std::string_view key;
    JsonbContainer *object;
    HeapTuple answer;
    int position;
};

// When a job is made, and its id, which begins with that. Each job of a call has a time of its own, a microsecond after
// the one before at least: were it the same for many, the indexes on created_at would be full of equal keys, which an
// update of a job looks through. By the time at which the call commits the last one is over. Where a test has the clock
// stand, it is the same for all.
struct Birth {
    TimestampTz at;
    pg_uuid_t id;
};

std::span<const Birth> births_of(std::size_t count)
{
    auto births = static_cast<Birth *>(pg::allocate(sizeof(Birth) * count));
    const bool stands = settings::clock_stands();
    TimestampTz last = DT_NOBEGIN;
    for (std::size_t i = 0; i < count; ++i) {
        last = stands ? settings::now() : std::max(settings::now(), last + 1);
        births[i] = {last, *pg::time_ordered_uuid(last)};
    }
    return {births, count};
}

struct Keys {
    std::span<Keyed> list;         // in the order of the array
    std::span<const Birth> births; // of all elements, by position from 0
};

std::optional<std::string_view> job_id_of(const JsonbValue &element)
{
    const auto key = pg::is_object(element) ? pg::find_member(element.val.binary.data, "job_id") : std::nullopt;
    if (!key || key->type == jbvNull)
        return std::nullopt;
    return key->type == jbvString ? std::string_view(key->val.string.val, static_cast<std::size_t>(key->val.string.len))
                                  : std::string_view();
}

Keys read_keys(JsonbContainer *list)
{
    std::size_t count = 0;
    pg::each_element(list, [&](const JsonbValue &element, int) { count += job_id_of(element).has_value(); });
    Keys keys;
    keys.list = {static_cast<Keyed *>(pg::allocate(sizeof(Keyed) * count)), count};
    std::size_t next = 0;
    pg::each_element(list, [&](const JsonbValue &element, int position) {
        if (const auto key = job_id_of(element))
            keys.list[next++] = {*key, element.val.binary.data, nullptr, position};
    });
    // Given in the order of the array, though they are used in another.
    keys.births = births_of(JsonContainerSize(list));
    return keys;
}

// Inserts the jobs of an array, whose times and ids are in its order.
class Batch {
public:
    Batch(Jobs &jobs, JsonbContainer *list, pg::RowSink &sink)
        : jobs_(jobs), list_(list), sink_(sink), keys_(read_keys(list))
    {
    }

    void insert()
    {
        insert_keyed();
        std::size_t next = 0;
        pg::each_element(list_, [&](const JsonbValue &element, int position) {
            if (next < keys_.list.size() && keys_.list[next].position == position)
                sink_.put(keys_.list[next++].answer);
            else
                insert(object_of(element, position), position, [&](const pg::RowBuilder &state) { sink_.put(state); });
        });
    }

private:
    // Two calls with the same keys in another order would wait for each other: keys are taken in their own order, and
    // before a row without one, whatever the order of the array, which is that of the times, of the ids and of the
    // answer.
    void insert_keyed()
    {
        auto order = static_cast<Keyed **>(pg::allocate(sizeof(Keyed *) * keys_.list.size()));
        Keyed **end = order;
        for (Keyed &keyed : keys_.list)
            *end++ = &keyed;
        std::sort(order, end, [](const Keyed *a, const Keyed *b) {
            return a->key != b->key ? a->key < b->key : a->position < b->position;
        });
        for (Keyed **keyed = order; keyed != end; ++keyed)
            insert((*keyed)->object, (*keyed)->position, [&](const pg::RowBuilder &state) {
                pg::InMemory lasting(answers_);
                (*keyed)->answer = sink_.form(state);
            });
    }

    JsonbContainer *object_of(const JsonbValue &element, int position)
    {
        context_.position = position;
        pg::require_object(element, "a job");
        return element.val.binary.data;
    }

    template <class Answer>
    void insert(JsonbContainer *object, int position, Answer answer)
    {
        CHECK_FOR_INTERRUPTS();
        context_.position = position;
        pg::RowMemory::Use use(memory_);
        job::NewJob wanted;
        call::read_members<job::new_job_fields>(object, nullptr, wanted);
        const Birth &birth = keys_.births[position - 1];
        Row row = job::make_row(jobs_, wanted, birth.at, &birth.id);
        const bool created = insert_or_find(jobs_, row, static_cast<bool>(wanted.job_id));
        answer(call::state_of(row, BoolGetDatum(created)));
    }

    Jobs &jobs_;
    JsonbContainer *list_;
    pg::RowSink &sink_;
    const Keys keys_;
    pg::DenseMemory answers_;
    pg::RowMemory memory_;
    pg::ElementContext context_{"jobs"};
};

struct EnqueueMany {
    JsonbContainer *jobs;
};
constexpr call::Field<EnqueueMany> enqueue_many_fields[] = {{"jobs", JSONBOID, &EnqueueMany::jobs}};

} // namespace

JOBS_FUNCTION(job_enqueue_many)
{
    const EnqueueMany given = call::read_arguments<enqueue_many_fields>(fcinfo);
    pg::RowSink sink(fcinfo, call::job_state_type);
    pg::StatementScope scope("job_enqueue_many()");
    Jobs jobs = Jobs::open(call::require_any_insert);
    job::require_may_insert(jobs);
    Batch(jobs, given.jobs, sink).insert();
    return Datum{0};
}

} // namespace verbs
