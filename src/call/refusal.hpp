// Why a call did nothing, as a value. The verbs for many report it as one element's answer, without a subtransaction
// for each; all others raise it.
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

// Each returns a PT413, or null: for a value larger than jobs_ext.max_payload (kB); for a row whose large columns
// have more than 900 kB together as JSON, as those who follow `jobs` by a decoder of the WAL get it. The second fetches
// and reads all of them.
std::optional<Refusal> too_large(pg::Nullable json, const char *argument);
std::optional<Refusal> too_large(const store::Row &row);

// Raises it with its SQLSTATE, message, detail and hint.
[[noreturn]] void raise(const Refusal &refusal);

} // namespace call
