#include "job/direct_update.hpp"

#include "call/arguments.hpp"
#include "job/direct_insert.hpp"
#include "job/moves.hpp"
#include "job/new_job.hpp"
#include "job/refusal.hpp"
#include "job/triggers.hpp"
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

// Whether a column has the same value in both, byte by byte.
bool equal(const Row &a, const Row &b, Column column)
{
    if (a.has(column) != b.has(column))
        return false;
    if (!a.has(column))
        return true;
    const Oid type = store::definition_of(column).type;
    if (type == INT4OID || type == TIMESTAMPTZOID)
        return a[column] == b[column];
    if (type == UUIDOID)
        return store::same_id(DatumGetUUIDP(a[column]), DatumGetUUIDP(b[column]));
    return a.text(column) == b.text(column);
}

// What an UPDATE of the status says besides. A trigger sees the whole new row, so only what it changes is taken as
// meant.
struct Said {
    Said(const Row &before, const Row &asked)
    {
        if (!equal(before, asked, Column::error_message))
            message = asked.get(Column::error_message);
        if (!equal(before, asked, Column::run_at))
            run_at = asked.time(Column::run_at);
    }

    pg::Nullable message;
    std::optional<TimestampTz> run_at;
};

// A direct UPDATE of the status is the same move as that of a verb. Raises PT409 for a state to which no UPDATE leads,
// and what the moves raise.
void move_job(const Row &before, const Row &asked, Row &after, Status from, Status to, TimestampTz now)
{
    const Said said(before, asked);
    const store::Type type = store::types::settings_of(before.text(Column::job_type));
    // A move begins at the old state; what the client may write stays written.
    after.set_status(from);
    switch (to) {
    case Status::in_progress:
        moves::claim(after, type, now, asked.get(Column::worker), {});
        break;
    case Status::completed:
        moves::complete(after, now, asked.get(Column::result));
        break;
    case Status::failed:
        if (from == Status::in_progress)
            // Permanent, since the client says failed: for another try it says pending.
            moves::fail(after, type, now, {asked.get(Column::error_message), {}, true});
        else
            moves::give_up(after, now, asked.get(Column::error_message));
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
    case Status::paused:
        moves::pause(after);
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

// Emptying finished_at is how a client without any other privilege has a job that ended tried again. Raises PT409 for a
// completed one.
void ask_to_retry(const Row &before, Row &after, TimestampTz now)
{
    if (!logic::legal(before.status(), Status::queued, logic::Mover::job_retry))
        call::raise(illegal_transition(before, Status::queued, "Only a failed or cancelled job can be tried again."));
    moves::retry(after, now, {});
}

struct Update {
    Row before, asked;
    bool names_status; // in its SET list
    bool owner;
    std::int32_t most_retries; // that this caller may give a job of the type that it will have
    TimestampTz now;
};

// What a client's UPDATE writes: what it asked for, but for what is the server's, and the move that its status means.
// Raises 22023, PT409 or PT413 for what it may not.
Row keep_what_is_ours(const Update &update)
{
    const Row &before = update.before;
    Row after = update.asked;
    if (!store::same_id(before.id(), after.id()))
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("the id of job %s cannot be changed", store::to_text(before.id()))));
    after.set_time(Column::updated_at, update.now);
    const Status from = before.status();
    const Status to = call::status_argument(update.asked.text(Column::status));
    if (to == Status::in_progress && from == Status::in_progress && update.names_status)
        call::raise(illegal_transition(before, to, "Another worker has the job; claim with job_claim()."));
    if (to != from && !logic::legal(from, to))
        call::raise(illegal_transition(before, to,
                                       from == Status::blocked ? hint_of_blocked
                                       : to == Status::blocked ? "job_await_children() leads there, no UPDATE."
                                       : to == Status::queued  ? "job_retry() brings a failed or cancelled job back."
                                                               : nullptr));

    const bool asks_cancel = !before.has(Column::cancel_requested_at) && after.has(Column::cancel_requested_at);
    const bool asks_retry = before.has(Column::finished_at) && !after.has(Column::finished_at);
    // The owner may mend these columns, but in a move they are the move's.
    if (to != from || asks_retry || !update.owner)
        keep_server_owned(before, after);
    if (to != from)
        move_job(before, update.asked, after, from, to, update.now);
    else if (asks_retry)
        ask_to_retry(before, after, update.now);
    else if (asks_cancel)
        ask_to_cancel(after, from, update.now);
    if (!equal(before, after, Column::job_type))
        store::types::require_registered(after.text(Column::job_type));
    if (!update.owner && !(equal(before, after, Column::max_retries) && equal(before, after, Column::job_type)))
        call::check_range(after.get(Column::max_retries), 0, update.most_retries, "max_retries");
    if (!equal(before, after, Column::worker))
        call::check_length(after.get(Column::worker), call::longest_worker, "worker");
    check_client_values(after, &before);
    return after;
}

// Whether the column is in the statement's SET list, also where it sets the value that was there.
bool names(const Tables &tables, const TriggerData *trigger, Column column)
{
    return bms_is_member(tables.number[store::index_of(column)] - FirstLowInvalidHeapAttributeNumber,
                         trigger->tg_updatedcols);
}

} // namespace

HeapTuple judge_update(const Tables &tables, TriggerData *trigger)
{
    TupleDesc descriptor = RelationGetDescr(trigger->tg_relation);
    Update update;
    update.before = triggers::read_tuple(tables, trigger->tg_trigtuple, descriptor);
    update.owner = triggers::by_owner(tables);
    if (store::null_in(update.before)) {
        if (!update.owner && !triggers::is_replica())
            store::require_complete(update.before);
        return trigger->tg_newtuple; // only the owner may mend what a dropped constraint let in
    }
    if (const Row *meant = store::statement::take_intent(tables.jobs, Operation::update, update.before.id(),
                                                         &trigger->tg_trigtuple->t_self)) {
        // A verb's statement. What it named is in the tuple already, and a trigger before ours may have changed that:
        // it stands. What it did not name (columns_to_name() in statement.cpp) is filled in from the intent.
        Row unnamed = *meant;
        store::each_column(meant->changed, [&](Column column) {
            if (names(tables, trigger, column))
                unnamed.changed &= ~store::bit(column);
        });
        return triggers::with(tables, trigger->tg_newtuple, descriptor, unnamed);
    }
    if (triggers::is_replica())
        return trigger->tg_newtuple;
    update.asked = triggers::read_tuple(tables, trigger->tg_newtuple, descriptor);
    update.asked.changed = 0;
    update.asked.set(Column::error_message, call::cut_message(update.asked.get(Column::error_message)));
    if (auto column = store::null_in(update.asked))
        refuse_null(*column);
    update.names_status = names(tables, trigger, Column::status);
    update.now = settings::now();
    update.most_retries =
        under_row_security(tables)
            ? std::min(store::most_retries, store::types::settings_of(update.asked.text(Column::job_type)).max_retries)
            : store::most_retries;
    return triggers::with(tables, trigger->tg_newtuple, descriptor, keep_what_is_ours(update));
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
