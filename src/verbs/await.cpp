// job_await: job_claim for a worker that waits for long, as a procedure, because only a procedure may commit.
//
// A function that waits keeps the snapshot of its statement, and with it what vacuum would remove. This one, called
// where a COMMIT could stand, ends its transaction before it sleeps (call/wait_loop.hpp), and claims in another one
// when it is woken. What the claim meets is in claim.hpp. What else may happen while it sleeps:
//
//   The extension, its tables or its types are   the next look finds them as they are then: 55000, 42P01, 42804; a
//   altered or dropped                           type that is gone has no lane
//   The caller's role loses a privilege, or      42501 at the next look
//   EXECUTE on this procedure
//   A notification comes to a session that       the client has it when the call is over, after jobs_ext.max_wait at
//   has said LISTEN                              the latest
//   A row that holds an argument is deleted      nothing: the arguments were copied before
//
// The jobs are taken in the last transaction, which is the caller's from then on: the end of the CALL commits it where
// no procedure is around it. Called otherwise, in a transaction block or by a procedure that has written, it commits
// nothing, and waits as job_claim does. Likewise in a loop over rows that no commit keeps.
//
// Of a procedure that runs Postgres does not ask for EXECUTE again. We do, because a call may sleep for a day, and who
// takes the privilege from a role wants it to get no more jobs.
#include "call/wait_loop.hpp"
#include "pg/procedure.hpp"
#include "verbs/claim.hpp"

namespace verbs {

namespace {

// What the INOUT parameter brings in: nothing that counts. A loop around the call gives what it got the time before.
struct Given {
    pg::Nullable jobs;
};
constexpr call::Field<Given> given_fields[] = {{"jobs", JSONBOID, &Given::jobs}};

constexpr Oid argument_types[] = {JSONBOID,    TEXTARRAYOID, INT4OID, TEXTOID,
                                  INTERVALOID, INTERVALOID,  TEXTOID, JSONBOID};
constexpr pg::Signature signature = {"jobs_ext", "public", "job_await", argument_types};

// A row of `job`, with the names that become keys.
TupleDesc describe_job()
{
    TupleDesc descriptor = CreateTemplateTupleDesc(store::column_count);
    for (int i = 0; i < store::column_count; ++i)
        TupleDescInitEntry(descriptor, static_cast<AttrNumber>(i + 1), store::columns[i].name, store::columns[i].type,
                           -1, 0);
    return BlessTupleDesc(descriptor);
}

// One look. Where it took jobs, `answer` has them, in that memory context. Returns whether it took any.
bool take_jobs(const ClaimRequest &request, TupleDesc descriptor, shared::Place *place, Arm arm,
               MemoryContext answer_memory, Datum &answer)
{
    pg::RowSink sink(descriptor);
    const bool taken = claim_once(request, "job_await()", sink, place, arm) > 0;
    if (taken) {
        EnsurePortalSnapshotExists(); // for what is stored out of line; the look's own snapshot is popped
        const Datum rows = sink.as_array();
        pg::InMemory in_memory(answer_memory);
        answer = pg::to_jsonb(rows, RECORDARRAYOID);
    }
    sink.end();
    return taken;
}

} // namespace

JOBS_FUNCTION(job_await)
{
    const bool commits = pg::may_commit(fcinfo); // to read the arguments may register a type
    pg::detoast_arguments(fcinfo);
    Given given;
    ClaimRequest request;
    call::read_arguments<given_fields, claim_fields>(fcinfo, given, request);
    TupleDesc descriptor = describe_job();
    Datum answer = pg::parse_json("[]");
    const MemoryContext call_memory = CurrentMemoryContext;
    pg::RowMemory memory; // of one look: there may be thousands
    call::Waiting waiting(request.wait, shared::Purpose::claim, false, request.worker, commits);
    for (Arm arm = Arm::anew;;) {
        {
            pg::RowMemory::Use use(memory);
            if (take_jobs(request, descriptor, waiting.place(), arm, call_memory, answer))
                break;
        }
        if (arm == Arm::anew && waiting.look_was_too_old())
            arm = Arm::kept;
        else if (waiting.sleep())
            arm = Arm::anew;
        else
            break;
        if (commits)
            pg::require_execute_still(fcinfo, signature);
    }
    return pg::procedure_result("jobs", JSONBOID, answer);
}

} // namespace verbs
