// job_claim, and the claiming half of job_next.
#pragma once

#include "pg/function.hpp"
#include "store/jobs.hpp"
#include "store/types.hpp"

namespace verbs {

struct ClaimRequest {
    pg::Nullable job_types; // text[]; null: any
    pg::Nullable category;
    pg::Nullable worker;
    int max_jobs = 1;
    std::optional<store::Microseconds> lease;
};

// 22023 for bad arguments.
void check_request(const ClaimRequest &request);

// Claims what is due, best first, never waiting for another transaction. Returns how many.
int claim_jobs(store::Jobs &jobs, const ClaimRequest &request, pg::RowSink &sink);

} // namespace verbs
