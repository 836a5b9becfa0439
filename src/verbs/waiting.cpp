#include "verbs/waiting.hpp"

#include <algorithm>

#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/board.hpp"
#include "store/types.hpp"

namespace verbs {

namespace {

// By purpose. Known in a process once it has slept.
constexpr const char *event_names[] = {"JobsClaim", "JobsWait"};
std::uint32_t events[std::size(event_names)];

// How often to look where nobody wakes: without shared memory, and without a worker, which sees what becomes due.
constexpr long poll_ms = 100;
constexpr long poll_without_worker_ms = 1000;

// Milliseconds until a timeout in force, less a margin to answer in; INT_MAX without one.
long until_timeout(TimeoutId timeout)
{
    constexpr long margin = 500;
    if (!get_timeout_active(timeout))
        return INT_MAX;
    return pg::milliseconds_until(GetCurrentTimestamp(), get_timeout_finish_time(timeout)) - margin;
}

long until_timeout()
{
    long until = until_timeout(STATEMENT_TIMEOUT);
#if PG_VERSION_NUM >= 170000
    until = std::min(until, until_timeout(TRANSACTION_TIMEOUT));
#endif
    return until;
}

// How long a call may wait, in milliseconds. A transaction that has written keeps others waiting while it sleeps, and
// one that is not READ COMMITTED would not see what it waits for.
long allowed_wait(pg::Nullable wait)
{
    if (!wait)
        return 0;
    const std::int64_t asked = store::span_of(DatumGetIntervalP(wait.value), "wait") / 1000;
    if (XactIsoLevel != XACT_READ_COMMITTED || TransactionIdIsValid(GetTopTransactionIdIfAny()))
        return 0;
    return static_cast<long>(std::min<std::int64_t>({asked, settings::max_wait, until_timeout()}));
}

void poll(long milliseconds)
{
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
}

} // namespace

Waiting::Waiting(pg::Nullable wait, shared::Purpose purpose)
    : purpose_(purpose), until_(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), allowed_wait(wait)))
{
    if (until_ <= GetCurrentTimestamp())
        return;
    place_.emplace(purpose);
    // As many as may are asleep already: with what there is.
    if (!*place_ && shared::board() != nullptr)
        until_ = DT_NOBEGIN;
}

bool Waiting::sleep()
{
    const long remaining = pg::milliseconds_until(GetCurrentTimestamp(), until_);
    // The look may have written: cancelled a job that expired, or what a policy or trigger of the user's does.
    if (remaining <= 0 || TransactionIdIsValid(GetTopTransactionIdIfAny()))
        return false;
    if (shared::Place *where = place())
        where->sleep(shared::databases::served() ? remaining : std::min(remaining, poll_without_worker_ms),
                     pg::wait_event(events[static_cast<int>(purpose_)], event_names[static_cast<int>(purpose_)]));
    else
        poll(std::min(remaining, poll_ms));
    return true;
}

} // namespace verbs
