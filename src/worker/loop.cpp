#include "worker/loop.hpp"

namespace worker {

namespace {

int code_when_asked_to_end = 1;

} // namespace

void handle_signals(int exit_code)
{
    code_when_asked_to_end = exit_code;
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
}

bool sleep_on_latch(long milliseconds, const char *wait_event, void (*before_end)())
{
    static std::uint32_t event = 0;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
              pg::wait_event(event, wait_event));
    // Before anything is looked at, here or by the caller: a process that tells of something sets its flag, then the
    // latch (latch.h). A flag that is set after this look ends the next sleep.
    ResetLatch(MyLatch);
    // CHECK_FOR_INTERRUPTS() would end the process by FATAL, with a line in the log for each DROP DATABASE.
    if (ProcDiePending) {
        // Else it would end at the first CHECK_FOR_INTERRUPTS() of what follows.
        ProcDiePending = false;
        if (before_end != nullptr)
            before_end();
        proc_exit(code_when_asked_to_end);
    }
    // pg_cancel_backend() means a statement, and none is running: without this it would be an error of the loop.
    QueryCancelPending = false;
    CHECK_FOR_INTERRUPTS();
    if (!ConfigReloadPending)
        return false;
    ConfigReloadPending = false;
    ProcessConfigFile(PGC_SIGHUP);
    return true;
}

} // namespace worker
