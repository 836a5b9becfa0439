#include "pg/version.hpp"

#include <algorithm>

#include "pg/scope.hpp"

namespace version {

namespace {

std::uint64_t changes = 1;   // of functions, or of tables of ours
std::uint64_t looked_at = 0; // `changes` at the last look that found a version that fits

// Every version whose SQL this library serves.
constexpr std::string_view served[] = {JOBS_EXT_VERSION};

// Null: there is no such extension.
char *installed_version(Oid extension)
{
    pg::OpenRelation catalog = pg::open_briefly(ExtensionRelationId);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(extension));
    SysScanDesc scan = systable_beginscan(catalog, ExtensionOidIndexId, true, nullptr, 1, &key);
    char *found = nullptr;
    if (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple)) {
        bool null;
        const Datum value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog), &null);
        found = null ? nullptr : TextDatumGetCString(value);
    }
    systable_endscan(scan);
    return found;
}

bool is_served(std::string_view which)
{
    return std::find(std::begin(served), std::end(served), which) != std::end(served);
}

void function_changed(Datum, int, uint32) { forget_version(); }

} // namespace

bool fits(Oid extension)
{
    const char *found = installed_version(extension);
    return found != nullptr && is_served(found);
}

void require_version()
{
    if (looked_at == changes)
        return;
    // Before the look: to read a catalog processes invalidations, and a change that comes then has the next call look
    // again.
    const std::uint64_t before = changes;
    const Oid extension = get_extension_oid("jobs_ext", true);
    const char *found = OidIsValid(extension) ? installed_version(extension) : nullptr;
    if (found == nullptr)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the extension jobs_ext is not in this database")));
    if (!is_served(found))
        ereport(
            ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("the extension jobs_ext is of version %s in this database, and the library of this session is of"
                    " version %s",
                    found, JOBS_EXT_VERSION),
             errhint(
                 "If the library is the newer one: alter extension jobs_ext update; else connect anew, or restart the"
                 " server where the library is preloaded.")));
    looked_at = before;
}

void forget_version() { ++changes; }

void watch_version() { CacheRegisterSyscacheCallback(PROCOID, function_changed, Datum{0}); }

} // namespace version
