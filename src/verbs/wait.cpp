// job_wait: sleeps until a job has ended, and returns it.
//
// The session that waits meets the transaction that ends the job (a worker's verb, upkeep, a direct UPDATE) or deletes
// it, and the worker that moves it to the archive.
//   - No end is missed: the session arms its place under the job's id, then looks under a new snapshot. The other
//     transaction makes the end visible, then looks at the places (shared/at_commit.hpp). One of them sees the other.
//   - A job is in `jobs` or in the archive under any one snapshot, since one transaction moves it. find_job() looks in
//     `jobs` first, with a newer snapshot where it had to wait for the table (FreshLook), and then in the archive with
//     one that is not older: what left `jobs` before the first look is there.
//   - A job that is deleted, or gone by TRUNCATE, wakes the session as well: there is no row to return.
//   - A job that ended and was queued again by job_retry() before the session has looked is seen as queued: the session
//     goes on waiting, for the next end.
//   - A transaction that is rolled back wakes nobody, and the job has not ended.
// At REPEATABLE READ every look would show the same, so the call does not wait (call/wait_loop.hpp).
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
    HeapTuple row; // null: there is no such job, or the caller may not see it
    pg_uuid_t id;
    bool ended;
};

bool under_row_security(store::ApiTable which)
{
    const std::optional<store::TableId> table = store::find_table(which);
    return table && check_enable_rls(table->in_catalogs(), InvalidOid, true) == RLS_ENABLED;
}

// Whether the locks that a look takes must stay until the end of the transaction. Under row security a policy may call
// a function of the user's that locks something on purpose. And a transaction that has an id has written, which holds
// locks that others count on.
bool runs_code_of_theirs()
{
    return under_row_security(store::ApiTable::jobs) || under_row_security(store::ApiTable::jobs_archive) ||
           TransactionIdIsValid(GetTopTransactionIdIfAny());
}

// A column that each job has. Raises 23502 where it is null: nothing keeps an owner from writing such a row by hand.
Datum required_column(const pg::RowSink &sink, HeapTuple row, store::Column column)
{
    const pg::Nullable value = sink.column_of(row, store::index_of(column));
    if (!value)
        ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                        errmsg("column \"%s\" of the job is null", store::columns[store::index_of(column)].name),
                        errhint("Somebody wrote it so, in jobs without its constraint or in jobs_archive.")));
    return value.value;
}

// Looks under a snapshot of its own, newer than the arming. Keeps no lock on a table, where it may let go: the session
// may sleep for a minute afterwards, and an ALTER TABLE would wait for it, and everybody else for the ALTER. The
// snapshot is popped for the same reason, but the statement's own stays (src/README.md).
Found look_for_job(const call::JobName &name, pg::RowSink &sink)
{
    CommandCounterIncrement();
    Found found = {};
    {
        // Asked before the look: the answer opens nothing, and the scope must exist when the first lock is taken.
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
    call::Waiting waiting(given.wait, shared::Purpose::end, under_row_security(store::ApiTable::jobs));
    pg_uuid_t job;
    for (bool known = false;;) {
        if (name.id && waiting.place() != nullptr)
            waiting.place()->arm(*DatumGetUUIDP(name.id.value));
        const Found found = look_for_job(name, sink);
        if (found.row == nullptr && !known)
            raise_no_such_job(name);
        // The job was there and is not: a job that is deleted has ended as well, and there is no row to return.
        if (found.row == nullptr)
            return Datum{0};
        // A place is armed by id. A job that was named by job_id was looked at unarmed, so the session must look once
        // more before it may sleep: the job may have ended in between.
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
