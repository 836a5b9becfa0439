#include "pg/function.hpp"

namespace pg {

Datum row_result(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
    TupleDesc descriptor = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
    const Datum row = HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
    ReleaseTupleDesc(descriptor);
    return row;
}

} // namespace pg
