// The launcher: one process for each server. It starts one worker for each database, ends workers that overstay, and
// serves no database itself.
//
//   What happens                        What the launcher does
//   start of the server, promotion      starts a worker for each database once: the worker serves the database, or
//                                       finds that the extension is not there and leaves
//   CREATE EXTENSION commits            hears of it (shared::databases::extension_changed), starts a worker
//   DROP EXTENSION commits              nothing: the worker hears of it and leaves
//   either is rolled back               nothing
//   CREATE, DROP, ALTER DATABASE        hears of it (worker/commands.cpp), reads pg_database again
//   a session keeps workers away        starts none there until that session's transaction has ended
//   a worker's piece does not end       sends the worker SIGTERM, because a user's code can catch a cancel but not
//                                       that; says so when the process stays. Never SIGKILL: after it the postmaster
//                                       restarts all processes
//   a worker fails                      starts another one, later after each failure
//   no process is free                  says so once; the workers take turns, the one longest not served first
//   the launcher fails                  the postmaster starts another one, which finds the entries in shared memory
//
// Launcher, workers and sessions meet in the entries of shared/databases.hpp. Why that is safe:
// - The launcher may read an entry without the lock, but it decides under the lock, by what it finds there then.
// - A worker that was registered may come late, or never. The launcher gives each start a number of its own (the
//   generation of the entry), under the lock; a worker that finds another number there leaves.
// - The launcher may die between registering a worker and hearing of its end. Its successor counts the generation up
//   and starts another worker (take_over()).
// - A signal never hits a stranger: a worker takes its pid out of the entry, under the lock, before its process ends,
//   and the launcher sends signals under the lock. A worker that is killed with SIGKILL can't do so, but then the
//   postmaster empties shared memory.
#pragma once

#include "prelude.hpp"

namespace worker {

// Has the postmaster start the launcher at the end of recovery. To be called from _PG_init while libraries are
// preloaded: later the postmaster registers no static worker.
void register_launcher();

} // namespace worker
