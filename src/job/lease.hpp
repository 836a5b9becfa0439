// A worker's right to a job: (id, lease_id), which every verb of a worker begins with. A list of them:
// job/lease_list.hpp.
//
// Each claim draws a random lease_id (job::moves::claim), so that no two attempts ever have the same: an attempt number
// would come again where a crash undoes a claim that did not wait for the disk. The lease_id stays in the row after the
// attempt, until the next claim, job_retry() or a cancel with force: by it a call that is repeated is recognised.
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

// Whether the job runs under this lease, as this version of its row says. A lease that has run out and whose attempt
// was not reaped yet still counts: nobody else has the job, and to end it late is better than to do it once more. Only
// the newest version of the row, which the caller is about to write, answers for now (store::change).
bool is_held(const store::Row &job, const Lease &lease);

// Whether this was the job's last lease, running or not.
bool was_last(const store::Row &job, const Lease &lease);

} // namespace job
