#include "pg/function.hpp"

namespace pg {

namespace {

// The row type that the function returns; the caller is to release it. Raises 55000 where code of the user's that the
// function ran has dropped the function: then the syscache has no row of it, although it runs.
TupleDesc declared_row(FunctionCallInfo fcinfo, RowType made)
{
    HeapTuple function = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
    if (!HeapTupleIsValid(function))
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the function was dropped while it ran"),
                 errhint("A trigger, or other code of yours, dropped it or its extension.")));
    const Oid type = reinterpret_cast<Form_pg_proc>(GETSTRUCT(function))->prorettype;
    ReleaseSysCache(function);
    TupleDesc descriptor = lookup_rowtype_tupdesc(type, -1);
    require_result(fcinfo, descriptor, made);
    return descriptor;
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

namespace {

// What jsonb takes at most; it finds that out when all is in memory.
constexpr std::size_t largest_answer = std::size_t{256} * 1024 * 1024;

// What the row takes when all of it is fetched.
std::size_t raw_size(TupleTableSlot *slot)
{
    slot_getallattrs(slot);
    std::size_t size = 0;
    for (int i = 0; i < slot->tts_tupleDescriptor->natts; ++i)
        if (!slot->tts_isnull[i] && attribute(slot->tts_tupleDescriptor, i + 1)->attlen == -1)
            size += toast_raw_datum_size(slot->tts_values[i]);
    return size;
}

} // namespace

// All are measured before the first one is fetched: what is refused costs neither memory nor a look at what is stored
// out of line.
Datum RowSink::as_array() const
{
    std::size_t size = 0;
    const auto count = static_cast<int>(tuplestore_tuple_count(rows_));
    auto rows = static_cast<Datum *>(palloc(sizeof(Datum) * std::max(count, 1)));
    TupleTableSlot *slot = MakeSingleTupleTableSlot(descriptor_, &TTSOpsMinimalTuple);
    tuplestore_rescan(rows_);
    while (tuplestore_gettupleslot(rows_, true, false, slot))
        size += raw_size(slot);
    if (size > largest_answer)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("the answer would be larger than %zu MB", largest_answer / 1024 / 1024),
                        errhint("Ask for fewer at once.")));
    tuplestore_rescan(rows_);
    for (int i = 0; i < count && tuplestore_gettupleslot(rows_, true, false, slot); ++i)
        rows[i] = ExecFetchSlotHeapTupleDatum(slot);
    ExecDropSingleTupleTableSlot(slot);
    return PointerGetDatum(construct_array(rows, count, RECORDOID, -1, false, TYPALIGN_DOUBLE));
}

Datum row_result(FunctionCallInfo fcinfo, const RowBuilder &row)
{
    TupleDesc descriptor = declared_row(fcinfo, row.types());
    const Datum result = HeapTupleGetDatum(row.form(descriptor));
    ReleaseTupleDesc(descriptor);
    return result;
}

Datum row_result(FunctionCallInfo fcinfo, RowType types, HeapTuple row)
{
    TupleDesc descriptor = declared_row(fcinfo, types);
    // A tuple of a table lacks the type's number in its header, and may point to TOAST, which a Datum of a row type
    // must not (heap_copy_tuple_as_datum).
    const Datum result = heap_copy_tuple_as_datum(row, descriptor);
    ReleaseTupleDesc(descriptor);
    return result;
}

} // namespace pg
