#include "worker/loop.hpp"

namespace worker {

void handle_signals()
{
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
}

bool sleep(long milliseconds, const char *wait_event)
{
    static std::uint32_t event = 0; // a process sleeps under one name
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
              pg::wait_event(event, wait_event));
    ResetLatch(MyLatch);
    // Not 0, which would keep the postmaster from starting the launcher again.
    if (ProcDiePending)
        proc_exit(1);
    CHECK_FOR_INTERRUPTS();
    if (!ConfigReloadPending)
        return false;
    ConfigReloadPending = false;
    ProcessConfigFile(PGC_SIGHUP);
    return true;
}

} // namespace worker
