// job_finish_many, job_release_worker.
#include "pg/excerpt.hpp"
#include "pg/json.hpp"
#include "pg/sqlstate.hpp"
#include "store/queue_scan.hpp"
#include "verbs/arguments.hpp"
#include "verbs/finish.hpp"
#include "verbs/privileges.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Jobs;
using store::Row;

[[noreturn]] void unknown_key(const char *of, const pg::JsonMember &member)
{
    ereport(ERROR,
            (errcode(sqlstate::bad_argument), errmsg("unknown key \"%s\" in \"%s\"", pg::excerpt(member.key), of)));
}

std::optional<TimestampTz> read_time(const pg::JsonMember &member)
{
    return time_argument(pg::sql_value(member.value, TIMESTAMPTZOID, "run_at"), "run_at");
}

void read_failure(Outcome &outcome, const pg::JsonMember &member)
{
    if (member.key == "error_message")
        outcome.error_message = pg::sql_value(member.value, TEXTOID, "error_message");
    else if (member.key == "run_at")
        outcome.run_at = read_time(member);
    else if (member.key == "permanent")
        outcome.permanent = DatumGetBool(require(pg::sql_value(member.value, BOOLOID, "permanent"), "permanent"));
    else if (member.key == "error_details") {
        if (member.value.type != jbvNull)
            outcome.error_details = pg::sql_value(member.value, JSONBOID, "error_details");
    } else
        unknown_key("fail", member);
}

void read_release(Outcome &outcome, const pg::JsonMember &member)
{
    if (member.key != "run_at")
        unknown_key("release", member);
    outcome.run_at = read_time(member);
}

// The details of a fail or release: an object, or null for none.
template <class Read>
void read_details(const pg::JsonMember &member, const char *key, Read read)
{
    if (member.value.type == jbvNull)
        return;
    if (!pg::is_object(member.value))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("\"%s\" must be a JSON object", key)));
    pg::each_member(member.value.val.binary.data, read);
}

Outcome from_object(const JsonbValue &element)
{
    Outcome outcome = {};
    LeaseReader lease(element);
    int endings = 0;
    pg::each_member(element.val.binary.data, [&](const pg::JsonMember &member) {
        if (lease.take(member))
            return;
        ++endings;
        if (member.key == "complete") {
            outcome.ending = Ending::complete;
            if (member.value.type != jbvNull)
                outcome.result = pg::sql_value(member.value, JSONBOID, "complete");
        } else if (member.key == "fail") {
            outcome.ending = Ending::fail;
            read_details(member, "fail", [&](const pg::JsonMember &detail) { read_failure(outcome, detail); });
        } else if (member.key == "release") {
            outcome.ending = Ending::release;
            read_details(member, "release", [&](const pg::JsonMember &detail) { read_release(outcome, detail); });
        } else
            lease.unknown_key(member);
    });
    if (endings != 1)
        ereport(ERROR,
                (errcode(sqlstate::bad_argument),
                 errmsg("an outcome has exactly one of \"complete\", \"fail\" and \"release\": this has %d", endings)));
    outcome.lease = lease.get();
    check(outcome);
    return outcome;
}

constexpr const char *ending_names[] = {"complete", "fail", "release"};

} // namespace

JOBS_FUNCTION(job_finish_many)
{
    JsonbContainer *list = array_argument(fcinfo, 0, "outcomes");
    static constexpr Oid gives[] = {UUIDOID, TEXTOID, TEXTOID, TEXTOID};
    pg::RowSink sink(fcinfo, gives);
    pg::StatementScope scope("job_finish_many()");
    Jobs jobs = Jobs::open();
    require_update(jobs.tables());
    in_order_of_id<Outcome>(list, "outcomes", from_object, sink, jobs, [&](const Outcome &outcome, const auto &emit) {
        Row row = {};
        row.null.fill(true);
        const std::optional<Refusal> refusal = finish(jobs, outcome, row);
        Datum values[] = {UUIDPGetDatum(&outcome.lease.job),
                          CStringGetTextDatum(ending_names[static_cast<int>(outcome.ending)]),
                          refusal ? CStringGetTextDatum(unpack_sql_state(refusal->sqlstate)) : Datum{0},
                          row.value[store::index(Column::status)]};
        bool nulls[] = {false, false, !refusal, row.null[store::index(Column::status)]};
        emit(values, nulls, static_cast<int>(std::size(values)));
    });
    return Datum{0};
}

namespace {

// The ids of all jobs that run for this worker.
List *held_by(Jobs &jobs, Datum worker)
{
    List *held = NIL;
    const text *wanted = DatumGetTextPP(worker);
    const std::string_view name(VARDATA_ANY(wanted), VARSIZE_ANY_EXHDR(wanted));
    store::LaneScan running(jobs.derived().queue(), GetActiveSnapshot(), logic::running_lane, DT_NOEND);
    for (; running.head() != nullptr; running.advance()) {
        const std::optional<Row> job = jobs.find(&running.head()->job);
        if (!job || !job->has(Column::worker) || job->text(Column::worker) != name)
            continue;
        auto lease = static_cast<Lease *>(palloc(sizeof(Lease)));
        *lease = {running.head()->job, *DatumGetUUIDP((*job)[Column::lease_id])};
        held = lappend(held, lease);
    }
    list_sort(held, [](const ListCell *a, const ListCell *b) {
        return std::memcmp(&static_cast<Lease *>(lfirst(a))->job, &static_cast<Lease *>(lfirst(b))->job, UUID_LEN);
    });
    return held;
}

} // namespace

JOBS_FUNCTION(job_release_worker)
{
    const Datum worker = require(pg::argument(fcinfo, 0), "worker");
    check_length(worker, PG_INT32_MAX, "worker");
    pg::StatementScope scope("job_release_worker()");
    Jobs jobs = Jobs::open();
    require_update(jobs.tables());
    int released = 0;
    ListCell *cell;
    foreach (cell, held_by(jobs, worker)) {
        CHECK_FOR_INTERRUPTS();
        Outcome outcome = {.lease = *static_cast<Lease *>(lfirst(cell)), .ending = Ending::release};
        Row row;
        // One that ended by itself meanwhile is none of the worker's any more.
        released += !finish(jobs, outcome, row);
    }
    return Int32GetDatum(released);
}

} // namespace verbs
