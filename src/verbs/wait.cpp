// job_wait: until a job has ended.
#include "call/wait_loop.hpp"
#include "job/refusal.hpp"
#include "pg/excerpt.hpp"
#include "pg/scope.hpp"
#include "store/open_table.hpp"
#include "store/row.hpp"
#include "verbs/list.hpp"

namespace verbs {

namespace {

struct Found {
    HeapTuple row; // null: there is no such job
    pg_uuid_t id;
    bool ended;
};

// Under row security, functions of the user's policies run: whatever they lock stays locked.
bool runs_code_of_theirs()
{
    for (const store::ApiTable which : {store::ApiTable::jobs, store::ApiTable::jobs_archive}) {
        const std::optional<store::TableId> table = store::find_table(which);
        if (table && check_enable_rls(table->in_catalogs(), InvalidOid, true) == RLS_ENABLED)
            return true;
    }
    return TransactionIdIsValid(GetTopTransactionIdIfAny());
}

// A column of it that has to be there: a row put into the archive by hand may lack any.
Datum required_column(const pg::RowSink &sink, HeapTuple row, store::Column column)
{
    const pg::Nullable value = sink.column(row, store::index_of(column));
    if (!value)
        ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                        errmsg("column \"%s\" of the job is null", store::columns[store::index_of(column)].name),
                        errhint("Somebody wrote it so, in jobs without its constraint or in jobs_archive.")));
    return value.value;
}

// With a snapshot of its own; keeps no lock if it can, since the caller may go to sleep.
Found look_for_job(const call::JobName &name, pg::RowSink &sink)
{
    CommandCounterIncrement();
    Found found = {};
    {
        pg::BriefLocks brief(!runs_code_of_theirs());
        PushActiveSnapshot(GetTransactionSnapshot());
        found.row = find_job(name);
        PopActiveSnapshot();
    }
    if (found.row != nullptr) {
        found.id = *DatumGetUUIDP(required_column(sink, found.row, store::Column::id));
        char *status = TextDatumGetCString(required_column(sink, found.row, store::Column::status));
        const std::optional<logic::Status> parsed = logic::parse_status(status);
        found.ended = parsed && logic::has_ended(*parsed);
    }
    return found;
}

[[noreturn]] void raise_no_such_job(const call::JobName &name)
{
    call::raise(
        job::no_such_job(name.id ? store::to_text(DatumGetUUIDP(name.id.value)) : pg::text_excerpt(name.job_id.value)));
}

struct Wait {
    std::optional<store::Microseconds> wait;
};
constexpr call::Field<Wait> wait_fields[] = {{"wait", INTERVALOID, &Wait::wait, call::span_from_zero}};

} // namespace

JOBS_FUNCTION(job_wait)
{
    call::JobName name;
    Wait given;
    call::read_arguments<call::job_name_fields, wait_fields>(fcinfo, name, given);
    PreventCommandIfParallelMode("job_wait()");
    pg::RowSink sink(fcinfo, store::row_type());
    call::Waiting waiting(given.wait, shared::Purpose::end);
    pg_uuid_t job;
    for (bool known = false;;) {
        if (name.id && waiting.place() != nullptr)
            waiting.place()->arm(*DatumGetUUIDP(name.id.value));
        const Found found = look_for_job(name, sink);
        if (found.row == nullptr && !known)
            raise_no_such_job(name);
        // One that was deleted while we waited has ended as well.
        if (found.row == nullptr)
            return Datum{0};
        // By its id from now on: only so can we be woken.
        const bool armed = static_cast<bool>(name.id) || waiting.place() == nullptr;
        job = found.id;
        name = {UUIDPGetDatum(&job), {}};
        known = true;
        if (!found.ended && (!armed || waiting.sleep()))
            continue;
        sink.put(found.row);
        return Datum{0};
    }
}

} // namespace verbs
