#include "job/direct_update.hpp"

#include "call/arguments.hpp"
#include "job/direct_insert.hpp"
#include "job/moves.hpp"
#include "job/new_job.hpp"
#include "job/parent.hpp"
#include "job/refusal.hpp"
#include "job/triggers.hpp"
#include "job/update_rules.hpp"
#include "pg/sqlstate.hpp"
#include "settings.hpp"
#include "store/statement.hpp"

namespace job {

namespace {

using logic::Status;
using store::Column;
using store::Operation;
using store::Row;
using store::Tables;

// Takes back what a client wrote into columns that the server owns.
void keep_server_owned(const Row &before, Row &after)
{
    store::each_column(store::server_owned_columns, [&](Column column) { after.set(column, before.get(column)); });
}

// A value that is the same, but was written otherwise, as 1.0 for 1, is no change either.
void keep_unchanging(const Row &before, Row &after)
{
    store::each_column(store::columns_that_never_change, [&](Column column) { after.set(column, before.get(column)); });
    if (logic::has_ended(before.status()))
        after.set(Column::result, before.get(Column::result));
}

// What an UPDATE of the status says besides. A trigger sees the whole new row, so only what it changes is taken as
// meant.
struct Said {
    Said(const Row &before, const Row &asked)
    {
        if (!same_value(before, asked, Column::error_message))
            message = asked.get(Column::error_message);
        if (!same_value(before, asked, Column::run_at))
            run_at = asked.time(Column::run_at);
    }

    pg::Nullable message;
    std::optional<TimestampTz> run_at;
};

// Permanent, since the client says failed: for another try it says pending.
void set_failed(Row &row, const store::Type &type, TimestampTz now, pg::Nullable message)
{
    if (row.status() == Status::in_progress)
        moves::fail(row, type, now, {message, {}, true});
    else
        moves::give_up(row, now, message);
}

void set_held(Row &row, Status to, TimestampTz now, std::optional<TimestampTz> run_at)
{
    if (row.status() == Status::in_progress)
        moves::hold_running(row, to, now, run_at);
    else
        moves::hold(row, to);
}

// A direct UPDATE of the status is the same move as that of a verb. Raises PT409 for a state to which no UPDATE leads,
// and for a job that no claim would take; and what the moves raise.
void move_job(const Row &before, const Row &asked, Row &after, Status from, Status to, TimestampTz now)
{
    const Said said(before, asked);
    const store::Type type = store::types::settings_of(before.text(Column::job_type));
    // A move begins at the old state; what the client may write stays written.
    after.set_status(from);
    if (logic::held(to))
        return set_held(after, to, now, said.run_at);
    switch (to) {
    case Status::in_progress:
        check_claimable(before, type, now);
        moves::claim(after, type, now, asked.get(Column::worker), {});
        break;
    case Status::completed:
        moves::complete(after, now, asked.get(Column::result));
        break;
    case Status::failed:
        set_failed(after, type, now, asked.get(Column::error_message));
        break;
    case Status::pending:
        // A client that counts a retry, or says what went wrong, means a failure; else it gives the job back. What it
        // wrote into `retries` itself was taken back, and the move counts.
        if (said.message || asked.number(Column::retries) > before.number(Column::retries))
            moves::fail(after, type, now, {asked.get(Column::error_message), said.run_at, false});
        else
            moves::release(after, now, said.run_at);
        break;
    case Status::cancelled:
        moves::cancel(after, now, said.message);
        break;
    case Status::queued:
        moves::resume(after, now, said.run_at);
        break;
    default:
        call::raise(illegal_transition(before, to, "A function leads there, no UPDATE."));
    }
}

// Setting cancel_requested_at is how a client without any other privilege cancels: a waiting job at once, a running one
// when its worker hears of it.
void ask_to_cancel(Row &after, Status status, TimestampTz now)
{
    if (logic::waiting(status) || logic::held(status))
        moves::cancel(after, now, {});
    else if (status == Status::in_progress)
        moves::request_cancel(after, now, after.get(Column::error_message));
}

// Raises PT409 where no UPDATE leads from one state to the other.
void check_legal(const Update &update, Status from, Status to)
{
    if (to == Status::in_progress && from == Status::in_progress && update.names(Column::status))
        call::raise(illegal_transition(update.before, to, "Another worker has the job; claim with job_claim()."));
    if (from == to || logic::legal(from, to, logic::Mover::update))
        return;
    const char *hint = nullptr;
    if (from == Status::blocked)
        hint = hint_of_blocked;
    else if (to == Status::blocked)
        hint = "job_await_children() leads there, no UPDATE.";
    else if (to == Status::queued)
        hint = logic::has_ended(from) ? "job_retry() brings a failed or cancelled job back."
                                      : "Set pending to give it back.";
    else if (logic::has_ended(from))
        hint = "It has ended; job_retry() brings a failed or cancelled job back.";
    else if (logic::held(from))
        hint = "job_resume() lets it go on.";
    else if (to == Status::completed)
        hint = "Claim it first, with job_claim().";
    call::raise(illegal_transition(update.before, to, hint));
}

// Emptying finished_at is how a client without any other privilege has a job that ended tried again. Raises PT409 for a
// completed one.
void ask_to_retry(const Row &before, Row &after, TimestampTz now)
{
    if (!logic::legal(before.status(), Status::queued, logic::Mover::job_retry))
        call::raise(illegal_transition(before, Status::queued, "Only a failed or cancelled job can be tried again."));
    moves::retry(after, now, {});
}

// Raises 22023 for values that a client's new job could not have either. Under row security the type's max_retries is
// the ceiling.
void check_values(const Tables &tables, const Update &update, const Row &after)
{
    if (!update.by_owner && update.changes(Column::max_retries)) {
        const std::int32_t most = under_row_security(tables)
                                      ? store::types::settings_of(update.before.text(Column::job_type)).max_retries
                                      : store::most_retries;
        call::check_range(after.get(Column::max_retries), 0, std::min(store::most_retries, most), "max_retries");
    }
    if (!same_value(update.before, after, Column::worker))
        call::check_length(after.get(Column::worker), call::longest_worker, "worker");
    check_client_values(after, &update.before);
}

// What an UPDATE writes: what it asked for, but for what is the server's, and the move that its status means. Raises
// 22023, 42501, PT409 or PT413 for what it may not.
Row keep_what_is_ours(const Tables &tables, Relation jobs, const Update &update)
{
    const Row &before = update.before;
    Row after = update.asked;
    if (!store::same_id(before.id(), after.id()))
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("the id of job %s cannot be changed", store::to_text(before.id()))));
    if (update.changes(Column::job_type))
        store::types::require_registered(after.text(Column::job_type));
    after.set_time(Column::updated_at, update.now);
    const Status from = before.status();
    Status to = call::status_argument(update.asked.text(Column::status));
    if (logic::stays(from, to))
        to = from;
    check_legal(update, from, to);
    if (!update.by_owner) {
        check_client_update(update, from, to);
        if (update.changes(Column::parent_job_id))
            check_parent(tables, jobs, update.asked);
    }

    const bool asks_cancel = !before.has(Column::cancel_requested_at) && after.has(Column::cancel_requested_at);
    const bool asks_retry = before.has(Column::finished_at) && !after.has(Column::finished_at);
    after.set_status(to);
    // The owner may mend these columns, but in a move they are the move's.
    if (to != from || asks_retry || !update.by_owner)
        keep_server_owned(before, after);
    if (!update.by_owner)
        keep_unchanging(before, after);
    if (to != from)
        move_job(before, update.asked, after, from, to, update.now);
    else if (asks_retry)
        ask_to_retry(before, after, update.now);
    else if (asks_cancel)
        ask_to_cancel(after, from, update.now);
    check_values(tables, update, after);
    return after;
}

// What the statement asks for, cut to what may be stored: an error_message that is too long, unless it was so before; a
// tenant's run_at in the past. Raises 23502.
void read_asked(const Tables &tables, const TriggerData *trigger, Update &update)
{
    Row &asked = update.asked;
    asked = triggers::read_tuple(tables, trigger->tg_newtuple, RelationGetDescr(trigger->tg_relation));
    asked.changed = 0;
    if (update.changes(Column::error_message))
        asked.set(Column::error_message, call::cut_message(asked.get(Column::error_message)));
    if (auto column = store::null_in(asked))
        refuse_null(*column);
    const TimestampTz run_at = *asked.time(Column::run_at);
    if (!update.by_owner && update.changes(Column::run_at) && !TIMESTAMP_NOT_FINITE(run_at))
        asked.set_time(Column::run_at, allowed_run_at(under_row_security(tables), run_at, update.now));
}

} // namespace

HeapTuple judge_update(const Tables &tables, TriggerData *trigger)
{
    TupleDesc descriptor = RelationGetDescr(trigger->tg_relation);
    Update update;
    update.before = triggers::read_tuple(tables, trigger->tg_trigtuple, descriptor);
    update.by_owner = triggers::by_owner(tables);
    update.named = named_columns(tables, trigger);
    if (store::null_in(update.before)) {
        if (!update.by_owner && !triggers::is_replica())
            store::require_complete(update.before);
        return trigger->tg_newtuple; // only the owner may mend what a dropped constraint let in
    }
    if (const Row *meant = store::statement::take_intent(tables.jobs, Operation::update, update.before.id(),
                                                         &trigger->tg_trigtuple->t_self)) {
        // A verb's statement. What it named is in the tuple already, and a trigger before ours may have changed that:
        // it stands. What it did not name (columns_to_name() in statement.cpp) is filled in from the intent.
        Row unnamed = *meant;
        store::each_column(meant->changed, [&](Column column) {
            if (update.names(column))
                unnamed.changed &= ~store::bit(column);
        });
        return triggers::with(tables, trigger->tg_newtuple, descriptor, unnamed);
    }
    if (triggers::is_replica())
        return trigger->tg_newtuple;
    update.now = settings::now();
    read_asked(tables, trigger, update);
    return triggers::with(tables, trigger->tg_newtuple, descriptor,
                          keep_what_is_ours(tables, trigger->tg_relation, update));
}

bool goes_on(const Row &before, const Row &after)
{
    return before.status() == Status::in_progress && after.status() == Status::in_progress &&
           before.number(Column::attempt) == after.number(Column::attempt);
}

std::optional<store::EndedAttempt> attempt_ended_by(const Row &before, const Row &after)
{
    using Outcome = store::AttemptOutcome;
    const Status to = after.status();
    if (before.status() != Status::in_progress || to == Status::in_progress)
        return std::nullopt;
    const TimestampTz at = after.time(Column::updated_at).value_or(settings::now());
    if (to == Status::completed)
        return store::EndedAttempt{Outcome::completed, at, {}, {}};
    const bool failed = to == Status::failed || after.number(Column::retries) > before.number(Column::retries);
    const Outcome outcome = failed ? Outcome::failed : to == Status::cancelled ? Outcome::cancelled : Outcome::released;
    return store::EndedAttempt{
        outcome, at, outcome == Outcome::released ? pg::Nullable{} : after.get(Column::error_message), {}};
}

} // namespace job
