// One process per cluster that starts one worker for each database that has the extension.
//
//   What happens                        What the launcher does
//   start of the server, promotion      starts a worker for each database once: it serves the database, or finds that
//                                       the extension is not there and leaves
//   CREATE EXTENSION commits            hears of it (shared::databases::extension_changed), starts a worker
//   DROP EXTENSION commits              nothing: the worker hears of it and leaves
//   either is rolled back               nothing
//   CREATE, DROP, ALTER DATABASE        hears of it (worker/commands.cpp), reads pg_database again
//   a session keeps workers away        starts none there until that session's transaction has ended
//   a worker's piece does not end       sends it SIGTERM, which no code of a user's can catch; never SIGKILL, after
//                                       which the postmaster restarts all processes. Says so when it is still there
//   a worker fails                      starts another one, later after each failure
//   no process is free                  says so once; the workers take turns, the one longest not served first
//   the launcher fails                  the postmaster starts another one, which finds the entries in shared memory
#pragma once

#include "prelude.hpp"

namespace worker {

// Has the postmaster start the launcher; to be called from _PG_init while libraries are preloaded.
void register_launcher();

} // namespace worker
