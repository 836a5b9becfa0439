// Whether a database has anything to serve.
#pragma once

#include "prelude.hpp"

namespace worker {

enum class Presence : std::uint8_t {
    ready,
    absent,        // no extension
    other_version, // its SQL is not this library's
    no_tables,     // those of the API, or our triggers on them, are missing: a restore has not made them yet
};

// In a transaction of the caller's. Builds the queue if it has to be.
Presence look_for_extension();

} // namespace worker
