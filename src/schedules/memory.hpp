// The private table jobs_ext.schedules: what a run of a schedule remembers for the next one, which is the last job and
// how many runs were left out. It has a row for each role and name, because pg_cron keeps its jobs apart by these. It
// is never dumped, so the first run after a restore knows of no job before it.
//
// Two runs of one schedule may meet: pg_cron starts no run while the one before goes on, but any session of that role
// may run the command by hand. Unless the schedule piles up, a run whose last job still waits is left out; two runs
// that both look, and then both enqueue, would make two jobs. So a run locks the row before it looks at the last job,
// and holds it until its transaction ends:
//   the other run commits      this one waited, takes a new snapshot, and finds the other one's job as the last
//   the other run is undone    (ROLLBACK, savepoint, crash, cancel) this one goes on with the row as it was
//   neither finds a row        both insert it; the unique index lets one pass, the other waits and then locks that row
//   job_unschedule() meanwhile it waits for the run, then removes the row; a run that waited for it makes a new one
//   REPEATABLE READ            a run whose row another one wrote raises 40001: its snapshot does not show that job
//   a trigger on `jobs`        runs in our transaction, so no lock keeps it out: require_unchanged() finds it
// The lock is taken ahead of any on rows of `jobs`, so two runs of one schedule cannot each wait for the other. The
// test is test/isolation/specs/schedule-run.spec.
#pragma once

#include "pg/heap.hpp"
#include "store/tables.hpp"

namespace schedules {

class Schedules {
public:
    // Opens the table. To write: with RowExclusiveLock, inside a StatementScope. Raises 42804 if the table was altered.
    explicit Schedules(LOCKMODE mode)
        : table_(store::open_private(store::PrivateTable::schedules, mode)),
          index_(store::open_key(table_, store::shape_of(store::PrivateTable::schedules).key_columns, mode)),
          lookup_(table_, index_), slot_(table_), out_(table_)
    {
    }

    // Reads the row of a role and a name (text), as the active snapshot sees it. False: there is none.
    bool find(Oid role, Datum name);
    // Locks the row until the end of the transaction, and makes it if there is none. Waits for another run; if that
    // changed the row, renews the active snapshot, or raises 40001 outside READ COMMITTED.
    void lock_schedule(Oid role, Datum name);
    // Raises 27000 if the row that was locked is not the one that the active snapshot sees: to be called after user
    // code may have run, under a renewed snapshot.
    void require_unchanged(Oid role, Datum name);
    // Removes the row, if there is one. Waits for a run that holds it; raises 40001 as lock() does.
    void remove_schedule(Oid role, Datum name);

    // Of the row that was found or locked: the id and the time of the last job, null if there was none; and how many
    // runs were left out.
    pg::Nullable last_job() const { return value_of(job); }
    pg::Nullable last_run() const { return value_of(enqueued_at); }
    std::int64_t skipped() const { return DatumGetInt64(value_of(skipped_runs).value); }

    // Write the row that is locked. Nobody else can have changed it, so anything but success is an internal error.
    void set_job(const pg_uuid_t *id, TimestampTz now);
    void count_skipped();

private:
    enum Place { role, name, job, enqueued_at, skipped_runs, columns };

    pg::Nullable value_of(Place place) const { return {slot_->tts_values[place], slot_->tts_isnull[place]}; }
    void renew_look();
    void set_column(Place place, Datum value);
    void begin_schedule_row(Oid role_oid, Datum schedule_name);
    void write();

    pg::OpenRelation table_;
    pg::OpenRelation index_;
    pg::IndexLookup lookup_;
    pg::Slot slot_, out_;
};

} // namespace schedules
