// job_maintain(): one round of the worker's tasks, in the caller's session and transaction. For servers where the
// library is not preloaded, by pg_cron or by hand; beside a worker it does no harm.
//
// Two sessions, or a session and the worker, may do the same task at once, beside all verbs. A piece reads which jobs
// are due, and then locks each without waiting (upkeep/reap.cpp, upkeep/archive.cpp): a job that another session holds,
// or has done meanwhile, is left. So no job is reaped or archived twice, and two rounds at once share the work.
//
// Each piece is a subtransaction: an error undoes that piece, and the pieces before it stay. ROLLBACK by the caller
// takes all of them back. The row locks of a round last until the caller's transaction ends, which is why a round is
// bounded. What a cancel or the lack of memory interrupts is raised, and undoes the whole call (pg::ends_the_call).
#include "call/privileges.hpp"
#include "pg/excerpt.hpp"
#include "pg/json.hpp"
#include "pg/plan.hpp"
#include "pg/subtransaction.hpp"
#include "settings.hpp"
#include "store/jobs.hpp"
#include "store/owner.hpp"
#include "upkeep/contended.hpp"
#include "upkeep/piece.hpp"

namespace upkeep {

namespace {

// In one job_maintain(), for each task: so many pieces (10 000 jobs), and no further piece once the call has taken so
// many milliseconds. The first piece of each task is done whatever the time is, so that a slow task does not starve
// those after it. "more" in the answer tells the caller to call again.
constexpr int pieces_per_call = 20;
constexpr int call_ms = 1000;
// Pieces of a task in a row that end in doubt whether a job or the server is at fault. Each one suspects the job at
// which it failed, and the next tries the others first, so a few of them find whose fault it is. A server that is at
// fault fails all of them.
constexpr int most_failures = 5;

struct Round {
    Counts counts;
    int errors = 0;
    bool more = false;
    pg::Moment began = pg::moment();
};

// Of this session, and kept from call to call: a connection that calls again and again goes on with the lane after the
// last one. A new session begins with whole pieces, since no time limit but its own statement_timeout makes them
// smaller.
std::array<Pace, all_tasks.size()> paces_of_session;

// Does pieces of one task until nothing is left or a limit is reached. An error ends this task with a WARNING and is
// counted; the other tasks, and the pieces of this one that went well, keep what they did. Raises what ends the call.
void run_task(Task task, TimestampTz now, Months months, Round &round)
{
    Pace &pace = paces_of_session[static_cast<std::size_t>(task)];
    bool more = true;
    int failures = 0; // in a row
    for (int i = 0; more && i < pieces_per_call; ++i) {
        if (i > 0 && failures == 0 && pg::is_over(round.began, call_ms))
            break;
        Counts piece;
        if (ErrorData *error =
                pg::in_subtransaction([&] { piece = run_piece(task, pace, now, months); }, pg::ends_the_call)) {
            // In doubt: the job is suspected in this session now, and the next piece tries the others before it.
            if (pace.in_doubt && ++failures < most_failures && i + 1 < pieces_per_call) {
                FreeErrorData(error);
                continue;
            }
            ++round.errors;
            ereport(
                WARNING,
                (errcode(error->sqlerrcode),
                 errmsg("maintenance failed at \"%s\": %s", name_of_task(task), pg::message_excerpt(error->message)),
                 error->detail != nullptr ? errdetail_internal("%s", pg::message_excerpt(error->detail)) : 0));
            return;
        }
        round.counts += piece;
        more = piece.more;
        failures = 0;
    }
    round.more = round.more || more;
}

Datum to_json(const Round &round)
{
    StringInfoData text;
    initStringInfo(&text);
    for (std::size_t i = 0; i < logic::count_count; ++i)
        if (const char *key = logic::count_traits[i].in_answer)
            appendStringInfo(&text, "\"%s\": %d, ", key, round.counts.number[i]);
    const char *json =
        psprintf("{%s\"errors\": %d, \"more\": %s}", text.data, round.errors, round.more ? "true" : "false");
    return pg::parse_json(json);
}

} // namespace

JOBS_FUNCTION(job_maintain)
{
    const TimestampTz now = settings::now();
    {
        pg::StatementScope scope("job_maintain()");
        // Opened for its errors, which are to be raised once and not be a WARNING of each task: 42501 for a caller who
        // may not claim, 42804 for a table that was altered.
        const store::Jobs jobs = store::Jobs::open(call::require_claim);
        const store::AsOwnerOfJobs owner; // 42501 where the session holds temporary objects of a third role
    }
    // Constraints that the caller's transaction has deferred fire now, as the caller, and what they raise is the
    // caller's to know. A piece sets constraints immediate as well, but as the owner of `jobs`: there they would fire
    // with its rights.
    pg::set_constraints_immediate();
    paces_of_session[static_cast<std::size_t>(Task::unblock)].parents.add_all();
    forget_contended(); // each call tries all that is due: its caller may not come back in a moment
    // A month's lock on the archive lasts until the end of the transaction: in a block that may be for long.
    const Months months = IsTransactionBlock() ? Months::as_they_are : Months::may_change;
    Round round;
    for (Task task : all_tasks)
        run_task(task, now, months, round);
    return to_json(round);
}

} // namespace upkeep
