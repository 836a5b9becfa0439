// Whether the derived tables (private_tables.hpp) say what `jobs` says. They do as long as the enabled
// triggers on `jobs` are the very ones under which they were built, and its columns still hold the same values:
//   - a restore loads rows first and makes triggers last; an owner disables triggers, writes, and enables them: either
//     leaves other rows in pg_trigger;
//   - ALTER TABLE ... TYPE ... USING fires no trigger, but leaves another row in pg_attribute and another file.
//
// A writer that finds them not built builds them (rebuild.hpp). A reader reads `jobs` instead, and waits for no build.
#pragma once

#include "store/tables.hpp"

namespace store {

// Whether another transaction built them after the active snapshot was taken. That snapshot shows the derived tables as
// they were before the build: keys that are there now are not shown, and keys that are shown may be gone. False at READ
// COMMITTED, where a statement that waited for a build takes a new snapshot (open_built() in jobs.cpp).
bool derived_were_built_since_snapshot();

// Whether a reader finds in them every job that the active snapshot shows. Raises 42P01 and 42804 as tables() does.
bool derived_are_readable();

} // namespace store
