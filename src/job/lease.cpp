#include "job/lease.hpp"

namespace job {

using store::Column;
using store::Row;

bool was_last(const Row &job, const Lease &lease)
{
    return job.has(Column::lease_id) && store::same_id(DatumGetUUIDP(job[Column::lease_id]), &lease.id);
}

bool is_held(const Row &job, const Lease &lease)
{
    return job.status() == logic::Status::in_progress && was_last(job, lease);
}

} // namespace job
