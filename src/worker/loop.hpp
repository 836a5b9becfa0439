// What the launcher and the workers have in common: signals, sleep, settings that are read again.
#pragma once

#include "prelude.hpp"

namespace worker {

// Sets the handlers of SIGHUP and SIGTERM and unblocks signals; to be called first, because a SIGHUP that came before
// its handler would be lost. SIGTERM is Postgres's `die`, not a flag of ours: a process that waits for a lock, or runs
// code of a user's, looks at no flag of ours, but at every CHECK_FOR_INTERRUPTS() `die` ends it. `exit_code` is for a
// process that is asked to end while it sleeps: after 0 the postmaster neither starts it again nor logs its end.
void handle_signals(int exit_code);

// Sleeps until the latch is set or so many milliseconds are over. Ends the process, without a line in the log, when it
// is asked to end or the postmaster has died; in the former case `before_end()`, where there is one, is called first.
// After SIGHUP it reads the configuration again and returns true: what
// depends on settings is to be looked at again. `wait_event` is what pg_stat_activity shows (from PostgreSQL 17 on); a
// process gives the same one each time.
bool sleep_on_latch(long milliseconds, const char *wait_event, void (*before_end)() = nullptr);

} // namespace worker
