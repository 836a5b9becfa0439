#include "job/update_rules.hpp"

#include "job/refusal.hpp"
#include "pg/sqlstate.hpp"
#include "store/derived.hpp"

namespace job {

namespace {

using logic::Status;
using store::Column;
using store::Row;

// What was asked for stays what it was when the job was made. The same value again is no change: clients send whole
// rows back.
void check_unchanging(const Update &update)
{
    store::each_column(store::columns_that_never_change, [&](Column column) {
        if (update.changes(column))
            ereport(ERROR, (errcode(sqlstate::bad_argument),
                            errmsg("the %s of job %s cannot be changed", store::definition_of(column).name,
                                   store::to_text(update.before.id())),
                            errhint("It stays as it was when the job was made; only the owner of jobs may mend it. "
                                    "Enqueue another job.")));
    });
}

// What the attempts came to. Times and the server's other columns are taken back without a word, as in every UPDATE, so
// that a client may repeat the one that ended the job.
void check_ended(const Update &update)
{
    for (Column column : {Column::result, Column::error_message})
        if (update.changes(column))
            call::raise(keeps_outcome(update.before, column));
}

// What ends a running attempt or writes its result has to name the attempt, by its lease or its worker. A claim by a
// direct UPDATE has no worker where it gave none, as the seed's own; then nothing need be named, and a null lease_id
// names nothing, but another lease is another attempt all the same.
void check_fence(const Update &update)
{
    const Row &before = update.before;
    const bool has_worker = before.has(Column::worker);
    const bool by_lease = update.names(Column::lease_id) && (has_worker || update.asked.has(Column::lease_id));
    const bool by_worker = update.names(Column::worker) && has_worker;
    if ((by_lease && update.changes(Column::lease_id)) || (by_worker && update.changes(Column::worker)))
        call::raise(lost_lease(before));
    if (has_worker && !by_lease && !by_worker)
        call::raise(unnamed_lease(before));
}

} // namespace

bool Update::changes(Column column) const { return !same_value(before, asked, column); }

store::ColumnSet named_columns(const store::Tables &tables, const TriggerData *trigger)
{
    store::ColumnSet result = 0;
    store::each_column(store::all_columns, [&](Column column) {
        if (bms_is_member(tables.number[store::index_of(column)] - FirstLowInvalidHeapAttributeNumber,
                          trigger->tg_updatedcols))
            result |= store::bit(column);
    });
    return result;
}

bool same_value(const Row &a, const Row &b, Column column)
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
    // As stored first: of a large value that no SET names both have the same pointer, and nothing is fetched.
    if (datumIsEqual(a[column], b[column], false, -1))
        return true;
    if (type == JSONBOID)
        return DatumGetBool(DirectFunctionCall2(jsonb_eq, a[column], b[column]));
    return a.text(column) == b.text(column);
}

void check_client_update(const Update &update, Status from, Status to)
{
    check_unchanging(update);
    if (logic::has_ended(from))
        check_ended(update);
    if (from == Status::in_progress && (to != from || update.changes(Column::result)))
        check_fence(update);
}

void check_claimable(const Row &job, const store::Type &type, TimestampTz now)
{
    if (store::may_expire(job) && *job.time(Column::expires_at) <= now)
        call::raise(not_claimable(job, NotNow::expired));
    if (*job.time(Column::run_at) > now)
        call::raise(not_claimable(job, NotNow::not_due));
    if (type.paused)
        call::raise(not_claimable(job, store::types::are_all_paused() ? NotNow::queue_paused : NotNow::type_paused));
}

} // namespace job
