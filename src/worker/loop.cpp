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

bool sleep(long milliseconds, const char *wait_event)
{
    static std::uint32_t event = 0; // a process sleeps under one name
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
              pg::wait_event(event, wait_event));
    ResetLatch(MyLatch);
    if (ProcDiePending)
        proc_exit(code_when_asked_to_end);
    QueryCancelPending = false; // of a statement, and none is running
    CHECK_FOR_INTERRUPTS();
    if (!ConfigReloadPending)
        return false;
    ConfigReloadPending = false;
    ProcessConfigFile(PGC_SIGHUP);
    return true;
}

} // namespace worker
