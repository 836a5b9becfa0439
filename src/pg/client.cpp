#include "pg/client.hpp"

// As libpq/libpq.h declares them from 15 to 18; that header needs those of GSSAPI and OpenSSL, which building an
// extension otherwise does not.
extern "C" {
extern PGDLLIMPORT WaitEventSet *FeBeWaitSet;
extern bool pq_check_connection(void);
}

namespace pg {

namespace {

constexpr int socket_position = 0; // in FeBeWaitSet: FeBeWaitSetSocketPos
constexpr int event_count = 3;     // FeBeWaitSetNEvents

// A background process has no client, and a single-user server no socket.
bool has_client_to_watch() { return MyProcPort != nullptr && FeBeWaitSet != nullptr && WaitEventSetCanReportClosed(); }

// Leaves by Postgres's own way: ProcessInterrupts() raises FATAL and sends nothing to a client that is gone. Returns if
// interrupts are held; the next CHECK_FOR_INTERRUPTS() then does it.
void client_is_lost()
{
    ClientConnectionLost = true;
    InterruptPending = true;
    CHECK_FOR_INTERRUPTS();
}

// As pq_check_connection() does it, but with time. To change the socket's events in this shared set is safe, because
// every user of it sets them before its own wait (secure_read(), secure_write()). WL_SOCKET_CLOSED, and not READABLE: a
// client that pipelines has sent more, and would wake us at once, for ever.
void wait_with_client(long milliseconds, std::uint32_t wait_event)
{
    WaitEvent events[event_count];
    ModifyWaitEvent(FeBeWaitSet, socket_position, WL_SOCKET_CLOSED, nullptr);
    const int count = WaitEventSetWait(FeBeWaitSet, milliseconds, events, event_count, wait_event);
    for (int i = 0; i < count; ++i) {
        if ((events[i].events & WL_POSTMASTER_DEATH) != 0)
            proc_exit(1); // as WL_EXIT_ON_PM_DEATH does, which this set does not have
        if ((events[i].events & WL_SOCKET_CLOSED) != 0)
            client_is_lost();
    }
}

} // namespace

void wait_on_latch(long milliseconds, std::uint32_t wait_event)
{
    if (has_client_to_watch())
        wait_with_client(milliseconds, wait_event);
    else
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, wait_event);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
}

void require_client()
{
    if (has_client_to_watch() && !pq_check_connection())
        client_is_lost();
    CHECK_FOR_INTERRUPTS(); // pq_check_connection() may have reset the latch that told of one
}

} // namespace pg
