#include "pg/procedure.hpp"

namespace pg {

bool may_commit(FunctionCallInfo fcinfo)
{
    return fcinfo->context != nullptr && IsA(fcinfo->context, CallContext) &&
           !reinterpret_cast<CallContext *>(fcinfo->context)->atomic && !IsSubTransaction() &&
           !TransactionIdIsValid(GetTopTransactionIdIfAny());
}

void commit_and_begin()
{
    const Oid role = GetUserId();
    if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
        elog(ERROR, "could not connect to the SPI manager");
    SPI_commit();
    SPI_finish();
    if (GetUserId() != role)
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("the role that was set for the transaction alone is no longer set"),
                        errdetail("The call has ended the transaction of its caller, in which nothing was written."),
                        errhint("Set the role for the session: SET ROLE instead of SET LOCAL ROLE.")));
}

void detoast_arguments(FunctionCallInfo fcinfo)
{
    for (int i = 0; i < fcinfo->nargs; ++i) {
        std::int16_t length;
        bool by_value;
        get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, i), &length, &by_value);
        if (length == -1 && !fcinfo->args[i].isnull)
            fcinfo->args[i].value = PointerGetDatum(PG_DETOAST_DATUM(fcinfo->args[i].value));
    }
}

Datum procedure_result(const char *parameter, Oid type, Nullable value)
{
    TupleDesc descriptor = CreateTemplateTupleDesc(1);
    TupleDescInitEntry(descriptor, 1, parameter, type, -1, 0);
    BlessTupleDesc(descriptor);
    return HeapTupleGetDatum(heap_form_tuple(descriptor, &value.value, &value.null));
}

} // namespace pg
