// What every verb of a worker begins with: (id, lease_id). A list of them: job/lease_list.hpp.
#pragma once

#include "call/fields.hpp"
#include "store/jobs.hpp"

namespace job {

struct Lease {
    pg_uuid_t job;
    pg_uuid_t id;
};

inline constexpr call::Field<Lease> lease_fields[] = {
    {"id", UUIDOID, &Lease::job, call::anything, call::required},
    {"lease_id", UUIDOID, &Lease::id, call::anything, call::required},
};

// Whether the job runs under this lease. One that has run out and was not taken away yet still counts: nobody else
// has the job.
bool is_held(const store::Row &job, const Lease &lease);

// Whether this was the job's last lease, running or not.
bool was_last(const store::Row &job, const Lease &lease);

} // namespace job
