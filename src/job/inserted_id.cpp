#include "job/inserted_id.hpp"

#include <algorithm>

#include "job/refusal.hpp"
#include "pg/plan.hpp"
#include "pg/uuid.hpp"
#include "settings.hpp"
#include "store/open_table.hpp"

namespace job {

namespace {

// As many as triggers of the user's, which fire between the default and our trigger, may ask for besides. The oldest is
// overwritten next. Zeros are no uuid of ours.
std::array<pg_uuid_t, 16> given = {};
std::size_t next_given = 0;

bool take_given(const pg_uuid_t *id)
{
    const auto found = std::find_if(given.begin(), given.end(),
                                    [&](const pg_uuid_t &candidate) { return store::same_id(&candidate, id); });
    if (found == given.end())
        return false;
    *found = {};
    return true;
}

bool has_privilege(store::TableId table, AclMode mode)
{
    return pg_class_aclcheck(table.in_catalogs(), GetUserId(), mode) == ACLCHECK_OK;
}

// By statements of the caller's, which may run code of the owner's, as any SELECT there. So it is not looked for a
// caller without the privileges; nor where the archive is missing or cannot be used, which keeps nobody from inserting.
bool is_archived(const store::Tables &tables, const pg_uuid_t *id)
{
    const std::optional<store::TableId> known = store::find_table(store::ApiTable::jobs_archive);
    if (!known || !has_privilege(*known, ACL_SELECT) || !has_privilege(tables.jobs, ACL_SELECT) ||
        !has_privilege(tables.jobs, ACL_UPDATE))
        return false;
    const pg::OpenRelation archive = store::open_if_usable(store::ApiTable::jobs_archive, AccessShareLock);
    if (!archive)
        return false;
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(id)}};
    pg::run_sql("select 1 from public.jobs where id operator(pg_catalog.=) $1 for key share", parameters);
    PushActiveSnapshot(GetLatestSnapshot());
    const bool found = pg::run_sql("select 1 from public.jobs_archive where id operator(pg_catalog.=) $1 limit 1",
                                   parameters, 1, true) > 0;
    PopActiveSnapshot();
    return found;
}

} // namespace

void judge_id(const store::Tables &tables, bool is_tenant, store::Row &row)
{
    if (!row.has(store::Column::id) || take_given(row.id()))
        return;
    if (is_tenant)
        row.clear(store::Column::id);
    else if (is_archived(tables, row.id()))
        call::raise(archived(store::to_text(row.id())));
}

JOBS_FUNCTION(uuid_v7)
{
    const pg_uuid_t *id = pg::time_ordered_uuid(settings::now());
    given[next_given++ % given.size()] = *id;
    return UUIDPGetDatum(id);
}

} // namespace job
