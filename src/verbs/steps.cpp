// The steps of a job: job_steps_set; job_step_start, job_step_complete, job_step_fail and job_step_await of its worker;
// job_step_resolve of people.
//
// They meet whoever else changes the job: upkeep that reaps the attempt, an operator who cancels or pauses it, another
// worker, a second person who decides on the same step. Each writes the row of `jobs` (store::change), so one is first,
// and the other decides anew from the newest version and from the steps that belong to it (store/steps.hpp). A worker's
// call counts under its lease alone, as a heartbeat does.
//
// A call that is repeated after a lost answer changes nothing and gives the step as it is: a completed step stays
// completed, whoever starts, completes or awaits it once more, so it never runs twice.
#include "store/steps.hpp"

#include <algorithm>
#include <utility>

#include "call/privileges.hpp"
#include "job/claims.hpp"
#include "job/lease.hpp"
#include "job/moves.hpp"
#include "job/refusal.hpp"
#include "pg/excerpt.hpp"
#include "settings.hpp"

namespace verbs {

namespace {

using store::Column;
using store::Jobs;
using store::Row;
namespace steps = store::steps;
using StepStatus = steps::Status;

struct StepCall {
    job::Lease lease;
    std::int32_t number;
    steps::Change change;
};

constexpr call::Field<StepCall> number_fields[] = {
    {"step_number", INT4OID, &StepCall::number, call::in_range<1, steps::most_steps>, call::required},
};
constexpr call::Field<steps::Change> result_fields[] = {
    {"result", JSONBOID, &steps::Change::result, call::allowed_size},
};
constexpr call::Field<steps::Change> error_fields[] = {
    {"error_message", TEXTOID, &steps::Change::error_message, call::cut_to_size},
};
constexpr call::Field<steps::Change> count_fields[] = {
    {"received", INT4OID, &steps::Change::received, call::in_range<0, PG_INT32_MAX>},
    {"processed", INT4OID, &steps::Change::processed, call::in_range<0, PG_INT32_MAX>},
    {"passed", INT4OID, &steps::Change::passed, call::in_range<0, PG_INT32_MAX>},
    {"failed", INT4OID, &steps::Change::failed, call::in_range<0, PG_INT32_MAX>},
};
constexpr call::Field<steps::Change> metadata_fields[] = {
    {"metadata", JSONBOID, &steps::Change::metadata, call::json_object},
};

// What these verbs may write to `jobs`.
constexpr store::ColumnSet written =
    store::moved_columns | store::bit(Column::current_step) | store::bit(Column::total_steps);

call::Refusal no_such_step(const pg_uuid_t *job, std::int32_t number)
{
    return {sqlstate::not_found, psprintf("job %s has no step %d", store::to_text(job), number), nullptr,
            "job_steps_set() sets the steps of a job."};
}

// PT409: the step is in a state from which the call does not lead on.
call::Refusal step_is(const pg_uuid_t *job, std::int32_t number, StepStatus status, const char *hint)
{
    const char *name = steps::name_of_status(status).data();
    return {sqlstate::conflict, psprintf("step %d of job %s is %s", number, store::to_text(job), name),
            psprintf("{\"reason\": \"step_status\", \"step_status\": \"%s\"}", name), hint};
}

// What a call is to do: to write, to leave the step as it is, or why it can't.
struct Verdict {
    bool writes = false;
    std::optional<call::Refusal> refusal = {};
};

// Why the worker that holds the job may not have its step become `to`; nothing: it may, or it is so already.
std::optional<call::Refusal> why_not_work(const StepCall &call, const steps::Standing &step, StepStatus to)
{
    const auto refuse = [&](const char *hint) { return step_is(&call.lease.job, call.number, step.status, hint); };
    if (step.status == StepStatus::completed && to == StepStatus::failed)
        return refuse("What is completed stays so.");
    if (step.status == StepStatus::action_required && to != step.status && to != StepStatus::in_progress)
        return refuse("A person decides, by job_step_resolve(); job_step_await() waits for that.");
    if (step.needs_decision && to == StepStatus::completed && step.status != to)
        return refuse("Its step_type is action_required: call job_step_await(), and a person decides.");
    return std::nullopt;
}

Verdict judge_work(const Row &job, const StepCall &call)
{
    const auto step = steps::find_standing(&call.lease.job, call.number);
    const StepStatus to = call.change.to;
    if (!job::is_held(job, call.lease)) {
        const bool is_repeated =
            to == StepStatus::action_required && step && step->status == to && job::was_last(job, call.lease);
        return is_repeated ? Verdict{} : Verdict{.refusal = job::lost_lease(job)};
    }
    if (!step)
        return {.refusal = no_such_step(&call.lease.job, call.number)};
    if (auto refusal = why_not_work(call, *step, to))
        return {.refusal = refusal};
    const bool stays = step->status == StepStatus::completed ||
                       (step->status == StepStatus::action_required && to == StepStatus::in_progress);
    return {.writes = !stays};
}

// Changes the job by `make(Row &after)` and the step by `change`, where `judge(const Row &before)` says so. Returns the
// step as it is then, or raises the refusal.
template <class Judge, class Make>
Datum change_step(FunctionCallInfo fcinfo, Jobs &jobs, const StepCall &call, Judge judge, Make make)
{
    Verdict verdict;
    Row row;
    const pg_uuid_t *job = &call.lease.job;
    const store::Changed changed = store::change(jobs, job, written, row, [&](const Row &before, Row &after) {
        verdict = judge(before);
        if (verdict.writes)
            make(after);
        return verdict.writes;
    });
    if (changed == store::Changed::missing)
        call::raise(job::missing(job));
    if (verdict.refusal)
        call::raise(*verdict.refusal);
    HeapTuple step =
        changed == store::Changed::yes ? steps::write(job, call.number, call.change) : steps::read(job, call.number);
    return pg::row_result(fcinfo, steps::row_type, step);
}

Datum work_on_step(FunctionCallInfo fcinfo, const char *function, StepCall &call, StepStatus to)
{
    pg::StatementScope scope(function);
    Jobs jobs = Jobs::open(call::require_update);
    call.change.to = to;
    call.change.now = settings::now();
    return change_step(
        fcinfo, jobs, call, [&](const Row &before) { return judge_work(before, call); },
        [&](Row &after) {
            after.set_number(Column::current_step, call.number);
            if (to == StepStatus::action_required)
                job::moves::await_decision(after, call.change.now);
        });
}

// The arguments of a worker's verb: lease, step_number, and what of the step these tables are of.
template <const auto &...tables>
StepCall read_call(FunctionCallInfo fcinfo)
{
    StepCall call = {};
    // `call.change` once for each table.
    call::read_arguments<job::lease_fields, number_fields, tables...>(
        fcinfo, call.lease, call, (static_cast<void>(std::data(tables)), call.change)...);
    return call;
}

} // namespace

JOBS_FUNCTION(job_step_start)
{
    StepCall call = read_call<>(fcinfo);
    return work_on_step(fcinfo, "job_step_start()", call, StepStatus::in_progress);
}

JOBS_FUNCTION(job_step_complete)
{
    StepCall call = read_call<result_fields, count_fields, metadata_fields>(fcinfo);
    return work_on_step(fcinfo, "job_step_complete()", call, StepStatus::completed);
}

JOBS_FUNCTION(job_step_fail)
{
    StepCall call = read_call<error_fields, count_fields, metadata_fields>(fcinfo);
    return work_on_step(fcinfo, "job_step_fail()", call, StepStatus::failed);
}

JOBS_FUNCTION(job_step_await)
{
    StepCall call = read_call<metadata_fields>(fcinfo);
    return work_on_step(fcinfo, "job_step_await()", call, StepStatus::action_required);
}

namespace {

constexpr call::Field<job::Lease> job_fields[] = {
    {"id", UUIDOID, &job::Lease::job, call::anything, call::required},
};
constexpr call::Field<steps::Change> decision_fields[] = {
    {"decision", JSONBOID, &steps::Change::decision, call::allowed_size, call::required},
};

Verdict judge_decision(const Row &job, const StepCall &call)
{
    const pg_uuid_t *id = &call.lease.job;
    const auto step = steps::find_standing(id, call.number);
    if (!step)
        return {.refusal = no_such_step(id, call.number)};
    if (step->status == StepStatus::completed && steps::is_decision(id, call.number, call.change.decision.value))
        return {};
    if (step->status != StepStatus::action_required)
        return {.refusal =
                    step_is(id, call.number, step->status, "Only a step in action_required waits for a decision.")};
    if (logic::has_ended(job.status()))
        return {.refusal = job::illegal_transition(job, logic::Status::queued,
                                                   "It has ended; job_retry() brings a failed or cancelled one back, "
                                                   "and its worker comes to the step again.")};
    return {.writes = true};
}

} // namespace

// The job goes on where it is paused for this very step. One that somebody let go on before, by job_resume(), runs or
// waits as it did, and its worker finds the decision.
JOBS_FUNCTION(job_step_resolve)
{
    StepCall call = {};
    call::read_arguments<job_fields, number_fields, decision_fields>(fcinfo, call.lease, call, call.change);
    pg::StatementScope scope("job_step_resolve()");
    Jobs jobs = Jobs::open(call::require_steps);
    call.change.to = StepStatus::completed;
    call.change.now = settings::now();
    call.change.decided_by = job::user_of_request();
    return change_step(
        fcinfo, jobs, call, [&](const Row &before) { return judge_decision(before, call); },
        [&](Row &after) {
            after.set(Column::current_step, after.get(Column::current_step)); // written, whatever else is
            if (after.status() == logic::Status::paused && after.has(Column::current_step) &&
                after.number(Column::current_step) == call.number)
                job::moves::resume(after, call.change.now, {});
        });
}

namespace {

void known_step_type(pg::Nullable &type, const char *)
{
    if (!type)
        return;
    const std::string_view given = pg::text_view(type.value);
    if (std::find(std::begin(steps::step_types), std::end(steps::step_types), given) == std::end(steps::step_types))
        ereport(ERROR,
                (errcode(sqlstate::bad_argument), errmsg("unknown step_type \"%s\"", pg::text_excerpt(type.value)),
                 errhint("It is automatic or action_required.")));
}

constexpr call::Field<steps::New> step_fields[] = {
    {"step_number", INT4OID, &steps::New::number, call::in_range<1, steps::most_steps>},
    {"step_name", TEXTOID, &steps::New::name, call::length_up_to<200>, call::required},
    {"description", TEXTOID, &steps::New::description, call::length_up_to<1000>},
    {"step_type", TEXTOID, &steps::New::type, known_step_type},
    {"metadata", JSONBOID, &steps::New::metadata, call::json_object},
};

struct StepsSet {
    pg_uuid_t job;
    JsonbContainer *steps = nullptr;
    pg::Nullable lease_id;
};
constexpr call::Field<StepsSet> set_fields[] = {
    {"id", UUIDOID, &StepsSet::job, call::anything, call::required},
    {"steps", JSONBOID, &StepsSet::steps},
    {"lease_id", UUIDOID, &StepsSet::lease_id},
};

// The steps that an array describes. One without a number has its place in the array. Raises 22023 with the element.
std::span<const steps::New> read_steps(JsonbContainer *array)
{
    const std::uint32_t count = JsonContainerSize(array);
    if (count > steps::most_steps)
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("a job has at most %d steps, not %u", steps::most_steps, count)));
    auto list = static_cast<steps::New *>(pg::allocate(sizeof(steps::New) * std::max(count, 1U)));
    std::array<bool, steps::most_steps + 1> taken = {};
    pg::ElementContext context("steps");
    pg::each_element(array, [&](const JsonbValue &value, int position) {
        context.position = position;
        steps::New &step = list[position - 1];
        step = {};
        step.number = position;
        call::read_object<step_fields>(value, "an element", nullptr, step);
        if (std::exchange(taken[static_cast<std::size_t>(step.number)], true))
            ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("step_number %d is there twice", step.number),
                            errhint("An element without a step_number has its place in the array as its number.")));
    });
    return {list, count};
}

// Null: the steps of the job may be set by this call.
std::optional<call::Refusal> why_not_set(const Row &job, const StepsSet &asked)
{
    if (asked.lease_id) {
        const bool held = job::is_held(job, {asked.job, *DatumGetUUIDP(asked.lease_id.value)});
        return held ? std::nullopt : std::optional(job::lost_lease(job));
    }
    const char *id = store::to_text(&asked.job);
    if (job.status() == logic::Status::in_progress)
        return call::Refusal{sqlstate::conflict, psprintf("job %s is in progress, and its steps are its worker's", id),
                             nullptr, "The worker gives the lease_id of its claim."};
    if (logic::has_ended(job.status()))
        return call::Refusal{
            sqlstate::conflict,
            psprintf("job %s is %s: its steps are settled", id, logic::name_of_status(job.status()).data()), nullptr,
            "job_retry() brings a failed or cancelled job back, with its steps."};
    return std::nullopt;
}

} // namespace

JOBS_FUNCTION(job_steps_set)
{
    const StepsSet asked = call::read_arguments<set_fields>(fcinfo);
    const std::span<const steps::New> given = read_steps(asked.steps);
    pg::RowSink sink(fcinfo, steps::row_type);
    pg::StatementScope scope("job_steps_set()");
    Jobs jobs = Jobs::open(call::require_steps);
    std::optional<call::Refusal> refusal;
    Row row;
    const store::Changed changed = store::change(jobs, &asked.job, written, row, [&](const Row &before, Row &after) {
        refusal = why_not_set(before, asked);
        if (refusal)
            return false;
        const std::int64_t count = steps::count_with(&asked.job, given);
        after.set(Column::current_step, before.get(Column::current_step));
        after.set(Column::total_steps,
                  count > 0 ? pg::Nullable(Int32GetDatum(static_cast<std::int32_t>(count))) : pg::Nullable{});
        return true;
    });
    if (changed == store::Changed::missing)
        call::raise(job::missing(&asked.job));
    if (refusal)
        call::raise(*refusal);
    steps::set(row, given);
    steps::each(
        &asked.job, [](void *to, HeapTuple step) { static_cast<pg::RowSink *>(to)->put(step); }, &sink);
    return Datum{0};
}

} // namespace verbs
