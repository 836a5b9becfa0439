#include "job/direct_insert.hpp"

#include "call/arguments.hpp"
#include "job/inserted_id.hpp"
#include "job/new_job.hpp"
#include "job/triggers.hpp"
#include "pg/sqlstate.hpp"
#include "pg/uuid.hpp"
#include "settings.hpp"
#include "store/lanes.hpp"
#include "store/pauses.hpp"
#include "store/statement.hpp"

namespace job {

namespace {

using logic::Status;
using store::Column;
using store::Operation;
using store::Row;
using store::Tables;

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

// The parent, past row security. What this very statement has written counts: a parent may be inserted with its
// children.
std::optional<Row> find_parent(const Tables &tables, Relation jobs, const pg_uuid_t *id)
{
    pg::Slot slot(jobs);
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
    std::optional<Row> found = triggers::find_job(tables, jobs, id, slot);
    if (found)
        found = store::copy(*found); // the slot goes
    PopActiveSnapshot();
    return found;
}

// What a single value must be, as in the table of job_enqueue()'s fields. Raises 22023 or PT413.
void check_new_values(const Row &row)
{
    call::check_object(row.get(Column::input_payload), "input_payload");
    call::check_object(row.get(Column::metadata), "metadata");
    call::check_range(row.get(Column::max_retries), 0, store::most_retries, "max_retries");
    check_client_values(row);
}

// Stamps a new job of a client. What the server owns is overwritten, not obeyed and not refused. Raises 22023, 42501,
// PT409 or PT413 for what a new job can't be.
void stamp_new(bool is_tenant, Row &row, TimestampTz now)
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
        if (!row.has(Column::max_retries) || (is_tenant && row.number(Column::max_retries) > type.max_retries))
            row.set_number(Column::max_retries, type.max_retries);
        if (!row.has(Column::retry_delay_ms))
            row.set_number(Column::retry_delay_ms, type.retry_delay_ms);
        if (!row.has(Column::job_category) && type.has_category)
            row.set(Column::job_category, CStringGetTextDatum(type.category));
    }
    store::each_column(store::columns_that_start_empty, [&](Column column) { row.clear(column); });
    row.set_number(Column::retries, 0);
    row.set_number(Column::attempt, 0);
    row.set_time(Column::created_at, now);
    row.set_time(Column::updated_at, now);
    settle_creator(is_tenant, row);
    check_new_values(row);
    row.set_time(Column::run_at, allowed_run_at(is_tenant, *row.time(Column::run_at), now));
    check_expiry(row, now);
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

// Where the data of a dump alone is restored, CREATE EXTENSION could not pause the queue: its first job does.
void pause_restored(TimestampTz now)
{
    if (is_restore() && settings::pause_after_restore)
        store::pauses::add_pause(now, CStringGetTextDatum("restored: jobs_ext.pause_after_restore is on"));
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

// Whether the value is stored as it was, so that nobody gave it anew. Toasted ones are compared by their pointers.
bool is_kept(const Row *before, const Row &row, Column column)
{
    if (before == nullptr || before->has(column) != row.has(column))
        return false;
    const Oid type = store::definition_of(column).type;
    const bool by_value = type == INT4OID || type == TIMESTAMPTZOID;
    return !row.has(column) || datumIsEqual((*before)[column], row[column], by_value, type == UUIDOID ? UUID_LEN : -1);
}

} // namespace

void check_client_values(const Row &row, const Row *before)
{
    auto check = [&](Column column, auto check_value) {
        const bool is_new = !is_kept(before, row, column);
        if (is_new)
            check_value(row.get(column), store::definition_of(column).name);
        return is_new;
    };
    bool size_changed = !is_kept(before, row, Column::error_message);
    for (Column column : {Column::input_payload, Column::metadata, Column::result, Column::progress})
        size_changed = check(column, call::check_size) || size_changed;
    for (Column column : {Column::run_at, Column::expires_at})
        check(column, call::check_finite);
    check(Column::job_id, [](pg::Nullable value, const char *name) { call::check_length(value, 100, name); });
    check(Column::job_key,
          [](pg::Nullable value, const char *name) { call::check_length(value, longest_job_key, name); });
    if (size_changed)
        call::check_row_size(row);
}

void refuse_null(Column column)
{
    ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                    errmsg("null value in column \"%s\" of relation \"jobs\" violates not-null constraint",
                           store::definition_of(column).name)));
}

HeapTuple stamp_insert(const Tables &tables, TriggerData *trigger)
{
    TupleDesc descriptor = RelationGetDescr(trigger->tg_relation);
    Row row = triggers::read_tuple(tables, trigger->tg_trigtuple, descriptor);
    if (row.has(Column::id))
        // A verb's statement named every column, so nothing is missing; what a trigger before ours changed stands.
        if (store::statement::take_intent(tables.jobs, Operation::insert, row.id(), nullptr) != nullptr)
            return trigger->tg_trigtuple;
    if (triggers::is_replica()) {
        make_lane(row);
        return trigger->tg_trigtuple;
    }
    const TimestampTz now = settings::now();
    row.changed = 0;
    const bool by_owner = triggers::by_owner(tables);
    const bool is_tenant = !by_owner && under_row_security(tables);
    if (!by_owner)
        judge_id(tables, is_tenant, row);
    fill_in(row, now);
    if (!by_owner) {
        // Refused here, since a trigger of the user's after ours could fill them, past what is checked here.
        for (Column column : {Column::status, Column::job_type})
            if (!row.has(column))
                refuse_null(column);
        stamp_new(is_tenant, row, now);
        check_new_parent(tables, row,
                         [&](const pg_uuid_t *parent) { return find_parent(tables, trigger->tg_relation, parent); });
    } else {
        check_of_owner(row);
        pause_restored(now);
    }
    make_lane(row);
    return triggers::with(tables, trigger->tg_trigtuple, descriptor, row);
}

} // namespace job
