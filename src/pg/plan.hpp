// SQL statements through saved SPI plans, prepared once in a backend and run as whoever calls.
#pragma once

#include "pg/function.hpp"
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

// Statements inside run as the owner of a table, as Postgres runs its own for foreign keys: for what an operation
// brings along that its caller need not be allowed to do directly. Whatever they fire runs as that owner too.
class AsOwner {
public:
    explicit AsOwner(Oid table)
    {
        GetUserIdAndSecContext(&role_, &context_);
        SetUserIdAndSecContext(owner_of(table), context_ | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
    }
    ~AsOwner() { SetUserIdAndSecContext(role_, context_); }
    AsOwner(const AsOwner &) = delete;
    AsOwner &operator=(const AsOwner &) = delete;

private:
    static Oid owner_of(Oid table);

    Oid role_;
    int context_;
};

struct Parameter {
    Oid type;
    Nullable value;
};

// Runs a statement and returns how many rows it gave or changed; rows are in SPI_tuptable. The text is the plan's
// name: it must hold no values. Every name in it is qualified, every operator too, since it runs under the caller's
// search_path.
std::uint64_t run(const char *statement, std::span<const Parameter> parameters, long row_limit = 0,
                  bool read_only = false);

} // namespace pg
