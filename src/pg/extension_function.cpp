#include "pg/extension_function.hpp"

namespace pg {

Oid find_extension_function(const Signature &signature)
{
    const Oid extension = get_extension_oid(signature.extension, true);
    const Oid schema = get_namespace_oid(signature.schema, true);
    if (!OidIsValid(extension) || !OidIsValid(schema))
        return InvalidOid;
    oidvector *arguments = buildoidvector(signature.arguments.data(), static_cast<int>(signature.arguments.size()));
    HeapTuple tuple = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum(signature.name), PointerGetDatum(arguments),
                                      ObjectIdGetDatum(schema));
    if (!HeapTupleIsValid(tuple))
        return InvalidOid;
    auto form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    const Oid function = form->oid, owner = form->proowner;
    ReleaseSysCache(tuple);
    const bool is_theirs = superuser_arg(owner) && getExtensionOfObject(ProcedureRelationId, function) == extension;
    return is_theirs ? function : InvalidOid;
}

Oid extension_function(const Signature &signature)
{
    const Oid function = find_extension_function(signature);
    if (!OidIsValid(function))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                        errmsg("the extension \"%s\" has no function %s.%s of the arguments that jobs_ext gives it",
                               signature.extension, signature.schema, signature.name),
                        errhint("Was it updated halfway, or its schema renamed?")));
    return function;
}

void require_execute(Oid function)
{
    if (may_execute(function, GetUserId()))
        return;
    const bool is_procedure = get_func_prokind(function) == PROKIND_PROCEDURE;
    aclcheck_error(ACLCHECK_NO_PRIV, is_procedure ? OBJECT_PROCEDURE : OBJECT_FUNCTION, get_func_name(function));
}

} // namespace pg
