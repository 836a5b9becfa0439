#include "call/privileges.hpp"

namespace call {

namespace {

void require_privilege(store::TableId jobs, AclMode mode)
{
    const AclResult result = pg_class_aclcheck(jobs.in_catalogs(), GetUserId(), mode);
    if (result != ACLCHECK_OK)
        aclcheck_error(result, OBJECT_TABLE, "jobs");
}

void require_update_of(store::TableId jobs, store::Column column)
{
    const AttrNumber number = get_attnum(jobs.in_catalogs(), store::definition_of(column).name);
    if (number == InvalidAttrNumber ||
        pg_attribute_aclcheck(jobs.in_catalogs(), number, GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
        require_privilege(jobs, ACL_UPDATE);
    require_privilege(jobs, ACL_SELECT);
}

} // namespace

void require_on_any_column(store::ApiTable which, AclMode mode)
{
    const std::optional<store::TableId> table = store::find_table(which);
    if (!table || pg_class_aclcheck(table->in_catalogs(), GetUserId(), mode) == ACLCHECK_OK)
        return;
    const AclResult result = pg_attribute_aclcheck_all(table->in_catalogs(), GetUserId(), mode, ACLMASK_ANY);
    if (result != ACLCHECK_OK)
        aclcheck_error(result, OBJECT_TABLE, store::name_of_table(which));
}

void require_any_insert(store::TableId) { require_on_any_column(store::ApiTable::jobs, ACL_INSERT); }

void require_insert(store::TableId jobs) { require_privilege(jobs, ACL_INSERT); }

void require_select(store::TableId jobs) { require_privilege(jobs, ACL_SELECT); }

void require_update(store::TableId jobs)
{
    require_privilege(jobs, ACL_UPDATE);
    require_privilege(jobs, ACL_SELECT);
}

void require_cancel(store::TableId jobs) { require_update_of(jobs, store::Column::cancel_requested_at); }

void require_retry(store::TableId jobs) { require_update_of(jobs, store::Column::finished_at); }

void require_steps(store::TableId jobs) { require_update_of(jobs, store::Column::current_step); }

void require_all_rows(store::TableId jobs, const char *purpose)
{
    require_select(jobs);
    if (check_enable_rls(jobs.in_catalogs(), InvalidOid, true) == RLS_ENABLED)
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("role \"%s\" is under row security on jobs and cannot %s",
                               GetUserNameFromId(GetUserId(), false), purpose),
                        errhint("That needs a role with BYPASSRLS, like service_role.")));
}

void require_claim(store::TableId jobs)
{
    require_update(jobs);
    require_all_rows(jobs, "claim");
}

} // namespace call
