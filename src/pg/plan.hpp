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
