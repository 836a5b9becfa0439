// Why a call did nothing, as a value: job_finish_many reports it, everything else raises it.
#pragma once

#include "pg/sqlstate.hpp"
#include "store/row.hpp"

namespace call {

struct Refusal {
    int sqlstate;
    const char *message;
    const char *detail; // JSON, or null
    const char *hint;
};

// PT413, or none: of a value over jobs_ext.max_payload, of a row that comes near to what Realtime can send.
std::optional<Refusal> too_large(pg::Nullable json, const char *argument);
std::optional<Refusal> too_large(const store::Row &row);

[[noreturn]] void raise(const Refusal &refusal);

} // namespace call
