// job_claim, and the claiming half of job_next.
#pragma once

#include "call/fields.hpp"
#include "store/jobs.hpp"

namespace verbs {

struct ClaimRequest {
    pg::Nullable job_types; // text[]; null: any
    pg::Nullable category;
    pg::Nullable worker;
    int max_jobs = 1;
    std::optional<store::Microseconds> lease, wait;
};

// A list of registered types.
void job_type_list(pg::Nullable &names, const char *argument);

inline constexpr std::array<call::Field<ClaimRequest>, 0> claim_options = {}; // none is known yet

inline constexpr call::Field<ClaimRequest> claim_fields[] = {
    {"job_types", TEXTARRAYOID, &ClaimRequest::job_types, job_type_list},
    {"max_jobs", INT4OID, &ClaimRequest::max_jobs, call::in_range<1, 10000>},
    {"worker", TEXTOID, &ClaimRequest::worker, call::length_up_to<call::longest_worker>},
    {"lease", INTERVALOID, &ClaimRequest::lease, call::positive_span},
    {"wait", INTERVALOID, &ClaimRequest::wait, call::span_from_zero},
    {"job_category", TEXTOID, &ClaimRequest::category},
    {"options", JSONBOID, call::read_nested<claim_options>, call::json_object},
};

// Claims what is due, best first, never waiting for another transaction. Returns how many.
int claim_jobs(store::Jobs &jobs, const ClaimRequest &request, pg::RowSink &sink);

} // namespace verbs
