// What other processes know of the launcher, and tell it: which process it is, that the list of databases changed, how
// many databases wait for a worker. Three numbers that are read and written atomically, without a lock: each stands for
// itself, and none decides anything but when somebody looks.
//
// No change of databases is lost: a session sets the flag, then the launcher's latch; the launcher resets its latch,
// then takes the flag, then reads pg_database. A session that tells while no launcher is there sets the flag alone; the
// next launcher reads the list when it begins.
#pragma once

namespace shared::launcher {

// To be called from _PG_init while libraries are preloaded.
void request_launcher();

// This process is the launcher from now on; to be called where there is shared memory.
void begin();
// The launcher ends: from an exit callback, however the process ends.
void launcher_ends();

// Sets the launcher's latch, if there is a launcher.
void wake_launcher();

// A database came, went or changed: the launcher is to read the list of databases anew. For callbacks at the end of a
// transaction: raises nothing, and does nothing where nothing is shared.
void note_databases_changed();
// Whether that was noted since this was last asked.
bool take_databases_changed();

// Says how many databases wait because no process is free. While that is not 0, each worker leaves after its turn
// (worker/worker.cpp), and the launcher starts another one in its place.
void say_waiting(int databases);
bool others_wait();

} // namespace shared::launcher
