#include "pg/function.hpp"

namespace pg {

namespace {

// The row type that the function returns; 55000 when code that it ran dropped the function.
Oid result_type(FunctionCallInfo fcinfo)
{
    HeapTuple function = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
    if (!HeapTupleIsValid(function))
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the function was dropped while it ran"),
                 errhint("A trigger, or other code of yours, dropped it or its extension.")));
    const Oid type = reinterpret_cast<Form_pg_proc>(GETSTRUCT(function))->prorettype;
    ReleaseSysCache(function);
    return type;
}

} // namespace

void require_result(FunctionCallInfo fcinfo, TupleDesc declared, RowType made)
{
    const char *wrong = mismatch(declared, made);
    if (wrong == nullptr)
        return;
    const char *function = get_func_name(fcinfo->flinfo->fn_oid);
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("the result of function %s was altered so that it cannot be used",
                           function != nullptr ? function : "(dropped)"),
                    errdetail("%s", wrong), errhint("Undo what was done to its type, or to the function.")));
}

Datum row_result(FunctionCallInfo fcinfo, RowType made, Datum *values, bool *nulls)
{
    TupleDesc descriptor = lookup_rowtype_tupdesc(result_type(fcinfo), -1);
    require_result(fcinfo, descriptor, made);
    const Datum row = HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
    ReleaseTupleDesc(descriptor);
    return row;
}

} // namespace pg
