// What a C function called from SQL is made of: its declaration, its arguments, the way rows go back.
#pragma once

#include "pg/row_builder.hpp"
#include "pg/version.hpp"
#include "prelude.hpp"

// Declares a function that SQL can call. PG_FUNCTION_INFO_V1 of Postgres 15 declares it without PGDLLEXPORT, and the
// library hides all symbols that are not exported; from 16 on it exports it by itself.
#define JOBS_EXPORT(name)                                                                                              \
    extern "C" {                                                                                                       \
    PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                                                          \
    PG_FUNCTION_INFO_V1(name);                                                                                         \
    }

// Opens the body of a function that works with SQL of any version, since it says what is wrong, also that SQL and
// library are of two versions. That is safe because it takes no arguments, and RowSink compares its result with the
// SQL.
#define JOBS_FUNCTION_OF_ANY_VERSION(name)                                                                             \
    JOBS_EXPORT(name)                                                                                                  \
    extern "C" Datum name([[maybe_unused]] PG_FUNCTION_ARGS)

// Opens the body of any other function. Raises 55000 where SQL and library are of two versions, before an argument is
// read: as another type a Datum would be a wild pointer.
#define JOBS_FUNCTION(name)                                                                                            \
    JOBS_EXPORT(name)                                                                                                  \
    static Datum body_of_##name(PG_FUNCTION_ARGS);                                                                     \
    extern "C" Datum name(PG_FUNCTION_ARGS)                                                                            \
    {                                                                                                                  \
        version::require_version();                                                                                    \
        return body_of_##name(fcinfo);                                                                                 \
    }                                                                                                                  \
    static Datum body_of_##name([[maybe_unused]] PG_FUNCTION_ARGS)

namespace pg {

// An argument of the function, counted from 0. Its type is what the SQL of this version declares.
inline Nullable argument(FunctionCallInfo fcinfo, int number)
{
    return {PG_GETARG_DATUM(number), PG_ARGISNULL(number)};
}

// Raises 42804 unless the row type that SQL declares for the function's result has these columns. A user may have added
// an attribute to the type by ALTER TYPE, or changed the function; heap_form_tuple() would then read beyond our arrays.
void require_result(FunctionCallInfo fcinfo, TupleDesc declared, RowType made);

// Writes rows into a tuplestore, which copies them and spills to disk beyond work_mem: that of the result of a
// set-returning function (materialize mode), or one of its own. A row comes from a RowBuilder or, where it is in hand
// as a whole, as the arrays or the tuple that it was read into.
class RowSink {
public:
    // `made`: the types of the rows that are going to be put. Raises 42804 where the result is declared otherwise. Once
    // is enough: it is the descriptor that the executor has by now, and a later ALTER TYPE does not change that.
    RowSink(FunctionCallInfo fcinfo, RowType made)
    {
        InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
        auto info = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
        rows_ = info->setResult;
        descriptor_ = info->setDesc;
        require_result(fcinfo, descriptor_, made);
    }
    // For rows that go to no result as they are. It lasts until end(), and no longer than the transaction.
    explicit RowSink(TupleDesc descriptor)
        : rows_(tuplestore_begin_heap(false, false, work_mem)), descriptor_(descriptor)
    {
    }

    void put(const Datum *values, const bool *nulls)
    {
        tuplestore_putvalues(rows_, descriptor_, const_cast<Datum *>(values), const_cast<bool *>(nulls));
    }

    void put(const RowBuilder &row) { put(row.values(), row.nulls()); }
    void put(HeapTuple row) { tuplestore_puttuple(rows_, row); }

    // The tuple of a row, in the current memory context, for rows that are made in another order than they are put.
    HeapTuple form_row(const RowBuilder &row) const { return row.form(descriptor_); }

    // A column, counted from 0, of a row that was formed here.
    Nullable column_of(HeapTuple row, int number) const
    {
        bool null;
        const Datum value = heap_getattr(row, number + 1, descriptor_, &null);
        return {value, null};
    }

    // Of a tuplestore of its own: the rows as a record[], with all that is stored out of line fetched, in the current
    // memory context. The descriptor must be a blessed one.
    Datum as_array() const;
    void end() { tuplestore_end(rows_); }

private:
    Tuplestorestate *rows_;
    TupleDesc descriptor_;
};

// The result of a function that returns one value of a named row type, looked up when it is made: code of the user's
// may have altered the type while the function ran. Raises 42804 as above; 55000 where the function was dropped
// meanwhile.
Datum row_result(FunctionCallInfo fcinfo, const RowBuilder &row);
// The same from a row that a statement gave, whose columns have these types.
Datum row_result(FunctionCallInfo fcinfo, RowType types, HeapTuple row);

} // namespace pg
