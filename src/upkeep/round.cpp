// job_maintain(): one round of what the background worker does.
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

constexpr int pieces_per_call = 20; // of a task, in one job_maintain(), as long as it took less than
constexpr int call_ms = 1000;
constexpr int most_failures = 5; // pieces in a row that end in doubt, in one job_maintain()

struct Round {
    Counts counts;
    int errors = 0;
    bool more = false;
    pg::Moment began = pg::moment();
};

// Of this session: a connection that calls again and again goes on where it was, and a new one begins afresh, since a
// session's pieces have no time limit but its own.
std::array<Pace, all_tasks.size()> paces_of_session;

// A task that fails keeps what the others did, and what its earlier pieces did.
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
            // The next piece does the others first.
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
        const store::Jobs jobs = store::Jobs::open(call::require_claim); // 42804 is the caller's to know
        const store::AsOwnerOfJobs owner; // 42501 where nothing may run as the owner here
    }
    // What that brings to light is the caller's own.
    pg::set_constraints_immediate();
    forget_contended();
    const Months months = IsTransactionBlock() ? Months::as_they_are : Months::may_change;
    Round round;
    for (Task task : all_tasks)
        run_task(task, now, months, round);
    return to_json(round);
}

} // namespace upkeep
