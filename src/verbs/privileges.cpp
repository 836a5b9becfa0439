#include "verbs/privileges.hpp"

namespace verbs {

namespace {

void require(const store::Tables &tables, AclMode mode)
{
    const AclResult result = pg_class_aclcheck(tables.jobs.in_catalogs(), GetUserId(), mode);
    if (result != ACLCHECK_OK)
        aclcheck_error(result, OBJECT_TABLE, "jobs");
}

} // namespace

void require_insert(const store::Tables &tables) { require(tables, ACL_INSERT); }

void require_select(const store::Tables &tables) { require(tables, ACL_SELECT); }

void require_update(const store::Tables &tables)
{
    require(tables, ACL_UPDATE);
    require(tables, ACL_SELECT);
}

void require_cancel(const store::Tables &tables)
{
    const AttrNumber column = tables.number[store::index(store::Column::cancel_requested_at)];
    if (pg_attribute_aclcheck(tables.jobs.in_catalogs(), column, GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
        require(tables, ACL_UPDATE);
    require(tables, ACL_SELECT);
}

void require_all_rows(const store::Tables &tables, const char *purpose)
{
    require_select(tables);
    if (check_enable_rls(tables.jobs.in_catalogs(), InvalidOid, true) == RLS_ENABLED)
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("role \"%s\" is under row security on jobs and cannot %s",
                               GetUserNameFromId(GetUserId(), false), purpose),
                        errhint("That needs a role with BYPASSRLS, like service_role.")));
}

void require_claim(const store::Tables &tables)
{
    require_update(tables);
    require_all_rows(tables, "claim");
}

} // namespace verbs
