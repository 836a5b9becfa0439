// What the runs of a schedule remember for the next one: the last job, and how many runs were left out. A row for each
// role and name, as pg_cron keeps its jobs apart; private, never dumped, so that the first run after a restore knows of
// no job before it.
//
// A run holds its row locked from before it looks at the last job until its transaction ends, so two runs at once make
// one job.
#pragma once

#include "pg/heap.hpp"
#include "store/tables.hpp"

namespace schedules {

class Schedules {
public:
    // Opens the table: RowExclusiveLock, inside a StatementScope, to write.
    explicit Schedules(LOCKMODE mode)
        : table_(store::open_private(store::PrivateTable::schedules, mode)),
          index_(store::open_key(table_, store::shape_of(store::PrivateTable::schedules).key_columns, mode)),
          lookup_(table_, index_), slot_(table_), out_(table_)
    {
    }

    // Reads the row as the active snapshot sees it. False: there is none.
    bool find(Oid role, Datum name);
    // Locks the row, which it makes if there is none. Waits for another run; takes a new snapshot if it had to.
    void lock(Oid role, Datum name);
    // That the row which was locked is the newest still, as the active snapshot sees it.
    void require_unchanged(Oid role, Datum name);
    // Removes the row, if there is one.
    void remove(Oid role, Datum name);

    // Of the row that was found or locked.
    pg::Nullable last_job() const { return get(job); }
    pg::Nullable last_run() const { return get(enqueued_at); }
    std::int64_t skipped() const { return DatumGetInt64(get(skipped_runs).value); }

    // Writes the row that is locked.
    void set_job(const pg_uuid_t *id, TimestampTz now);
    void count_skipped();

private:
    enum Place { role, name, job, enqueued_at, skipped_runs, columns };

    pg::Nullable get(Place place) const { return {slot_->tts_values[place], slot_->tts_isnull[place]}; }
    void look_again();
    void put(Place place, Datum value);
    void start(Oid role_oid, Datum schedule_name);
    void write();

    pg::OpenRelation table_;
    pg::OpenRelation index_;
    pg::IndexLookup lookup_;
    pg::Slot slot_, out_;
};

} // namespace schedules
