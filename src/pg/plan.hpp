// SQL statements through saved SPI plans, which a process prepares once and runs as the role that is current.
//
// Plans survive rollbacks. Postgres plans them anew when a table or a policy has changed, or the role where row
// security counts (plancache.c). So ALTER and DROP need nothing from us, but for the types of what comes back: Rows,
// below.
#pragma once

#include "pg/function.hpp"
#include "pg/types.hpp"
#include "prelude.hpp"

namespace pg {

// SPI is connected in this scope; what it allocates is freed at the end. After an error AtEOXact_SPI() or
// AtEOSubXact_SPI() disconnects it.
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

// SET CONSTRAINTS ALL IMMEDIATE: deferred triggers that are queued fire now, as the current role, and raise what they
// raise. Those queued later in this transaction fire at the end of their statements.
void set_constraints_immediate();

// Statements that run in this scope are planned to read tables by an index wherever one serves, and never compiled. For
// those of which the caller knows, and the planner cannot, that they give few rows: its guess for a policy is the share
// of an average organisation. They need texts of their own, since a saved plan may have been made in the scope.
//
// in_order: they are to read in the order that is asked for, too, instead of sorting: for those of which the planner
// takes many rows for few, and would read them all for the first ones.
class ByIndex {
public:
    enum class Order : bool { as_planned, in_order };
    explicit ByIndex(Order order = Order::as_planned);
    ~ByIndex();
    ByIndex(const ByIndex &) = delete;
    ByIndex &operator=(const ByIndex &) = delete;

private:
    int settings_;
};

struct Parameter {
    Oid type;
    Nullable value;
};

// Runs a statement, inside an SpiScope, and returns how many rows it gave or changed. The text and the types of the
// parameters are the name of the plan: the text must hold no values, or each value would be kept as a plan. It
// qualifies every name and every operator, because it runs under the caller's search_path. `row_limit` 0: all rows.
// `read_only`: under the active snapshot, without a newer one. Raises what the statement raises.
std::uint64_t run_sql(const char *statement, std::span<const Parameter> parameters, long row_limit = 0,
                      bool read_only = false);

// The rows that a statement gave, valid until the SpiScope ends. Their types follow those of the tables that it read,
// which an owner may have altered before the statement had its locks. A Datum that is read as another type than its own
// is a wild pointer, so query() compares the types after the statement ran, and this is the one reader of SPI's rows.
class Rows {
public:
    std::uint64_t count() const { return count_; }
    // Rows and columns count from 0.
    Nullable at(std::uint64_t row, int column) const
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

// Runs a statement for its rows, as run_sql(). Raises 42804 if the columns are not of these types. No rows if a rule of
// the user's ran something else instead.
Rows query(const char *statement, std::span<const Parameter> parameters, RowType types, long row_limit = 0,
           bool read_only = false);

} // namespace pg
