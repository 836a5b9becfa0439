// SQL statements through saved SPI plans, prepared once in a backend and run as whoever calls.
#pragma once

#include "pg/function.hpp"
#include "pg/types.hpp"
#include "prelude.hpp"

namespace pg {

// Between these brackets SPI is connected; what it allocates goes at the end.
class SpiScope {
public:
    SpiScope()
    {
        if (SPI_connect() != SPI_OK_CONNECT)
            elog(ERROR, "could not connect to the SPI manager");
    }
    ~SpiScope() { SPI_finish(); }
    SpiScope(const SpiScope &) = delete;
    SpiScope &operator=(const SpiScope &) = delete;
};

// SET CONSTRAINTS ALL IMMEDIATE: what waits for the end of the transaction fires now, as whoever calls.
void set_constraints_immediate();

struct Parameter {
    Oid type;
    Nullable value;
};

// Runs a statement and returns how many rows it gave or changed. The text and the parameters' types are the plan's
// name: the text must hold no values. Every name in it is qualified, every operator too, since it runs under the
// caller's search_path.
std::uint64_t run_sql(const char *statement, std::span<const Parameter> parameters, long row_limit = 0,
                      bool read_only = false);

// The rows that a statement gave. Their types follow those of the tables that it read, which may have been altered
// before the statement had its locks: so they are compared with what the code expects after it ran, and nobody else
// reads what SPI gives. Valid until the SpiScope ends.
class Rows {
public:
    std::uint64_t count() const { return count_; }
    // Rows and columns count from 0.
    Nullable get(std::uint64_t row, int column) const
    {
        bool null;
        const Datum value = SPI_getbinval(table_->vals[row], table_->tupdesc, column + 1, &null);
        return {value, null};
    }
    HeapTuple whole(std::uint64_t row) const { return table_->vals[row]; }

private:
    friend Rows query(const char *, std::span<const Parameter>, RowType, long, bool);
    Rows(SPITupleTable *table, std::uint64_t count) : table_(table), count_(count) {}

    SPITupleTable *table_;
    std::uint64_t count_;
};

// Runs a statement for its rows. 42804 when they are not of these types.
Rows query(const char *statement, std::span<const Parameter> parameters, RowType types, long row_limit = 0,
           bool read_only = false);

} // namespace pg
