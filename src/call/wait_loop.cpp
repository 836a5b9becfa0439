#include "call/wait_loop.hpp"

#include <algorithm>
#include <utility>

#include "pg/client.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/databases.hpp"
#include "shared/dismissals.hpp"
#include "store/types.hpp"

namespace call {

namespace {

using Reason = Waiting::Reason;

// By purpose. Known in a process once it has slept.
constexpr const char *event_names[] = {"JobsClaim", "JobsWait"};
std::uint32_t events[std::size(event_names)];

// How often to look where nobody wakes: without shared memory, and without a worker, which sees what becomes due.
constexpr long poll_ms = 100;
constexpr long poll_without_worker_ms = 1000;

// Milliseconds until a timeout in force, which is by the server's clock, less a margin to answer in; INT_MAX without
// one.
long until_timeout(TimeoutId timeout)
{
    constexpr long margin = 500;
    if (!get_timeout_active(timeout))
        return INT_MAX;
    return pg::milliseconds_until(GetCurrentTimestamp(), get_timeout_finish_time(timeout)) - margin;
}

long until_timeout()
{
    long until = INT_MAX;
    for (const TimeoutId timeout : pg::timeouts_of_a_call)
        until = std::min(until, until_timeout(timeout));
    return until;
}

// By Reason.
struct Notice {
    const char *detail, *hint;
};

constexpr Notice notices[] = {
    {"The transaction has written: others would wait for its locks while it sleeps.",
     "Wait in a transaction of its own, before anything is written."},
    {"The transaction is not READ COMMITTED: it would never see what it waits for.",
     "Wait at READ COMMITTED, or without wait and with a pause between two calls."},
    {"statement_timeout or transaction_timeout leaves no time: half a second of it is kept for the answer.",
     "Raise the timeout, or call without wait and with a pause between two calls."},
    {"jobs_ext.max_wait is 0.", "Call without wait and with a pause between two calls, or raise jobs_ext.max_wait."},
    {"The look for it has written: it cancelled a job that has expired, or a policy or trigger wrote.",
     "Call again; where each call has written, find the policy or trigger that does."},
};

void say_once(Reason reason)
{
    static bool said[std::size(notices)];
    const auto number = static_cast<std::size_t>(reason);
    shared::databases::count_refused_wait();
    if (!std::exchange(said[number], true))
        ereport(NOTICE, (errmsg("the call does not wait"), errdetail_internal("%s", notices[number].detail),
                         errhint("%s", notices[number].hint)));
}

std::optional<Reason> reason_not_to_wait()
{
    if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
        return Reason::wrote;
    if (XactIsoLevel != XACT_READ_COMMITTED)
        return Reason::isolation;
    if (settings::max_wait == 0)
        return Reason::max_wait;
    if (until_timeout() <= 0)
        return Reason::timeout;
    return std::nullopt;
}

std::uint64_t hash_of(pg::Nullable worker)
{
    return worker ? shared::dismissals::hash_of_worker(pg::text_view(worker.value)) : 0;
}

} // namespace

Waiting::Waiting(std::optional<std::int64_t> wait, shared::Purpose purpose, pg::Nullable worker)
    : purpose_(purpose), worker_(hash_of(worker)), dismissals_(shared::dismissals::count_dismissals()),
      until_(pg::moment())
{
    const std::int64_t asked = wait.value_or(0) / 1000; // milliseconds
    if (asked == 0)
        return;
    refused_ = reason_not_to_wait();
    if (refused_)
        return;
    until_ = pg::in_milliseconds(std::min<std::int64_t>({asked, settings::max_wait, until_timeout()}));
    place_.emplace(purpose_, worker_);
    if (!*place_ && shared::is_there())
        shared::databases::count_polled_wait();
}

// A place that has become free meanwhile is taken.
void Waiting::poll(long milliseconds, std::uint32_t wait_event)
{
    pg::wait_on_latch(milliseconds, wait_event);
    pg::require_client();
    place_.emplace(purpose_, worker_);
}

bool Waiting::sleep()
{
    if (refused_) {
        say_once(*refused_);
        return false;
    }
    const long remaining = pg::milliseconds_until(until_);
    if (remaining <= 0 || is_dismissed())
        return false;
    if (TransactionIdIsValid(GetTopTransactionIdIfAny())) {
        say_once(Reason::look_wrote);
        return false;
    }
    const auto number = static_cast<int>(purpose_);
    const std::uint32_t event = pg::wait_event(events[number], event_names[number]);
    if (shared::Place *where = place())
        where->sleep(shared::databases::served() ? remaining : std::min(remaining, poll_without_worker_ms), event);
    else
        poll(std::min(remaining, poll_ms), event);
    return !is_dismissed();
}

} // namespace call
