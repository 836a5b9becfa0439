// What a C function called from SQL is made of: its declaration, its arguments, the way rows go back.
#pragma once

#include "pg/row_builder.hpp"
#include "pg/version.hpp"
#include "prelude.hpp"

// Declares a function that SQL can call. Postgres 15 does not export it by itself when symbols are hidden.
#define JOBS_EXPORT(name)                                                                                              \
    extern "C" {                                                                                                       \
    PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                                                          \
    PG_FUNCTION_INFO_V1(name);                                                                                         \
    }

// Opens the body of one that says what is wrong, also that SQL and library are of two versions: it takes no arguments,
// and RowSink compares its result.
#define JOBS_FUNCTION_OF_ANY_VERSION(name)                                                                             \
    JOBS_EXPORT(name)                                                                                                  \
    extern "C" Datum name([[maybe_unused]] PG_FUNCTION_ARGS)

// Opens the body of any other. It begins only where SQL and library are of one version: so its arguments are what it
// takes them for.
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

inline Nullable argument(FunctionCallInfo fcinfo, int number)
{
    return {PG_GETARG_DATUM(number), PG_ARGISNULL(number)};
}

// 42804 unless what SQL says of the function's result is what is written here: somebody may have added an attribute to
// its type, or the function is of another version than this library.
void require_result(FunctionCallInfo fcinfo, TupleDesc declared, RowType made);

// Writes the rows of a set-returning function. A row comes from a RowBuilder or, where it is in hand as a whole, as the
// arrays or the tuple that it was read into.
class RowSink {
public:
    // `made`: the types of what is going to be put.
    RowSink(FunctionCallInfo fcinfo, RowType made)
    {
        InitMaterializedSRF(fcinfo, 0);
        info_ = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
        require_result(fcinfo, info_->setDesc, made);
    }

    void put(const Datum *values, const bool *nulls)
    {
        tuplestore_putvalues(info_->setResult, info_->setDesc, const_cast<Datum *>(values), const_cast<bool *>(nulls));
    }

    void put(const RowBuilder &row) { put(row.values(), row.nulls()); }
    void put(HeapTuple row) { tuplestore_puttuple(info_->setResult, row); }

    // For rows that are made in another order than they are given.
    HeapTuple form(const RowBuilder &row) const { return row.form(info_->setDesc); }

    // A column, counted from 0, of a row that was formed here.
    Nullable column(HeapTuple row, int number) const
    {
        bool null;
        const Datum value = heap_getattr(row, number + 1, info_->setDesc, &null);
        return {value, null};
    }

private:
    ReturnSetInfo *info_;
};

// The result of a function that returns one value of a named row type. 42804 as above.
Datum row_result(FunctionCallInfo fcinfo, const RowBuilder &row);
// The same of a row that a statement gave, whose columns have these types.
Datum row_result(FunctionCallInfo fcinfo, RowType types, HeapTuple row);

} // namespace pg
