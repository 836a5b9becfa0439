#include "pg/function.hpp"

namespace pg {

TupleDesc result_type(FunctionCallInfo fcinfo)
{
    auto cached = static_cast<TupleDesc>(fcinfo->flinfo->fn_extra);
    if (cached != nullptr)
        return cached;

    TupleDesc descriptor;
    if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("function returning a row called in a context that cannot accept one")));

    MemoryContext before = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
    descriptor = BlessTupleDesc(CreateTupleDescCopy(descriptor));
    MemoryContextSwitchTo(before);
    fcinfo->flinfo->fn_extra = descriptor;
    return descriptor;
}

} // namespace pg
