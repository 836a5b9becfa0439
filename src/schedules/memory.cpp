#include "schedules/memory.hpp"

namespace schedules {

bool Schedules::find(Oid role_oid, Datum schedule_name)
{
    static constexpr RegProcedure equal[] = {F_OIDEQ, F_TEXTEQ};
    const Datum key[] = {ObjectIdGetDatum(role_oid), schedule_name};
    // An index scan keeps the snapshot with which it began, and the active one may be newer by now.
    lookup_.end();
    if (!lookup_.find(key, equal, slot_))
        return false;
    slot_getallattrs(slot_); // get() reads the arrays
    return true;
}

// Another transaction wrote the row after our snapshot was taken.
void Schedules::renew_look()
{
    if (IsolationUsesXactSnapshot())
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("could not serialize access due to a concurrent run of the schedule")));
    lookup_.end();
    pg::renew_active_snapshot();
}

void Schedules::lock_schedule(Oid role_oid, Datum schedule_name)
{
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        if (!find(role_oid, schedule_name)) {
            begin_schedule_row(role_oid, schedule_name);
            static constexpr AttrNumber by_name[] = {role + 1, name + 1};
            // Whichever run inserted the row, the next turn of the loop finds it and locks it: our own too, so that one
            // path leads to the lock.
            if (!pg::TableWriter(table_).insert_unless_taken(out_, by_name))
                renew_look();
            else
                pg::renew_active_snapshot();
            continue;
        }
        // NO KEY UPDATE is the lock of the update that follows. No TUPLE_LOCK_FLAG_FIND_LAST_VERSION: a version that
        // another run wrote must be read under a new snapshot, together with its job.
        ItemPointerData tid = slot_->tts_tid;
        TM_FailureData failure;
        const TM_Result result = table_tuple_lock(table_, &tid, GetActiveSnapshot(), out_, GetCurrentCommandId(true),
                                                  LockTupleNoKeyExclusive, LockWaitBlock, 0, &failure);
        if (result == TM_Ok)
            return;
        renew_look();
    }
}

// We hold the row, so no other transaction has changed it. A trigger on `jobs` may have, in this transaction, if it ran
// or removed this very schedule; then there is a job that the row names and that our set_job() would make forgotten.
void Schedules::require_unchanged(Oid role_oid, Datum schedule_name)
{
    ItemPointerData locked = slot_->tts_tid;
    if (!find(role_oid, schedule_name) || !ItemPointerEquals(&locked, &slot_->tts_tid))
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
                        errmsg("a trigger on jobs ran or removed the schedule that it was fired by")));
}

void Schedules::remove_schedule(Oid role_oid, Datum schedule_name)
{
    while (find(role_oid, schedule_name)) {
        CHECK_FOR_INTERRUPTS();
        ItemPointerData tid = slot_->tts_tid;
        if (pg::TableWriter(table_).remove(&tid) == TM_Ok)
            return;
        renew_look();
    }
}

void Schedules::set_job(const pg_uuid_t *id, TimestampTz now)
{
    set_column(job, UUIDPGetDatum(id));
    set_column(enqueued_at, TimestampTzGetDatum(now));
    write();
}

void Schedules::count_skipped()
{
    set_column(skipped_runs, Int64GetDatum(skipped() + 1));
    write();
}

void Schedules::set_column(Place place, Datum value)
{
    slot_->tts_values[place] = value;
    slot_->tts_isnull[place] = false;
}

// A row that remembers nothing, in `out_`.
void Schedules::begin_schedule_row(Oid role_oid, Datum schedule_name)
{
    pg::start_row(out_);
    const Datum values[] = {ObjectIdGetDatum(role_oid), schedule_name, 0, 0, Int64GetDatum(0)};
    for (int i = 0; i < columns; ++i) {
        out_->tts_values[i] = values[i];
        out_->tts_isnull[i] = i == job || i == enqueued_at;
    }
    ExecStoreVirtualTuple(out_);
}

void Schedules::write()
{
    ItemPointerData tid = slot_->tts_tid;
    pg::start_row(out_);
    for (int i = 0; i < columns; ++i) {
        out_->tts_values[i] = slot_->tts_values[i];
        out_->tts_isnull[i] = slot_->tts_isnull[i];
    }
    ExecStoreVirtualTuple(out_);
    if (pg::TableWriter(table_).update(&tid, out_) != TM_Ok)
        elog(ERROR, "a locked row of jobs_ext.schedules was changed");
}

} // namespace schedules
