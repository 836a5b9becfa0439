#include "pg/procedure.hpp"

#include "pg/plan.hpp"

namespace pg {

namespace {

// Whether a loop of a caller's (FOR in PL/pgSQL, a cursor of PL/Python) goes over rows that SPI_commit() would not keep
// but raise 2D000 for: of all statements but a plain SELECT (HoldPinnedPortals()). Such a loop pins its cursor, and
// only code that a procedure or DO runs is in one, which is connected to SPI then. A list of the cursors is to be had
// by SQL alone.
bool in_loop_without_commit()
{
    static constexpr Oid types[] = {TEXTOID};
    if (!SPI_inside_nonatomic_context())
        return false;
    SpiScope spi;
    const Rows cursors = query("select name from pg_catalog.pg_cursor()", {}, types);
    for (std::uint64_t i = 0; i < cursors.count(); ++i) {
        const Portal portal = GetPortalByName(TextDatumGetCString(cursors.at(i, 0).value));
        if (PortalIsValid(portal) && portal->portalPinned && !portal->autoHeld && portal->strategy != PORTAL_ONE_SELECT)
            return true;
    }
    return false;
}

} // namespace

bool may_commit(FunctionCallInfo fcinfo)
{
    return fcinfo->context != nullptr && IsA(fcinfo->context, CallContext) &&
           !reinterpret_cast<CallContext *>(fcinfo->context)->atomic && !IsSubTransaction() &&
           !TransactionIdIsValid(GetTopTransactionIdIfAny()) && !in_loop_without_commit();
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

void require_execute_still(FunctionCallInfo fcinfo, const Signature &signature)
{
    const Oid called = fcinfo->flinfo->fn_oid;
    const bool is_there = SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(called));
    require_execute(is_there ? called : extension_function(signature));
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
