#include "call/wait_loop.hpp"

#include <algorithm>
#include <utility>

#include "pg/client.hpp"
#include "pg/procedure.hpp"
#include "pg/session.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/databases.hpp"
#include "shared/dismissals.hpp"
#include "store/types.hpp"

namespace call {

namespace {

using Reason = Waiting::Reason;

// The names in pg_stat_activity.wait_event, by Purpose, and their numbers, 0 until this process has slept.
constexpr const char *event_names[] = {"JobsClaim", "JobsWait"};
std::uint32_t events[std::size(event_names)];

// How often a session looks where nobody wakes it. Without a place: a tenth of a second is what a caller hardly
// notices, and costs a claim's look each time. With a place but no worker: commits wake it all the same, and only what
// becomes due later has to be looked for.
constexpr long poll_ms = 100;
constexpr long poll_without_worker_ms = 1000;

// How old the transaction of a call that commits gets asleep: what it does while nobody wakes it is a look and a
// commit. So pg_stat_activity shows no old transaction, and what others changed in the catalogs does not pile up for
// it.
constexpr long oldest_transaction_ms = 60'000;

// Milliseconds until a timeout in force, which is by the server's clock, less the margin; INT_MAX without one. The wait
// ends before the timeout, because the caller is to get an empty answer, not an error 57014, after which its
// transaction is lost. The margin is for one more look and the answer.
constexpr long margin = 500;
long until_timeout(TimeoutId timeout)
{
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

// The same for a call that commits, which only statement_timeout bounds. Where transaction_timeout is no longer than
// that, Postgres arms it alone, and here it begins anew with each commit: so the statement's is kept by its setting.
long until_statement_timeout()
{
    const int longest = pg::longest_transaction();
    if (longest == 0 || StatementTimeout < longest)
        return until_timeout(STATEMENT_TIMEOUT);
    const TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentStatementStartTimestamp(), StatementTimeout);
    return pg::milliseconds_until(GetCurrentTimestamp(), end) - margin;
}

// How long a transaction of such a call may sleep: half of transaction_timeout, the other half is for the look.
long longest_nap()
{
    const long longest = pg::longest_transaction();
    return longest == 0 ? oldest_transaction_ms : std::clamp(longest / 2, 1L, oldest_transaction_ms);
}

// What each Reason is to the user; by Reason.
struct Notice {
    const char *detail, *hint;
    const char *message = "the call does not wait";
};

constexpr Notice notices[] = {
    {"The transaction has written: others would wait for its locks while it sleeps.",
     "Wait in a transaction of its own, before anything is written."},
    {"The transaction is not READ COMMITTED: it would never see what it waits for.",
     "Wait at READ COMMITTED, or without wait and with a pause between two calls."},
    {"statement_timeout or transaction_timeout leaves no time: half a second of it is kept for the answer.",
     "Raise the timeout, or call without wait and with a pause between two calls."},
    {"jobs_ext.max_wait is 0.", "Call without wait and with a pause between two calls, or raise jobs_ext.max_wait."},
    {"jobs_ext.max_wait_authenticated is 0.",
     "Call without wait and with a pause between two calls, or raise jobs_ext.max_wait_authenticated."},
    {"The look for it has written: it cancelled a job that has expired, or a policy or trigger wrote.",
     "Call again; where each call has written, find the policy or trigger that does."},
    {"The session listens (LISTEN): it hears nothing while a call sleeps, and until it does the server keeps all "
     "notifications, of whichever session.",
     "Call again, as after any empty answer; UNLISTEN *, or wait in a session that does not listen, to wait longer.",
     "the call waits no longer than jobs_ext.max_wait"},
};

// Counts each refusal, for the view jobs_ext.maintenance, but tells each reason once in a session.
void say_once(Reason reason)
{
    static bool said[std::size(notices)];
    const auto number = static_cast<std::size_t>(reason);
    shared::databases::count_refused_wait();
    if (!std::exchange(said[number], true))
        ereport(NOTICE, (errmsg_internal("%s", notices[number].message),
                         errdetail_internal("%s", notices[number].detail), errhint("%s", notices[number].hint)));
}

// Why this transaction must not sleep at all, whatever the timeouts; null: it may. Asked before the first look, since a
// claim that finds a job writes, and has an id from then on.
std::optional<Reason> reason_not_to_wait(bool under_row_security)
{
    if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
        return Reason::wrote;
    if (XactIsoLevel != XACT_READ_COMMITTED)
        return Reason::isolation;
    if (settings::max_wait == 0)
        return Reason::max_wait;
    if (under_row_security && settings::max_wait_authenticated == 0)
        return Reason::max_wait_authenticated;
    return std::nullopt;
}

// In milliseconds.
long longest_wait(bool under_row_security)
{
    const int longest =
        under_row_security ? std::min(settings::max_wait, settings::max_wait_authenticated) : settings::max_wait;
    return std::min<long>(longest, until_timeout());
}

std::uint64_t hash_of(pg::Nullable worker)
{
    return worker ? shared::dismissals::hash_of_worker(pg::text_view(worker.value)) : 0;
}

} // namespace

Waiting::Waiting(std::optional<std::int64_t> wait, shared::Purpose purpose, bool under_row_security,
                 pg::Nullable worker, bool commits)
    : purpose_(purpose), worker_(hash_of(worker)), commits_(commits),
      // Counted before the place is taken: a dismissal from now on is either seen by its number or wakes the place.
      dismissals_(shared::dismissals::count_dismissals()), began_(pg::moment()), until_(began_)
{
    const std::int64_t asked = wait.value_or(0) / 1000; // milliseconds, of microseconds
    if (asked == 0)
        return;
    if (!commits_)
        refused_ = reason_not_to_wait(under_row_security);
    const long longest = commits_ ? until_statement_timeout() : longest_wait(under_row_security);
    if (!refused_ && longest <= 0)
        refused_ = Reason::timeout;
    if (refused_)
        return;
    // Until a moment by the monotonic clock, not an instant by the server's: the wait is to last as long as asked for
    // when somebody sets the clock meanwhile.
    until_ = pg::in_milliseconds(std::min<std::int64_t>(asked, longest));
    take_place();
    if (!*place_ && shared::is_there())
        shared::databases::count_polled_wait();
}

// Sleeps without a place. One that has become free is taken afterwards, unarmed: the verb arms it before its next look.
// The client is looked for as Place::sleep() does it, since the look may take a job.
void Waiting::poll(long milliseconds, std::uint32_t wait_event)
{
    pg::wait_on_latch(milliseconds, wait_event);
    pg::require_client();
    take_place();
}

void Waiting::take_place()
{
    place_.emplace(purpose_, worker_, commits_ ? shared::Place::Lasts::call : shared::Place::Lasts::transaction);
}

bool Waiting::look_was_too_old()
{
    if (!commits_ || place() == nullptr || !IsolationUsesXactSnapshot())
        return false;
    pg::commit_and_begin();
    return true;
}

// Asked before each sleep, since the LISTEN of a procedure around the call holds from the first commit on: it is met
// before the second sleep. The bound counts from the beginning of the call, as jobs_ext.max_wait does elsewhere.
void Waiting::bound_listener()
{
    const pg::Moment bound = began_ + std::int64_t{settings::max_wait} * 1000;
    if (!commits_ || until_ <= bound || !pg::listens())
        return;
    until_ = bound;
    is_bounded_ = true;
}

bool Waiting::sleep()
{
    if (refused_) {
        say_once(*refused_);
        return false;
    }
    bound_listener();
    long remaining = pg::milliseconds_until(until_);
    if (remaining <= 0 && is_bounded_)
        say_once(Reason::listens);
    if (remaining <= 0 || is_dismissed())
        return false;
    if (commits_) {
        pg::commit_and_begin();
        remaining = std::min(remaining, longest_nap());
    }
    // The look itself has written: a claim has cancelled a job that had expired, or a policy or trigger wrote. Its row
    // locks last until the end of the transaction, which must not be put off by a sleep. A call that commits has just
    // let them go.
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
    if (commits_)
        pg::commit_and_begin(); // so that now() is not before the job that it was woken for
    // JOBS_FUNCTION asked when the call began. Without a look at what others changed the answer would be the old one.
    AcceptInvalidationMessages();
    version::require_version();
    return !is_dismissed();
}

} // namespace call
