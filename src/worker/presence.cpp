#include "worker/presence.hpp"

#include "pg/scope.hpp"
#include "store/owner.hpp"
#include "store/queue_state.hpp"

namespace worker {

namespace {

bool is_our_version(Oid extension)
{
    pg::OpenRelation catalog = pg::open_briefly(ExtensionRelationId);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(extension));
    SysScanDesc scan = systable_beginscan(catalog, ExtensionOidIndexId, true, nullptr, 1, &key);
    bool ours = false;
    if (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple)) {
        bool null;
        const Datum version = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog), &null);
        ours = !null && std::strcmp(TextDatumGetCString(version), JOBS_EXT_VERSION) == 0;
    }
    systable_endscan(scan);
    return ours;
}

// With our triggers, which a restore makes last: before, keys may be missing that the code relies on.
bool has_tables()
{
    const Oid schema = get_namespace_oid("public", true);
    for (const char *table : {"jobs", "job_types", "job_attempts"})
        if (!OidIsValid(schema) || !OidIsValid(get_relname_relid(table, schema)))
            return false;
    const Oid jobs = get_relname_relid("jobs", schema);
    for (const char *trigger : {"jobs_ext_before_row", "jobs_ext_after_row", "jobs_ext_after_truncate"})
        if (!OidIsValid(get_trigger_oid(jobs, trigger, true)))
            return false;
    return true;
}

} // namespace

Presence look_for_extension()
{
    const Oid extension = get_extension_oid("jobs_ext", true);
    if (!OidIsValid(extension))
        return Presence::absent;
    if (!is_our_version(extension))
        return Presence::other_version;
    if (!has_tables())
        return Presence::no_tables;
    store::AsOwnerOfJobs owner;
    PushActiveSnapshot(GetTransactionSnapshot());
    store::queue_state::ensure_built();
    PopActiveSnapshot();
    return Presence::ready;
}

} // namespace worker
