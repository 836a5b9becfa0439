// What all processes of ours have in common: signals, sleep, settings that are read again.
#pragma once

#include "prelude.hpp"

namespace worker {

// To be called first. SIGTERM is `die`: a process that waits for a lock never looks at a flag. Asked to end while it
// sleeps, the process ends with that code: after 0 the postmaster neither starts it again nor says so in the log.
void handle_signals(int exit_code);

// Until the latch is set or so many milliseconds are over. Reads the configuration again after SIGHUP; ends the
// process, without a line in the log, when it is asked to end. True: it read the configuration.
bool sleep(long milliseconds, const char *wait_event);

} // namespace worker
