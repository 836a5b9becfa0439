#include "worker/presence.hpp"

#include "pg/version.hpp"
#include "store/our_triggers.hpp"
#include "store/owner.hpp"
#include "store/rebuild.hpp"

namespace worker {

namespace {

// Whether the tables and our triggers are there, by the catalogs alone: nothing is opened, because this runs as a
// superuser still. pg_restore makes triggers after data and indexes, so what the code relies on is there once they are.
bool has_tables()
{
    using store::ApiTable;
    for (const ApiTable table : {ApiTable::jobs, ApiTable::job_types, ApiTable::job_attempts})
        if (!store::find_table(table))
            return false;
    const Oid jobs = store::find_table(ApiTable::jobs)->in_catalogs();
    for (const char *trigger : store::our_triggers)
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
    if (!version::fits(extension))
        return Presence::other_version;
    if (!has_tables())
        return Presence::no_tables;
    // From here on tables are opened, which may run code of their owner's.
    store::AsOwnerOfJobs owner;
    PushActiveSnapshot(GetTransactionSnapshot());
    store::ensure_derived_built();
    store::renew_marks();
    PopActiveSnapshot();
    return Presence::ready;
}

} // namespace worker
