// job_next: completes one job and claims another in one transaction, with one flush.
#include "call/privileges.hpp"
#include "verbs/claim.hpp"
#include "verbs/finish.hpp"

namespace verbs {

namespace {

// What follows the completed job's, as a claim has them.
constexpr auto next_fields = call::pick_fields<claim_fields>({"job_types", "worker", "lease", "job_category"});

} // namespace

JOBS_FUNCTION(job_next)
{
    Outcome outcome = {.ending = Ending::complete};
    ClaimRequest request;
    call::read_arguments<job::lease_fields, complete_fields, next_fields>(fcinfo, outcome.lease, outcome, request);
    pg::RowSink sink(fcinfo, store::row_type());
    pg::StatementScope scope("job_next()");
    store::Jobs jobs = store::Jobs::open(call::require_claim);
    store::Row completed;
    if (auto refusal = finish_job(jobs, outcome, completed))
        call::raise(*refusal);
    jobs.renew_snapshot();
    claim_jobs(jobs, request, sink);
    return Datum{0};
}

} // namespace verbs
