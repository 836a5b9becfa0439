#include "pg/as_owner.hpp"

#include "pg/lock.hpp"
#include "pg/scope.hpp"

namespace pg {

namespace {

constexpr char path[] = "pg_catalog, pg_temp";
// NOFORCE_RLS: the owner works on its table even under FORCE ROW LEVEL SECURITY, as foreign keys do (ri_triggers.c).
constexpr int confined = SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS | SECURITY_RESTRICTED_OPERATION;

Oid owner_of_relation(Oid table)
{
    // Lock first: ALTER TABLE … OWNER waits from here on. Otherwise a trigger that the next owner makes would run as
    // this one.
    lock_table(table, AccessShareLock);
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(tuple))
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist any more", table)));
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

// The owner of a relation or type; InvalidOid for anything else. Postgres looks for unqualified names of relations and
// types alone in pg_temp, never for functions or operators (namespace.c).
Oid owner_of_object(Oid catalog, Oid object)
{
    Oid owner = InvalidOid;
    if (catalog == RelationRelationId) {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(object));
        if (HeapTupleIsValid(tuple)) {
            owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
            ReleaseSysCache(tuple);
        }
    } else if (catalog == TypeRelationId) {
        HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(object));
        if (HeapTupleIsValid(tuple)) {
            owner = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typowner;
            ReleaseSysCache(tuple);
        }
    }
    return owner;
}

void refuse_session(Oid catalog, Oid object, Oid stranger, Oid owner)
{
    const char *name = catalog == RelationRelationId ? get_rel_name(object) : format_type_be(object);
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("nothing can run as \"%s\" in a session that holds temporary objects of \"%s\"",
                           GetUserNameFromId(owner, false), GetUserNameFromId(stranger, false)),
                    errdetail("\"%s\" could stand in for what a trigger names.", name != nullptr ? name : "(dropped)"),
                    errhint("Drop what is temporary (discard temp), or call from another session.")));
}

// Finds the temporary objects of the session by pg_depend, because each depends on the session's temporary schema.
// Those of a superuser may stay: a superuser can run code as the owner anyway. No race: only this session makes objects
// there, and a security-restricted operation can make none.
void require_no_temporary_objects(Oid owner)
{
    Oid schema, toast_schema;
    GetTempNamespaceState(&schema, &toast_schema);
    if (!OidIsValid(schema))
        return;
    OpenRelation catalog(table_open(DependRelationId, AccessShareLock), AccessShareLock);
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(NamespaceRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
    SysScanDesc scan = systable_beginscan(catalog, DependReferenceIndexId, true, nullptr, 2, keys);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
        auto depends = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
        const Oid stranger = owner_of_object(depends->classid, depends->objid);
        if (OidIsValid(stranger) && stranger != owner && !superuser_arg(stranger))
            refuse_session(depends->classid, depends->objid, stranger, owner);
    }
    systable_endscan(scan);
}

// Scopes nest (a month is made inside a piece of upkeep). The inner one then has nothing to set and nothing to restore.
bool is_confined_already(Oid role, int context, Oid owner)
{
    return role == owner && (context & confined) == confined && std::strcmp(namespace_search_path, path) == 0;
}

} // namespace

AsOwner::AsOwner(Oid table, const char *hint_if_denied, Code code) : settings_(0), hint_if_denied_(hint_if_denied)
{
    const Oid owner = owner_of_relation(table);
    GetUserIdAndSecContext(&role_, &context_);
    if (code == Code::of_owner)
        require_no_temporary_objects(owner);
    // Not popped if an error is raised below or inside: whoever catches it restores error_context_stack (PG_TRY,
    // PostgresMain).
    in_errors_.callback = explain;
    in_errors_.arg = this;
    in_errors_.previous = error_context_stack;
    error_context_stack = &in_errors_;
    if (is_confined_already(role_, context_, owner))
        return;
    SetUserIdAndSecContext(owner, context_ | confined);
    settings_ = NewGUCNestLevel();
    become("search_path", path);
    // With `off`, a policy would raise an error instead of filtering: a caller's setting must not fail the owner's
    // work.
    become("row_security", "on");
}

AsOwner::~AsOwner()
{
    error_context_stack = in_errors_.previous;
    if (settings_ == 0)
        return;
    // Not as a commit: also what the owner's code SET inside is undone.
    AtEOXact_GUC(false, settings_);
    SetUserIdAndSecContext(role_, context_);
}

void AsOwner::become(const char *setting, const char *value)
{
    (void)set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void AsOwner::explain(void *self)
{
    const char *hint = static_cast<AsOwner *>(self)->hint_if_denied_;
    if (hint != nullptr && geterrcode() == ERRCODE_INSUFFICIENT_PRIVILEGE)
        errhint("%s", hint);
}

} // namespace pg
