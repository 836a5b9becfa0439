// Commands of sessions that concern the workers, seen by hooks in every process, because the library is preloaded:
//
//   Command                           Race                                   What is done
//   DROP DATABASE; ALTER DATABASE …   Postgres refuses them while anybody    keep_away() before it: sends the worker
//   RENAME, SET TABLESPACE; CREATE    is connected, and the worker always    away, waits, and lets none come until the
//   DATABASE, for what it copies      is                                     transaction (or savepoint) has ended
//   the same, other ALTER DATABASE    the launcher knows an older list       noted, told at commit: it reads again
//   CREATE, ALTER, DROP EXTENSION     the launcher or the worker looked      noted, told at commit: a worker is
//                                     before the commit                      started, or looks again
//   COMMIT PREPARED,                  the notes of the transaction are gone  the worker looks at everything
//   ROLLBACK PREPARED
//   ALTER TABLE jobs                  writers wait for it, and each would    the command builds the derived tables
//                                     want to build                          itself, while it has `jobs` alone
//
// A command that is rolled back tells nothing: its notes go with its transaction, and so does what kept workers away.
#pragma once

#include "prelude.hpp"

namespace worker {

// Sets the hooks, in front of those that are there. To be called from _PG_init while libraries are preloaded.
void watch_commands();

} // namespace worker
