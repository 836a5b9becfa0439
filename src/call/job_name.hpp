// The two names of a job: id, which the server gives, and job_id, which may be the producer's own. A call takes either;
// both could contradict each other. Raises 22023 for neither and for both.
#pragma once

#include "call/fields.hpp"

namespace call {

struct JobName {
    pg::Nullable id, job_id;

    void check_combination() const
    {
        if (id.null == job_id.null)
            ereport(ERROR,
                    (errcode(sqlstate::bad_argument),
                     errmsg("exactly one of id and job_id must be given: %s", id.null ? "neither is" : "both are"),
                     errhint("id is the uuid; a job_id is passed by its name: job_id => '...'.")));
    }
};

inline constexpr Field<JobName> job_name_fields[] = {
    {"id", UUIDOID, &JobName::id},
    {"job_id", TEXTOID, &JobName::job_id},
};

} // namespace call
