// What the processes know of the launcher, which starts workers, and tell it.
#pragma once

namespace shared::launcher {

// To be called from _PG_init while libraries are preloaded.
void request_launcher();

// This process is the launcher from now on, or is none any more.
void begin();
void launcher_ends();

void wake_launcher();

// A database came, went or changed: the launcher is to read the list of databases anew.
void note_databases_changed();
// Whether that was noted since this was last asked.
bool take_databases_changed();

// So many databases wait for a process: workers take turns.
void say_waiting(int databases);
bool others_wait();

} // namespace shared::launcher
