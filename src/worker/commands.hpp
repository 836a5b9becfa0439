// Commands of others that concern the workers, seen as they run: those that fail while anybody is connected to a
// database, those that change which databases there are, those that make or drop an extension, and the second half of a
// two-phase commit.
#pragma once

#include "prelude.hpp"

namespace worker {

// To be called from _PG_init while libraries are preloaded.
void watch_commands();

} // namespace worker
