// job_next: completes one job and claims another in one transaction, with one flush.
#include "call/arguments.hpp"
#include "call/privileges.hpp"
#include "verbs/claim.hpp"
#include "verbs/finish.hpp"

namespace verbs {

JOBS_FUNCTION(job_next)
{
    Outcome outcome = {.lease = job::lease_argument(fcinfo), .ending = Ending::complete};
    outcome.result = pg::argument(fcinfo, 2);
    check_outcome(outcome);
    ClaimRequest request;
    request.job_types = pg::argument(fcinfo, 3);
    request.worker = pg::argument(fcinfo, 4);
    request.lease = call::positive_span(pg::argument(fcinfo, 5), "lease");
    request.category = pg::argument(fcinfo, 6);
    check_request(request);

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
