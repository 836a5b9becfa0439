// job_next: completes one job and claims another in one transaction, with one flush.
//
// Both take effect or neither: an error in the claim, or ROLLBACK, also undoes the completion. The completion is a
// write that waits for the disk, so the claim with it does too (store/async_commit.hpp). It never sleeps: asleep it
// would hold back the commit of the completion and keep the row of `jobs` locked.
//
// After a lost answer the worker calls again: the completion is recognised as repeated, and another job is claimed. The
// job of the answer that was lost stays in progress until its lease ends.
#include "call/privileges.hpp"
#include "verbs/claim.hpp"
#include "verbs/finish.hpp"

namespace verbs {

namespace {

// The parameters after those of the completed job, with the names, types and checks that job_claim has.
constexpr auto next_fields = call::pick_fields<claim_fields>({"job_types", "worker", "lease", "job_category"});

} // namespace

JOBS_FUNCTION(job_next)
{
    Outcome outcome = {.ending = Ending::complete};
    ClaimRequest request;
    call::read_arguments<job::lease_fields, complete_fields, next_fields>(fcinfo, outcome.lease, outcome, request);
    pg::RowSink sink(fcinfo, store::row_type());
    pg::StatementScope scope("job_next()");
    store::Jobs jobs = store::Jobs::open(call::require_claim); // asks for more than job_complete does: every row
    store::Row completed;
    if (auto refusal = finish_job(jobs, outcome, completed))
        call::raise(*refusal);
    // A claim reads queue and jobs under one snapshot, which must show what the completion has just written.
    const store::Hints hints = store::note_hints();
    jobs.renew_snapshot();
    claim_jobs(jobs, request, hints, sink);
    return Datum{0};
}

} // namespace verbs
