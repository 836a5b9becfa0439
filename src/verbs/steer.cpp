// job_cancel, job_retry, job_pause, job_resume: what an operator or producer does to a job, by id or job_id.
//
// They meet the worker that runs or ends the job, a claim that takes it and upkeep. store::change() decides from the
// newest version of the row, waits for a transaction that holds it, and decides again where that one changed the job. A
// claim skips the row while one of these verbs has it locked. So job_pause() of a job that a claim takes in the same
// moment either pauses it, or finds it running and is refused.
//
// A cancel, pause or resume that finds the job as it should be already changes nothing and succeeds, so it may be
// repeated after a lost answer. A job_retry() that is repeated raises PT409, as every move does that is not possible
// from the job's state. PT404 is for a job that is unknown or that the caller may not see.
#include "call/answer.hpp"
#include "call/job_name.hpp"
#include "call/privileges.hpp"
#include "job/moves.hpp"
#include "job/new_job.hpp"
#include "job/refusal.hpp"
#include "pg/plan.hpp"
#include "settings.hpp"

namespace verbs {

namespace {

using call::JobName;
using logic::Status;
using store::Column;
using store::Jobs;
using store::Row;

// The id of the job that has this job_id, of those that the caller may see. Under row security a statement of the
// caller's tells, as in store::change(): so another tenant's job costs what nobody's does, and no lock of its is met.
std::optional<pg_uuid_t> find_by_job_id(Jobs &jobs, Datum job_id)
{
    if (!job::under_row_security(jobs.tables())) {
        const std::optional<Row> job = jobs.find_by_job_id(DatumGetTextPP(job_id));
        return job ? std::optional(*job->id()) : std::nullopt;
    }
    static constexpr Oid gives[] = {UUIDOID};
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {{VARCHAROID, job_id}};
    const pg::Rows rows =
        pg::query("select id from public.jobs where job_id operator(pg_catalog.=) $1", parameters, gives, 1);
    const pg::Nullable id = rows.count() > 0 ? rows.at(0, 0) : pg::Nullable();
    return id ? std::optional(*DatumGetUUIDP(id.value)) : std::nullopt;
}

// The id of the job. Raises PT404 for a job_id that names none, PT409 where that one is archived.
pg_uuid_t resolve(Jobs &jobs, const JobName &name)
{
    if (name.id)
        return *DatumGetUUIDP(name.id.value);
    const std::optional<pg_uuid_t> id = find_by_job_id(jobs, name.job_id.value);
    if (!id)
        call::raise(job::missing_key(DatumGetTextPP(name.job_id.value)));
    return *id;
}

// Changes one job: `decide(const Row &before, Row &after) -> std::optional<Refusal>` makes the move, or leaves `after`
// alone where nothing is to be done. It may run more than once, each time from a newer version. Returns the row as it
// is afterwards, or raises the refusal.
template <class Decide>
Row steer(Jobs &jobs, const JobName &name, Decide decide)
{
    const pg_uuid_t job = resolve(jobs, name);
    std::optional<call::Refusal> refusal;
    Row row;
    const store::Changed changed =
        store::change(jobs, &job, store::moved_columns, row, [&](const Row &before, Row &after) {
            refusal = decide(before, after);
            return !refusal && after.changed != 0;
        });
    if (changed == store::Changed::missing)
        call::raise(name.id ? job::missing(&job) : job::missing_key(DatumGetTextPP(name.job_id.value)));
    if (refusal)
        call::raise(*refusal);
    return row;
}

struct Steering : call::JobName {
    pg::Nullable reason;
    bool force = false;
    std::optional<TimestampTz> run_at;
};
constexpr call::Field<Steering> cancel_fields[] = {
    {"reason", TEXTOID, &Steering::reason, call::cut_to_size},
    {"force", BOOLOID, &Steering::force},
};
constexpr call::Field<Steering> return_fields[] = {{"run_at", TIMESTAMPTZOID, &Steering::run_at, call::finite_time}};

template <const auto &fields>
Steering read_steering(FunctionCallInfo fcinfo)
{
    Steering asked;
    call::read_arguments<call::job_name_fields, fields>(fcinfo, asked, asked);
    return asked;
}

std::optional<call::Refusal> cancel_job(const Row &before, Row &after, const Steering &asked, TimestampTz now)
{
    switch (before.status()) {
    case Status::completed:
    case Status::failed:
        return job::illegal_transition(before, Status::cancelled, "The job has ended already.");
    case Status::cancelled:
        return std::nullopt;
    case Status::in_progress:
        if (!asked.force) {
            // The worker hears of it by its next heartbeat. A second request keeps the first one's time and reason.
            if (!before.has(Column::cancel_requested_at))
                job::moves::request_cancel(after, now, asked.reason);
            return std::nullopt;
        }
        job::moves::cancel(after, now, asked.reason);
        // The worker goes on and does not know yet. Without a lease_id in the row none of its calls can match, whatever
        // becomes of the job.
        after.clear(Column::lease_id);
        return std::nullopt;
    default:
        job::moves::cancel(after, now, asked.reason);
        return std::nullopt;
    }
}

// When a job that is brought back may start: as of a new job.
std::optional<TimestampTz> allowed_run_at(const Jobs &jobs, std::optional<TimestampTz> run_at, TimestampTz now)
{
    return run_at ? std::optional(job::allowed_run_at(job::under_row_security(jobs.tables()), *run_at, now)) : run_at;
}

// What pause and resume share: a move to one state, which is no error when the job is in it already. `hint`: what to do
// where the move is not legal (logic/states.hpp), which is PT409. A blocked job has one of its own.
template <class Move>
Datum move_to(FunctionCallInfo fcinfo, const JobName &name, const char *function, Status to, const char *hint,
              Move move)
{
    pg::StatementScope scope(function);
    Jobs jobs = Jobs::open(call::require_update);
    Row row = steer(jobs, name, [&](const Row &before, Row &after) -> std::optional<call::Refusal> {
        const Status from = before.status();
        if (from == to)
            return std::nullopt;
        if (!logic::legal(from, to))
            return job::illegal_transition(before, to, from == Status::blocked ? job::hint_of_blocked : hint);
        move(jobs, after);
        return std::nullopt;
    });
    return call::answer(fcinfo, row);
}

} // namespace

JOBS_FUNCTION(job_cancel)
{
    const Steering asked = read_steering<cancel_fields>(fcinfo);
    pg::StatementScope scope("job_cancel()");
    Jobs jobs = Jobs::open(call::require_cancel);
    const TimestampTz now = settings::now();
    Row row = steer(jobs, asked, [&](const Row &before, Row &after) { return cancel_job(before, after, asked, now); });
    return call::answer(fcinfo, row);
}

JOBS_FUNCTION(job_retry)
{
    const Steering asked = read_steering<return_fields>(fcinfo);
    pg::StatementScope scope("job_retry()");
    Jobs jobs = Jobs::open(call::require_retry);
    const TimestampTz now = settings::now();
    const auto run_at = allowed_run_at(jobs, asked.run_at, now);
    Row row = steer(jobs, asked, [&](const Row &before, Row &after) -> std::optional<call::Refusal> {
        if (!logic::has_ended(before.status()) ||
            !logic::legal(before.status(), Status::queued, logic::Mover::job_retry))
            return job::illegal_transition(before, Status::queued,
                                           before.status() == Status::blocked
                                               ? job::hint_of_blocked
                                               : "Only a failed or cancelled job can be tried again.");
        job::moves::retry(after, now, run_at);
        return std::nullopt;
    });
    return call::answer(fcinfo, row);
}

JOBS_FUNCTION(job_pause)
{
    const JobName name = call::read_arguments<call::job_name_fields>(fcinfo);
    return move_to(fcinfo, name, "job_pause()", Status::paused,
                   "Only a waiting job can be paused; cancel one that runs.",
                   [](const Jobs &, Row &row) { job::moves::hold(row, Status::paused); });
}

JOBS_FUNCTION(job_resume)
{
    const Steering asked = read_steering<return_fields>(fcinfo);
    return move_to(fcinfo, asked, "job_resume()", Status::queued, "Only a paused job can be resumed.",
                   [&](const Jobs &jobs, Row &row) {
                       const TimestampTz now = settings::now();
                       job::moves::resume(row, now, allowed_run_at(jobs, asked.run_at, now));
                   });
}

} // namespace verbs
