// Whether the SQL of the extension in this database is that of this library.
//
// After an upgrade that is half done it is not: the library is loaded anew by new sessions (by all after a restart,
// where it is preloaded), the SQL is brought up to date by ALTER EXTENSION in each database. Functions of another
// version may have other parameters, tables other columns. So every function of ours asks before it looks at its
// arguments (pg/function.hpp), in every session.
#pragma once

#include "prelude.hpp"

namespace version {

// 55000, with what there is to do, unless it is. Looks once, and again after what may have changed it.
void require_version();

// Whether the extension with this OID is of a version that this library serves.
bool fits(Oid extension);

// Has the next call look again. An upgrade replaces functions or alters tables of ours, or changes nothing that counts;
// the first of those this finds out by itself.
void forget_version();

void watch_version();

} // namespace version
