// Our triggers: what an INSERT, UPDATE, DELETE or TRUNCATE on `jobs` means, whoever runs it. BEFORE ROW stamps what the
// server owns and refuses illegal moves, AFTER ROW keeps the derived tables in step with what was really written.
//
// Who meets here:
// - A verb on the statement path. Its intent says what it means (store/statement.hpp); the triggers change no more.
// - Two clients that update one job. Postgres makes the second wait for the first, and in READ COMMITTED evaluates its
//   statement again over the newest version; the BEFORE trigger gets that version as `before`. So the move is judged by
//   the newest state, and two clients can't claim the same job (keep_what_is_ours()).
// - Triggers of the user's. One that fires before ours may change the row: we judge what it made of it. One that fires
//   after our BEFORE trigger may change the row once more: so AFTER ROW goes by what was written. One that updates or
//   deletes the very job makes the version that fired us an old one: so AFTER ROW looks for the newest one
//   (keep_in_step()).
// - A claim or a build in another session. The statement holds ROW EXCLUSIVE on `jobs`, which keeps a build away, and
//   the row that it wrote, which a claim skips.
// All that is written is rolled back with the row, to a savepoint as well; what is told to others waits for the commit.
//
// Errors: 39P01 where a trigger of the user's names one of these functions, 42804 where a table is not as the code
// relies on, 23502, 22023, PT409 and PT413 for what a client may not write.
#include "call/arguments.hpp"
#include "job/moves.hpp"
#include "job/new_job.hpp"
#include "job/refusal.hpp"
#include "pg/sqlstate.hpp"
#include "pg/uuid.hpp"
#include "settings.hpp"
#include "shared/at_commit.hpp"
#include "store/lanes.hpp"
#include "store/rebuild.hpp"
#include "store/statement.hpp"
#include "store/transition.hpp"

namespace job {

namespace {

using logic::Status;
using store::Column;
using store::Operation;
using store::Row;
using store::Tables;

// When a trigger fires, as bits of TriggerEvent. AFTER and STATEMENT are bits that are not set.
constexpr TriggerEvent before_row = TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW;
constexpr TriggerEvent after_row = TRIGGER_EVENT_ROW;
constexpr TriggerEvent after_statement = 0;
constexpr TriggerEvent when_bits = TRIGGER_EVENT_TIMINGMASK | TRIGGER_EVENT_ROW;

// The trigger's context. Raises 39P01 unless the right table fires it at the right moment, because anybody may name our
// functions in a trigger on a table of their own, whose columns are others, and an owner in one more trigger on ours.
TriggerData *context_of(FunctionCallInfo fcinfo, store::ApiTable table, bool fits_event(TriggerEvent))
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("this function is a trigger of the table \"%s\"", name_of_table(table))));
    auto trigger = reinterpret_cast<TriggerData *>(fcinfo->context);
    if (store::find_table(table) != store::TableId(trigger->tg_relation) || !fits_event(trigger->tg_event))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("trigger \"%s\" on \"%s\" uses a function that serves one trigger of the table \"%s\"",
                               trigger->tg_trigger->tgname, RelationGetRelationName(trigger->tg_relation),
                               name_of_table(table)),
                        errhint("Drop the trigger; select jobs_ext.install() makes those that are needed.")));
    return trigger;
}

// The row of a tuple that the executor hands to a trigger. The statement has `jobs` open, so the numbers of the columns
// can't have changed since tables() found them.
Row read_tuple(const Tables &tables, HeapTuple tuple, TupleDesc descriptor)
{
    auto values = static_cast<Datum *>(palloc(sizeof(Datum) * descriptor->natts));
    auto nulls = static_cast<bool *>(palloc(sizeof(bool) * descriptor->natts));
    heap_deform_tuple(tuple, descriptor, values, nulls);
    Row row;
    for (int i = 0; i < store::column_count; ++i) {
        row.value[i] = values[tables.number[i] - 1];
        row.null[i] = nulls[tables.number[i] - 1];
    }
    return row;
}

// The tuple with the columns of `row` that changed in the place of its own; a user's own columns stay.
HeapTuple with(const Tables &tables, HeapTuple tuple, TupleDesc descriptor, const Row &row)
{
    int numbers[store::column_count];
    Datum values[store::column_count];
    bool nulls[store::column_count];
    int count = 0;
    store::each_column(row.changed, [&](Column column) {
        numbers[count] = tables.number[store::index_of(column)];
        values[count] = row[column];
        nulls[count++] = !row.has(column);
    });
    return heap_modify_tuple_by_cols(tuple, descriptor, count, numbers, values, nulls);
}

// Whether the current role owns `jobs`, directly or as a member: it repairs and restores, so more is obeyed.
bool by_owner(const Tables &tables) { return pg::owns_table(tables.jobs.in_catalogs(), GetUserId()); }

Datum empty_json_object() { return DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")); }

// Sets what a row needs and a client may leave out, by not naming the column or by a null.
void fill_in(Row &row, TimestampTz now)
{
    auto fill = [&](Column column, Datum value) {
        if (!row.has(column))
            row.set(column, value);
    };
    fill(Column::id, UUIDPGetDatum(pg::time_ordered_uuid(now)));
    fill(Column::priority, Int32GetDatum(0));
    fill(Column::retries, Int32GetDatum(0));
    fill(Column::attempt, Int32GetDatum(0));
    fill(Column::metadata, empty_json_object());
    fill(Column::created_at, TimestampTzGetDatum(now));
    fill(Column::updated_at, TimestampTzGetDatum(now));
    fill(Column::run_at, TimestampTzGetDatum(now));
    if (row.has(Column::job_type) && !row.has(Column::job_id)) {
        row.set(Column::job_id, PointerGetDatum(make_job_id(row.text(Column::job_type), row.id())));
        // Postgres applies varchar(100) to what a statement says, not to what a trigger fills in.
        call::check_length(row.get(Column::job_id), 100, "job_id");
    }
}

// The checks of a verb's arguments. Raises 22023 or PT413.
void check_client_values(const Row &row)
{
    call::check_size(row.get(Column::input_payload), "input_payload");
    call::check_size(row.get(Column::metadata), "metadata");
    call::check_size(row.get(Column::result), "result");
    call::check_size(row.get(Column::progress), "progress");
    call::check_finite(row.get(Column::run_at), "run_at");
    call::check_finite(row.get(Column::expires_at), "expires_at");
    call::check_length(row.get(Column::job_id), 100, "job_id");
    call::check_length(row.get(Column::job_key), longest_job_key, "job_key");
    call::check_row_size(row);
}

// Stamps a new job of a client. What the server owns is overwritten, not obeyed and not refused. Raises 22023, PT409 or
// PT413 for what a new job can't be.
void stamp_new(const Tables &tables, Row &row, TimestampTz now)
{
    const Status status = call::status_argument(row.text(Column::status));
    if (!logic::insertable(status))
        ereport(ERROR,
                (errcode(sqlstate::conflict), errmsg("a new job cannot be %s", logic::name_of_status(status).data()),
                 errdetail_internal("{\"reason\": \"illegal_transition\", \"status\": \"%s\"}",
                                    logic::name_of_status(status).data()),
                 errhint("Insert it as pending, queued or paused.")));
    if (row.has(Column::job_type)) {
        const store::Type type = store::types::require_registered(row.text(Column::job_type));
        // Under row security the type's max_retries is the ceiling, as for job_enqueue(). Lowered, not refused: the
        // column has a default of its own, so a client that asks for more cannot be told from one that asks for
        // nothing.
        if (!row.has(Column::max_retries) ||
            (under_row_security(tables) && row.number(Column::max_retries) > type.max_retries))
            row.set_number(Column::max_retries, type.max_retries);
        if (!row.has(Column::retry_delay_ms))
            row.set_number(Column::retry_delay_ms, type.retry_delay_ms);
        if (!row.has(Column::job_category) && type.has_category)
            row.set(Column::job_category, CStringGetTextDatum(type.category));
    }
    store::each_column(store::columns_that_start_empty, [&](Column column) { row.clear(column); });
    call::check_range(row.get(Column::max_retries), 0, store::most_retries, "max_retries");
    row.set_number(Column::retries, 0);
    row.set_number(Column::attempt, 0);
    row.set_time(Column::created_at, now);
    row.set_time(Column::updated_at, now);
    check_client_values(row);
}

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
    if (logic::waiting(status) || status == Status::paused)
        moves::cancel(after, now, {});
    else if (status == Status::in_progress)
        moves::request_cancel(after, now, after.get(Column::error_message));
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
//
// The race: two sessions run UPDATE jobs SET status = 'in_progress' WHERE id = …. The second one waits for the first;
// its WHERE still holds for the newest version, so it would take the job from a worker that has it. It sets no other
// status than the job has, so it is told by its SET list, and refused.
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
        call::raise(illegal_transition(
            before, to, to == Status::queued ? "job_retry() brings a failed or cancelled job back." : nullptr));

    const bool asks_cancel = !before.has(Column::cancel_requested_at) && after.has(Column::cancel_requested_at);
    // The owner may mend these columns, but in a move they are the move's.
    if (to != from || !update.owner)
        keep_server_owned(before, after);
    if (to != from)
        move_job(before, update.asked, after, from, to, update.now);
    else if (asks_cancel)
        ask_to_cancel(after, from, update.now);
    if (!equal(before, after, Column::job_type))
        store::types::require_registered(after.text(Column::job_type));
    if (!update.owner && !(equal(before, after, Column::max_retries) && equal(before, after, Column::job_type)))
        call::check_range(after.get(Column::max_retries), 0, update.most_retries, "max_retries");
    if (!equal(before, after, Column::worker))
        call::check_length(after.get(Column::worker), call::longest_worker, "worker");
    check_client_values(after);
    return after;
}

// Whether rows come from another server or from a dump that says so: they are as they have to be, and are kept as
// given. Our triggers are ENABLE ALWAYS, so they fire there too, for the derived tables.
bool is_replica() { return SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA; }

// As Postgres says it, which would say so later: the moves read the column before.
[[noreturn]] void refuse_null(Column column)
{
    ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                    errmsg("null value in column \"%s\" of relation \"jobs\" violates not-null constraint",
                           store::definition_of(column).name)));
}

// Whether a dump is being restored, as jobs_ext.restoring() in SQL has it: the script of pg_dump sets row_security off,
// unless it was made with --enable-row-security; then the setting says so.
bool is_restore() { return settings::restoring || !row_security; }

// What the owner inserts is kept as given, but for a status or a type that nobody knows: raises 22023. A restore may
// bring jobs of types that are not registered any more.
void check_of_owner(const Row &row)
{
    if (row.has(Column::status))
        call::status_argument(row.text(Column::status));
    if (row.has(Column::job_type) && !is_restore())
        store::types::require_registered(row.text(Column::job_type));
}

// Makes the lane of the job's type where there is none, before the row is written, whatever the job's state.
//
// The race: session A has made the lane and not committed yet; session B inserts a job of that type with the job_id K.
// If B wrote its row first, it would then wait for A's lane, while A, which inserts K next, waits for B's row: a
// deadlock. Here B waits for the lane with nothing written. An UPDATE of job_type has its row already, and is left to
// the deadlock detector (store/lanes.hpp).
void make_lane(const Row &row)
{
    if (row.has(Column::job_type))
        store::lanes::of(row.text(Column::job_type));
}

HeapTuple before_insert(const Tables &tables, TriggerData *trigger)
{
    TupleDesc descriptor = RelationGetDescr(trigger->tg_relation);
    Row row = read_tuple(tables, trigger->tg_trigtuple, descriptor);
    if (row.has(Column::id))
        // A verb's statement named every column, so nothing is missing; what a trigger before ours changed stands.
        if (store::statement::take_intent(tables.jobs, Operation::insert, row.id(), nullptr) != nullptr)
            return trigger->tg_trigtuple;
    if (is_replica()) {
        make_lane(row);
        return trigger->tg_trigtuple;
    }
    const TimestampTz now = settings::now();
    row.changed = 0;
    fill_in(row, now);
    if (!by_owner(tables)) {
        // Refused here, since a trigger of the user's after ours could fill them, past what is checked here.
        for (Column column : {Column::status, Column::job_type})
            if (!row.has(column))
                refuse_null(column);
        stamp_new(tables, row, now);
    } else {
        check_of_owner(row);
    }
    make_lane(row);
    return with(tables, trigger->tg_trigtuple, descriptor, row);
}

// Whether the column is in the statement's SET list, also where it sets the value that was there.
bool names(const Tables &tables, const TriggerData *trigger, Column column)
{
    return bms_is_member(tables.number[store::index_of(column)] - FirstLowInvalidHeapAttributeNumber,
                         trigger->tg_updatedcols);
}

HeapTuple before_update(const Tables &tables, TriggerData *trigger)
{
    TupleDesc descriptor = RelationGetDescr(trigger->tg_relation);
    Update update;
    update.before = read_tuple(tables, trigger->tg_trigtuple, descriptor);
    update.owner = by_owner(tables);
    if (store::null_in(update.before)) {
        if (!update.owner && !is_replica())
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
        return with(tables, trigger->tg_newtuple, descriptor, unnamed);
    }
    if (is_replica())
        return trigger->tg_newtuple;
    update.asked = read_tuple(tables, trigger->tg_newtuple, descriptor);
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
    return with(tables, trigger->tg_newtuple, descriptor, keep_what_is_ours(update));
}

bool goes_on(const Row &before, const Row &after)
{
    return before.status() == Status::in_progress && after.status() == Status::in_progress &&
           before.number(Column::attempt) == after.number(Column::attempt);
}

// The attempt that a client's UPDATE has ended, or nothing. Told by what was written, not by what our BEFORE trigger
// made of it, because a trigger of the user's may have changed that.
std::optional<store::EndedAttempt> attempt_ended_by(const Row &before, const Row &after)
{
    using Outcome = store::AttemptOutcome;
    const Status to = after.status();
    if (before.status() != Status::in_progress || to == Status::in_progress || to == Status::completed)
        return std::nullopt;
    const bool failed = to == Status::failed || after.number(Column::retries) > before.number(Column::retries);
    const Outcome outcome = failed ? Outcome::failed : to == Status::cancelled ? Outcome::cancelled : Outcome::released;
    return store::EndedAttempt{outcome,
                               after.time(Column::updated_at).value_or(settings::now()),
                               outcome == Outcome::released ? pg::Nullable{} : after.get(Column::error_message),
                               {}};
}

// Finds the job as it is now, or nothing where it is gone. It may be newer than the version that fired the trigger,
// because a trigger of the user's may have changed the job since, in this very statement.
std::optional<Row> newest_row(const Tables &tables, Relation jobs, const pg_uuid_t *id, TupleTableSlot *slot)
{
    static constexpr RegProcedure equal_uuid[] = {F_UUID_EQ};
    const Datum keys[] = {UUIDPGetDatum(id)};
    pg::OpenRelation index = store::open_index_of_jobs(jobs, tables, Column::id, AccessShareLock);
    pg::IndexLookup by_id(jobs, index);
    if (!by_id.find(keys, equal_uuid, slot))
        return std::nullopt;
    return store::read_row(tables.number, slot);
}

// Lets follow what follows from `before` becoming `after`.
//
// The race is with this session itself: the statement takes the job from version 1 to 2, an AFTER trigger of the user's
// from 2 to 3. Where theirs fires before ours, ours runs for "2 to 3" first and for "1 to 2" afterwards, and both times
// finds version 3. "2 to 3" puts the keys of 3, though those of 2 are not there to be moved. "1 to 2" is followed as 1
// to 3: it takes away the keys of 1, leaves those of 3, which are there, and takes away any of 2 that 3 does not have.
// Derived::move() copes, since it looks for each key before it puts or removes it.
void keep_in_step(const Tables &tables, Relation jobs, const Row *before, const Row *after,
                  const std::optional<store::EndedAttempt> &ended = {})
{
    pg::Slot slot(jobs);
    store::Derived derived;
    const std::optional<Row> now = newest_row(tables, jobs, (before != nullptr ? before : after)->id(), slot);
    const Row *latest = now ? &*now : nullptr;
    if (before != nullptr || latest != nullptr)
        store::follow(derived, before, latest, ended);
    // Where the version that was written is not the newest any more, no key of it may stay.
    if (after != nullptr)
        derived.move(store::keys_of(*after), latest != nullptr ? store::keys_of(*latest) : store::Keys{});
}

} // namespace

JOBS_FUNCTION(jobs_before_row)
{
    const Tables tables = store::tables(); // a copy: code of the user's in here may have them described anew
    TriggerData *trigger = context_of(fcinfo, store::ApiTable::jobs, [](TriggerEvent event) {
        return (event & when_bits) == before_row && !TRIGGER_FIRED_BY_DELETE(event);
    });
    if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
        return PointerGetDatum(before_insert(tables, trigger));
    return PointerGetDatum(before_update(tables, trigger));
}

JOBS_FUNCTION(jobs_after_row)
{
    const Tables tables = store::tables();
    TriggerData *trigger =
        context_of(fcinfo, store::ApiTable::jobs, [](TriggerEvent event) { return (event & when_bits) == after_row; });
    TupleDesc descriptor = RelationGetDescr(trigger->tg_relation);
    const bool inserted = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
    const bool updated = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);

    // The row that fired us has to be visible, and what triggers before ours did.
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
    const Row first = read_tuple(tables, trigger->tg_trigtuple, descriptor);
    const bool known = !store::null_in(first); // a job without a value that every job has stands in no derived table
    if (inserted) {
        store::require_complete(first);
        store::statement::report(tables.jobs, Operation::insert, first, nullptr);
        keep_in_step(tables, trigger->tg_relation, nullptr, &first);
    } else if (updated) {
        const Row after = read_tuple(tables, trigger->tg_newtuple, descriptor);
        store::require_complete(after);
        const Row *meant =
            store::statement::report(tables.jobs, Operation::update, after, &trigger->tg_trigtuple->t_self);
        std::optional<store::EndedAttempt> ended;
        if (meant != nullptr && !(known && goes_on(first, after))) // a trigger after ours may have kept the job running
            ended = meant->ended;
        else if (meant == nullptr && known && !is_replica()) // rows of job_attempts come from there as well
            ended = attempt_ended_by(first, after);
        keep_in_step(tables, trigger->tg_relation, known ? &first : nullptr, &after, ended);
    } else if (known) {
        keep_in_step(tables, trigger->tg_relation, &first, nullptr);
    }
    PopActiveSnapshot();
    CommandCounterIncrement(); // the next event of the statement finds the keys
    return PointerGetDatum(nullptr);
}

JOBS_FUNCTION(jobs_after_truncate)
{
    context_of(fcinfo, store::ApiTable::jobs, [](TriggerEvent event) {
        return (event & when_bits) == after_statement && TRIGGER_FIRED_BY_TRUNCATE(event);
    });
    store::empty_derived();
    return PointerGetDatum(nullptr);
}

namespace {

// Makes the lane of a type with the type. If its first job made it, the first jobs of other sessions would wait until
// that job's transaction ends. It waits for nobody: prepare_lane_of() leaves the lane to the first job where another
// session is in the way.
void prepare_lane(const TriggerData *trigger)
{
    if (!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
        return;
    HeapTuple row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
    TupleDesc columns = RelationGetDescr(trigger->tg_relation);
    const int number = SPI_fnumber(columns, "job_type");
    if (number <= 0)
        return;
    const Oid type = SPI_gettypeid(columns, number);
    bool null;
    const Datum value = heap_getattr(row, number, columns, &null);
    if (null || (type != VARCHAROID && type != TEXTOID))
        return; // the owner altered the column: no job of the type can be made either
    auto name = DatumGetTextPP(value);
    const std::string_view view(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
    if (view.size() < store::type_name_bytes)
        store::lanes::prepare_lane_of(view);
}

} // namespace

// After any change of job_types: at commit every process hears that what it knows of the types is stale, and sleepers
// look again, since a type may not be paused any more. TRUNCATE too, for the statement, without a lane.
JOBS_FUNCTION(job_types_changed)
{
    TriggerData *trigger = context_of(fcinfo, store::ApiTable::job_types, [](TriggerEvent) { return true; });
    CacheInvalidateRelcache(trigger->tg_relation);
    prepare_lane(trigger);
    shared::notes::anything_changed();
    return PointerGetDatum(nullptr);
}

} // namespace job
