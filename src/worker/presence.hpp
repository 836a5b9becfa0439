// Whether the database of a worker has anything to serve. The answer is a moment's: CREATE, ALTER and DROP EXTENSION
// tell the worker to look again (worker/commands.cpp), and it looks in each whole round anyway, which is what finds
// tables that a restore makes, or that somebody drops.
#pragma once

#include "prelude.hpp"

namespace worker {

enum class Presence : std::uint8_t {
    ready,
    absent,        // no extension: the worker leaves
    other_version, // its SQL is of another version than this library: the worker waits for ALTER EXTENSION
    no_tables,     // a table of the API or a trigger of ours on `jobs` is missing: a restore has not made it yet
};

// Looks, in a transaction of the caller's. Where all is there, it also builds the derived tables if they do not count
// as built, as the owner of `jobs`: readers read `jobs` itself until then, and the next writer would have to wait for
// the build. That takes minutes where `jobs` is large. 55P03 where somebody has a table locked; 42804 where a trigger
// of ours is disabled or a table was altered so that it cannot be used.
Presence look_for_extension();

} // namespace worker
