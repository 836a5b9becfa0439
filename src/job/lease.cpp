#include "job/lease.hpp"

#include "pg/excerpt.hpp"
#include "pg/sqlstate.hpp"

namespace job {

using store::Column;
using store::Row;

Lease lease_argument(FunctionCallInfo fcinfo)
{
    return {*DatumGetUUIDP(call::require_value(pg::argument(fcinfo, 0), "id")),
            *DatumGetUUIDP(call::require_value(pg::argument(fcinfo, 1), "lease_id"))};
}

bool was_last(const Row &job, const Lease &lease)
{
    return job.has(Column::lease_id) && store::same_id(DatumGetUUIDP(job[Column::lease_id]), &lease.id);
}

bool is_held(const Row &job, const Lease &lease)
{
    return job.status() == logic::Status::in_progress && was_last(job, lease);
}

LeaseReader::LeaseReader(const JsonbValue &element)
{
    if (!pg::is_object(element))
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("an element must be a JSON object with \"id\" and \"lease_id\"")));
}

bool LeaseReader::take(const pg::JsonMember &member)
{
    if (member.key == "id")
        job_ = pg::sql_value(member.value, UUIDOID, "id");
    else if (member.key == "lease_id")
        lease_ = pg::sql_value(member.value, UUIDOID, "lease_id");
    else
        return false;
    return true;
}

void LeaseReader::unknown_key(const pg::JsonMember &member) const
{
    ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("unknown key \"%s\"", pg::excerpt(member.key))));
}

Lease LeaseReader::get() const
{
    return {*DatumGetUUIDP(call::require_value(job_, "id")), *DatumGetUUIDP(call::require_value(lease_, "lease_id"))};
}

} // namespace job
