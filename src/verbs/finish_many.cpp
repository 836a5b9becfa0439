// job_finish_many, job_release_worker.
//
// Both write several jobs in one transaction, and lock them in the order of their ids, as upkeep does: so two such
// calls never wait for each other in a circle. What is wrong with one element of job_finish_many is its answer, and
// the others take effect (job/lease_list.hpp). For each job the race is that of job_complete (verbs/finish.hpp).
#include "call/privileges.hpp"
#include "job/lease_list.hpp"
#include "pg/sqlstate.hpp"
#include "shared/dismissals.hpp"
#include "shared/sleepers.hpp"
#include "store/queue_scan.hpp"
#include "verbs/finish.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Jobs;
using store::Row;

// An element: a lease and one outcome. Clients with a typed record send all three keys, two of them JSON null, so a
// null beside a value counts as left out. A single key that is null is the outcome, without anything to add. Both are
// counted, because any other number of outcomes is 22023.
struct FinishElement : Outcome {
    int with_value = 0;
    int with_null = 0;

    int endings() const { return with_value > 0 ? with_value : with_null; }
    void check_combination() const
    {
        if (endings() != 1)
            ereport(ERROR, (errcode(sqlstate::bad_argument),
                            errmsg("an outcome has exactly one of \"complete\", \"fail\" and \"release\": this has %d",
                                   endings())));
    }
};

// Reads the value of a key, which names the ending. Where the keys contradict each other check_combination() says so; a
// null after a value must not take its place.
template <Ending ending>
void read_ending(FinishElement &outcome, const JsonbValue &value, const char *key)
{
    const bool is_null = value.type == jbvNull;
    ++(is_null ? outcome.with_null : outcome.with_value);
    if (is_null && outcome.with_value > 0)
        return;
    outcome.ending = ending;
    if (is_null)
        return;
    if constexpr (ending == Ending::complete)
        complete_fields[0].take_json(outcome, value);
    else if constexpr (ending == Ending::fail)
        call::read_object<fail_fields>(value, key, key, outcome);
    else
        call::read_object<release_fields>(value, key, key, outcome);
}

constexpr call::Field<FinishElement> ending_fields[] = {
    {"complete", JSONBOID, read_ending<Ending::complete>, call::anything, call::null_is_value},
    {"fail", JSONBOID, read_ending<Ending::fail>, call::anything, call::null_is_value},
    {"release", JSONBOID, read_ending<Ending::release>, call::anything, call::null_is_value},
};

constexpr Oid finish_many_type[] = {UUIDOID, TEXTOID, TEXTOID, TEXTOID};

// The row for one element: the job's id, the outcome where the element has exactly one, the SQLSTATE of the refusal
// (`state`, 0: none), the job's status as it is afterwards.
pg::RowBuilder finish_answer(const FinishElement &outcome, pg::Nullable id, int state, pg::Nullable status)
{
    const char *ending = ending_fields[static_cast<int>(outcome.ending)].name.data();
    pg::RowBuilder row(finish_many_type);
    row.add(id);
    row.add(outcome.endings() == 1 ? ending : nullptr);
    row.add(state != 0 ? unpack_sql_state(state) : nullptr);
    row.add(status);
    return row;
}

struct FinishMany {
    using Element = FinishElement;
    static constexpr const auto &fields = ending_fields;

    pg::RowBuilder answer_element(Jobs &jobs, const Element &outcome)
    {
        Row row = {};
        row.null.fill(true);
        const std::optional<call::Refusal> refusal = finish_job(jobs, outcome, row);
        // The answer has a column for the SQLSTATE alone, and of PT413 only the message says which limit was passed.
        if (refusal && refusal->sqlstate == sqlstate::too_large)
            notices.tell(refusal->message);
        return finish_answer(outcome, UUIDPGetDatum(&outcome.lease.job), refusal ? refusal->sqlstate : 0,
                             row.get(Column::status));
    }

    pg::RowBuilder answer_unread(const Element &outcome, pg::Nullable id, int state)
    {
        return finish_answer(outcome, id, state, {});
    }

    JsonbContainer *outcomes = nullptr;
    job::Notices notices = {};
};

constexpr call::Field<FinishMany> finish_many_fields[] = {{"outcomes", JSONBOID, &FinishMany::outcomes}};

} // namespace

JOBS_FUNCTION(job_finish_many)
{
    FinishMany verb = call::read_arguments<finish_many_fields>(fcinfo);
    pg::RowSink sink(fcinfo, finish_many_type);
    pg::StatementScope scope("job_finish_many()");
    Jobs jobs = Jobs::open(call::require_update);
    job::LeaseList<FinishMany>(verb, verb.outcomes, "outcomes", sink).answer_all(jobs);
    return Datum{0};
}

namespace {

// The leases of all jobs that run under this name now, in the order of the jobs' ids. Lane 0 of the queue has the
// running jobs, so nothing else is read. A claim under this name that commits after the active snapshot was taken is
// not among them: its job stays in progress until its lease ends.
List *held_by(Jobs &jobs, Datum worker)
{
    List *held = NIL;
    const std::string_view name = pg::text_view(worker);
    MemoryContext lasting = CurrentMemoryContext;
    pg::RowMemory memory; // all running jobs are looked at, be they few of this worker's
    store::LaneScan running(jobs.derived().queue(), GetActiveSnapshot(), logic::running_lane, DT_NOEND);
    for (; running.head() != nullptr; running.advance()) {
        pg::RowMemory::Use use(memory);
        const std::optional<Row> job = jobs.find(&running.head()->job);
        if (!job || !job->has(Column::worker) || job->text(Column::worker) != name)
            continue;
        pg::InMemory kept(lasting);
        auto lease = static_cast<job::Lease *>(palloc(sizeof(job::Lease)));
        *lease = {running.head()->job, *DatumGetUUIDP((*job)[Column::lease_id])};
        held = lappend(held, lease);
    }
    list_sort(held, [](const ListCell *a, const ListCell *b) {
        return std::memcmp(&static_cast<job::Lease *>(lfirst(a))->job, &static_cast<job::Lease *>(lfirst(b))->job,
                           UUID_LEN);
    });
    return held;
}

struct ReleaseWorker {
    pg::Nullable worker;
};
constexpr call::Field<ReleaseWorker> release_worker_fields[] = {
    {"worker", TEXTOID, &ReleaseWorker::worker, call::length_up_to<PG_INT32_MAX>, call::required},
};

} // namespace

JOBS_FUNCTION(job_release_worker)
{
    const Datum worker = call::read_arguments<release_worker_fields>(fcinfo).worker.value;
    pg::StatementScope scope("job_release_worker()");
    Jobs jobs = Jobs::open(call::require_update);
    // Before its jobs go back to the queue: a session that the dead worker left asleep must not take one of them.
    // Shared memory knows no ROLLBACK: where this transaction is rolled back those waits have ended all the same, with
    // no row, and a worker that is alive asks again.
    shared::sleepers::dismiss_sleepers(shared::dismissals::hash_of_worker(pg::text_view(worker)));
    jobs.renew_snapshot(); // shows what such a session had claimed until then
    int released = 0;
    ListCell *cell;
    foreach (cell, held_by(jobs, worker)) {
        CHECK_FOR_INTERRUPTS();
        Outcome outcome = {.lease = *static_cast<job::Lease *>(lfirst(cell)), .ending = Ending::release};
        Row row;
        // Refused where the job has ended, or was given to another worker, since held_by() looked: not counted. A
        // refusal is a value, so one such job does not keep the others from being released.
        released += !finish_job(jobs, outcome, row);
    }
    return Int32GetDatum(released);
}

} // namespace verbs
