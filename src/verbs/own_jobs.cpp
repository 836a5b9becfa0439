#include "verbs/own_jobs.hpp"

#include "pg/plan.hpp"
#include "store/tables.hpp"

namespace verbs {

bool is_under_row_security()
{
    const std::optional<store::TableId> jobs = store::find_table(store::ApiTable::jobs);
    return jobs && check_enable_rls(jobs->in_catalogs(), InvalidOid, true) == RLS_ENABLED;
}

bool sees_all_jobs()
{
    return !is_under_row_security() && pg_class_aclcheck(store::find_table(store::ApiTable::jobs)->in_catalogs(),
                                                         GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

bool sees_at_most(std::int64_t count)
{
    static constexpr Oid types[] = {INT8OID};
    const pg::SpiScope spi;
    const pg::ByIndex by_index;
    const pg::Parameter parameters[] = {{INT8OID, Int64GetDatum(count + 1)}};
    // No column, so that only what the policies ask for is read, from an index that has it.
    const pg::Rows rows = pg::query("select pg_catalog.count(*) from (select from public.jobs limit $1) as own",
                                    parameters, types, 0, true);
    return DatumGetInt64(rows.at(0, 0).value) <= count;
}

} // namespace verbs
