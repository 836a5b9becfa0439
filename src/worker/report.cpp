#include "worker/report.hpp"

#include "pg/excerpt.hpp"
#include "pg/time.hpp"

namespace worker {

namespace {

using shared::databases::Lock;
using upkeep::Counts;

constexpr long log_every_ms = 10000;
// While the rest of a chore that fails grows to a minute, its tries are not logged again; after that each one is. Where
// two failures take turns, each is logged each time.
constexpr int repeat_failure_every_ms = 60000;

// Copies as much of a text as fits, in whole characters: a cut one could not be sent to a client.
template <std::size_t size>
void clip(char (&to)[size], const char *text)
{
    const int length = static_cast<int>(std::strlen(text));
    strlcpy(to, text, static_cast<std::size_t>(pg_mbcliplen(text, length, size - 1)) + 1);
}

void append(StringInfo line, int count, const char *what)
{
    if (count > 0)
        appendStringInfo(line, "%s%d %s", line->len == 0 ? "" : ", ", count, what);
}

} // namespace

void Report::say(BackendState state, const char *what)
{
    // Said several times in each round: the lock is taken only when it changes.
    if (what == said_)
        return;
    said_ = what;
    pgstat_report_activity(state, what);
    Lock lock;
    strlcpy(database_.doing, what, sizeof(database_.doing));
}

void Report::show_doing(const char *what) { say(STATE_RUNNING, what); }

void Report::idle() { say(STATE_IDLE, "asleep until something is due"); }

void Report::add_counts(const Counts &counts)
{
    unlogged_ += counts;
    Lock lock;
    database_.tally.add_all(counts);
}

void Report::count_woken(int sleepers)
{
    if (sleepers == 0)
        return;
    Lock lock;
    database_.tally[logic::Count::woken] += sleepers;
}

void Report::count_notified()
{
    Lock lock;
    ++database_.tally[logic::Count::notified];
}

void Report::round_ended()
{
    Lock lock;
    ++database_.tally[logic::Count::rounds];
    database_.round_at = GetCurrentTimestamp();
    database_.served_at = pg::moment();
}

bool Report::is_new_error(const char *message)
{
    if (std::strcmp(message, failure_logged_) == 0 && !pg::is_over(failure_logged_at_, repeat_failure_every_ms))
        return false;
    strlcpy(failure_logged_, message, sizeof(failure_logged_));
    failure_logged_at_ = pg::moment();
    return true;
}

void Report::note_failure(int sqlstate, const char *message)
{
    Lock lock;
    database_.failure.at = GetCurrentTimestamp();
    database_.failure.sqlstate = sqlstate;
    strlcpy(database_.failure.message, message, sizeof(database_.failure.message));
}

void Report::stalled(const char *doing, long seconds, int jobs)
{
    constexpr int sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    char *message =
        psprintf("no progress for %ld s: %s, %d jobs due at the last look that it had", seconds, doing, jobs);
    note_failure(sqlstate, message);
    ereport(WARNING,
            (errcode(sqlstate), errmsg("jobs_ext: %s", message),
             errhint("Somebody may hold a lock on these jobs or their tables (pg_locks), or each try fails.")));
}

void Report::has_trouble_with_months(int sqlstate, const char *message)
{
    char clipped[sizeof(database_.failure.message)];
    clip(clipped, psprintf("months of the archive: %s", message));
    note_failure(sqlstate, clipped);
}

void Report::failed(const char *while_doing, const ErrorData *error)
{
    char message[sizeof(database_.failure.message)];
    clip(message, error->detail == nullptr ? error->message : psprintf("%s: %s", error->message, error->detail));
    note_failure(error->sqlerrcode, message);
    if (is_new_error(message))
        ereport(WARNING, (errcode(error->sqlerrcode),
                          errmsg("jobs_ext: %s failed: %s", while_doing, pg::message_excerpt(error->message)),
                          error->detail != nullptr ? errdetail_internal("%s", pg::message_excerpt(error->detail)) : 0,
                          error->hint != nullptr ? errhint("%s", pg::message_excerpt(error->hint)) : 0,
                          error->context != nullptr ? errcontext("%s", pg::message_excerpt(error->context)) : 0));
}

long Report::until_log() const
{
    if (!unlogged_.any())
        return INT_MAX;
    return std::max(log_every_ms - pg::milliseconds_since(logged_at_), 0L);
}

void Report::log()
{
    if (!unlogged_.any())
        return;
    StringInfoData line;
    initStringInfo(&line);
    for (std::size_t i = 0; i < logic::count_count; ++i)
        if (const char *what = logic::count_traits[i].in_log)
            append(&line, unlogged_.number[i], what);
    ereport(LOG, (errmsg("jobs_ext: %s", line.data)));
    pfree(line.data);
    unlogged_ = {};
    logged_at_ = pg::moment();
}

} // namespace worker
