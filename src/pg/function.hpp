// What a C function called from SQL is made of: its declaration, its arguments, the way rows go back.
#pragma once

#include "pg/types.hpp"
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

// A value that may be null, as SQL has them.
struct Nullable {
    Datum value = 0;
    bool null = true;

    constexpr Nullable() = default;
    constexpr Nullable(Datum given) : value(given), null(false) {}
    constexpr Nullable(Datum given, bool is_null) : value(given), null(is_null) {}
    constexpr explicit operator bool() const { return !null; }
};

inline Nullable argument(FunctionCallInfo fcinfo, int number)
{
    return {PG_GETARG_DATUM(number), PG_ARGISNULL(number)};
}

// 42804 unless what SQL says of the function's result is what is written here: somebody may have added an attribute to
// its type, or the function is of another version than this library.
void require_result(FunctionCallInfo fcinfo, TupleDesc declared, RowType made);

// Writes the rows of a set-returning function; each row is an array in the order of the result's columns.
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

    // For rows that are made in another order than they are given.
    HeapTuple form(const Datum *values, const bool *nulls) const
    {
        return heap_form_tuple(info_->setDesc, const_cast<Datum *>(values), const_cast<bool *>(nulls));
    }
    void put(HeapTuple row) { tuplestore_puttuple(info_->setResult, row); }

    // A column, counted from 0, of a row that was formed here.
    Nullable column(HeapTuple row, int number) const
    {
        bool null;
        const Datum value = heap_getattr(row, number + 1, info_->setDesc, &null);
        return {value, null};
    }

    int columns() const { return info_->setDesc->natts; }

private:
    ReturnSetInfo *info_;
};

// The result of a function that returns one value of a named row type. 42804 as above.
Datum row_result(FunctionCallInfo fcinfo, RowType made, Datum *values, bool *nulls);

} // namespace pg
