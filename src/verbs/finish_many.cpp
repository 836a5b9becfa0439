// job_finish_many, job_release_worker.
#include "call/arguments.hpp"
#include "call/privileges.hpp"
#include "job/lease_list.hpp"
#include "pg/excerpt.hpp"
#include "pg/json.hpp"
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

[[noreturn]] void raise_unknown_detail(const char *of, const pg::JsonMember &member)
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
    else if (member.key == "permanent") {
        if (member.value.type != jbvNull)
            outcome.permanent = DatumGetBool(pg::sql_value(member.value, BOOLOID, "permanent").value);
    } else if (member.key == "error_details") {
        if (member.value.type != jbvNull)
            outcome.error_details = pg::sql_value(member.value, JSONBOID, "error_details");
    } else
        raise_unknown_detail("fail", member);
}

void read_release(Outcome &outcome, const pg::JsonMember &member)
{
    if (member.key != "run_at")
        raise_unknown_detail("release", member);
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

// Counts what says how the attempt ended. A key whose value is JSON null is as one that is left out where another has
// a value: clients that know all three send all three.
struct Endings {
    int with_value = 0;
    int null = 0;

    int count() const { return with_value > 0 ? with_value : null; }
    // Whether the key is to be followed.
    bool add(const pg::JsonMember &member)
    {
        const bool is_null = member.value.type == jbvNull;
        ++(is_null ? null : with_value);
        return !is_null || with_value == 0;
    }
};

struct Wanted : Outcome {
    bool has_ending = false; // also when the rest cannot be read
};

bool read_ending(Wanted &outcome, const pg::JsonMember &member, Endings &endings)
{
    if (member.key != "complete" && member.key != "fail" && member.key != "release")
        return false;
    if (!endings.add(member))
        return true;
    outcome.has_ending = true;
    if (member.key == "complete") {
        outcome.ending = Ending::complete;
        if (member.value.type != jbvNull)
            outcome.result = pg::sql_value(member.value, JSONBOID, "complete");
    } else if (member.key == "fail") {
        outcome.ending = Ending::fail;
        read_details(member, "fail", [&](const pg::JsonMember &detail) { read_failure(outcome, detail); });
    } else {
        outcome.ending = Ending::release;
        read_details(member, "release", [&](const pg::JsonMember &detail) { read_release(outcome, detail); });
    }
    return true;
}

constexpr const char *ending_names[] = {"complete", "fail", "release"};

pg::Nullable text_of(const char *text) { return CStringGetTextDatum(text); }

template <class Emit>
void emit_row(pg::Nullable id, pg::Nullable ending, int state, pg::Nullable status, const Emit &emit)
{
    const pg::Nullable sqlstate = state == 0 ? pg::Nullable{} : text_of(unpack_sql_state(state));
    Datum values[] = {id.value, ending.value, sqlstate.value, status.value};
    bool nulls[] = {id.null, ending.null, sqlstate.null, status.null};
    emit(values, nulls, static_cast<int>(std::size(values)));
}

struct FinishMany {
    using Element = Wanted;

    void read(const JsonbValue &value, Element &outcome)
    {
        job::LeaseReader lease(value);
        Endings endings;
        pg::each_member(value.val.binary.data, [&](const pg::JsonMember &member) {
            if (lease.take(member))
                return;
            if (!read_ending(outcome, member, endings))
                lease.unknown_key(member);
        });
        outcome.has_ending = endings.count() == 1;
        if (!outcome.has_ending)
            ereport(ERROR, (errcode(sqlstate::bad_argument),
                            errmsg("an outcome has exactly one of \"complete\", \"fail\" and \"release\": this has %d",
                                   endings.count())));
        outcome.lease = lease.get();
        check_outcome(outcome);
    }

    template <class Emit>
    void work(Jobs &jobs, const Element &outcome, const Emit &emit)
    {
        Row row = {};
        row.null.fill(true);
        const std::optional<call::Refusal> refusal = finish_job(jobs, outcome, row);
        if (refusal && refusal->sqlstate == sqlstate::too_large)
            notices.tell(refusal->message);
        emit_row(UUIDPGetDatum(&outcome.lease.job), text_of(ending_names[static_cast<int>(outcome.ending)]),
                 refusal ? refusal->sqlstate : 0, row.get(Column::status), emit);
    }

    template <class Emit>
    void refuse(const Element &outcome, pg::Nullable id, const ErrorData *error, const Emit &emit)
    {
        emit_row(id, outcome.has_ending ? text_of(ending_names[static_cast<int>(outcome.ending)]) : pg::Nullable{},
                 error->sqlerrcode, {}, emit);
    }

    job::Notices notices;
};

} // namespace

JOBS_FUNCTION(job_finish_many)
{
    JsonbContainer *list = call::array_argument(fcinfo, 0, "outcomes");
    static constexpr Oid gives[] = {UUIDOID, TEXTOID, TEXTOID, TEXTOID};
    pg::RowSink sink(fcinfo, gives);
    pg::StatementScope scope("job_finish_many()");
    Jobs jobs = Jobs::open(call::require_update);
    FinishMany verb;
    job::LeaseList<FinishMany>(verb, list, "outcomes", sink).run(jobs);
    return Datum{0};
}

namespace {

std::string_view name_of_worker(Datum worker)
{
    const text *name = DatumGetTextPP(worker);
    return {VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)};
}

// The ids of all jobs that run for this worker.
List *held_by(Jobs &jobs, Datum worker)
{
    List *held = NIL;
    const std::string_view name = name_of_worker(worker);
    store::LaneScan running(jobs.derived().queue(), GetActiveSnapshot(), logic::running_lane, DT_NOEND);
    for (; running.head() != nullptr; running.advance()) {
        const std::optional<Row> job = jobs.find(&running.head()->job);
        if (!job || !job->has(Column::worker) || job->text(Column::worker) != name)
            continue;
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

} // namespace

JOBS_FUNCTION(job_release_worker)
{
    const Datum worker = call::require_value(pg::argument(fcinfo, 0), "worker");
    call::check_length(worker, PG_INT32_MAX, "worker");
    pg::StatementScope scope("job_release_worker()");
    Jobs jobs = Jobs::open(call::require_update);
    // Before its jobs go back: a session that the dead worker left asleep must not take one of them.
    shared::sleepers::dismiss_sleepers(shared::dismissals::hash_of_worker(name_of_worker(worker)));
    int released = 0;
    ListCell *cell;
    foreach (cell, held_by(jobs, worker)) {
        CHECK_FOR_INTERRUPTS();
        Outcome outcome = {.lease = *static_cast<job::Lease *>(lfirst(cell)), .ending = Ending::release};
        Row row;
        // One that ended by itself meanwhile is none of the worker's any more.
        released += !finish_job(jobs, outcome, row);
    }
    return Int32GetDatum(released);
}

} // namespace verbs
