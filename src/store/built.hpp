// Whether the derived tables (queue, failed, expiring, ended) say what `jobs` says. They do as long as the enabled
// triggers on `jobs` are the very ones under which they were built, and its columns hold the values that they held: a
// restore that loads rows first and makes triggers last, or somebody who disables them for a while, leaves other rows
// in pg_trigger; ALTER TABLE ... TYPE ... USING fires no trigger, but leaves another row in pg_attribute and another
// file.
#pragma once

#include "store/tables.hpp"

namespace store {

// Whether somebody else built them after the active snapshot was taken: then it shows them as they were before, and a
// key that it does not show may be there. Only outside READ COMMITTED, where a transaction keeps its first snapshot.
bool derived_were_built_since_snapshot();

// Whether a reader finds in them every job that the active snapshot sees. Else it reads `jobs`.
bool derived_are_readable();

} // namespace store
