// Whether the SQL of the extension in this database fits this library.
//
// After an upgrade that is half done it does not: new sessions load the new library (all of them after a restart, where
// it is preloaded), while ALTER EXTENSION brings the SQL up to date in each database. Functions of another version may
// have other parameters, tables other columns. So every function of ours asks before it looks at its arguments
// (pg/function.hpp), in every session.
#pragma once

#include "prelude.hpp"

namespace version {

// Raises 55000, with a hint at what there is to do, unless the version fits. Reads the catalog once, and again after
// each change that may be an upgrade; else it costs a comparison.
void require_version();

// Whether the extension with this OID is of a version that this library serves.
bool fits(Oid extension);

// Has the next call look again. An upgrade that counts replaces functions or alters tables of ours: of functions
// watch_version() hears, of tables store/tables.cpp, which calls this.
void forget_version();

// To be called once, from _PG_init: syscache callbacks cannot be unregistered.
void watch_version();

} // namespace version
