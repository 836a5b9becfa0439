// What every verb of a worker begins with: (id, lease_id). A list of them: job/lease_list.hpp.
#pragma once

#include "call/arguments.hpp"
#include "pg/json.hpp"
#include "store/jobs.hpp"

namespace job {

struct Lease {
    pg_uuid_t job;
    pg_uuid_t id;
};

// Arguments 0 and 1.
Lease lease_argument(FunctionCallInfo fcinfo);

// Whether the job runs under this lease. One that has run out and was not taken away yet still counts: nobody else
// has the job.
bool is_held(const store::Row &job, const Lease &lease);

// Whether this was the job's last lease, running or not.
bool was_last(const store::Row &job, const Lease &lease);

// Collects "id" and "lease_id" of a JSON object.
class LeaseReader {
public:
    explicit LeaseReader(const JsonbValue &element);
    bool take(const pg::JsonMember &member);
    [[noreturn]] void unknown_key(const pg::JsonMember &member) const;
    Lease get() const;

private:
    pg::Nullable job_, lease_;
};

} // namespace job
