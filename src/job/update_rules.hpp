// What a direct UPDATE of a job may not do. A trigger sees the old row, the new one and the names in the SET list,
// nothing of the WHERE: so what says whose attempt is meant has to stand in SET. Who sets `lease_id = lease_id` says
// nothing, and a MERGE names what any of its actions names: direct SQL can't know more.
//
// The race: two workers run UPDATE jobs SET status = 'completed', result = … WHERE id = …. The second one waits for the
// first, and its WHERE still holds for the newest version, which is what is judged here: a job that has ended, and
// keeps its result.
#pragma once

#include "store/tables.hpp"
#include "store/types.hpp"

namespace job {

struct Update {
    store::Row before, asked;
    store::ColumnSet named; // in its SET list, also where it sets the value that was there
    bool by_owner;          // who mends what others may not touch
    TimestampTz now;

    bool names(store::Column column) const { return (named & store::bit(column)) != 0; }
    bool changes(store::Column column) const;
};

// The columns in the SET list of the statement that fires the trigger.
store::ColumnSet named_columns(const store::Tables &tables, const TriggerData *trigger);

// Whether both have the same value in the column, jsonb as jsonb compares it.
bool same_value(const store::Row &a, const store::Row &b, store::Column column);

// The owner's UPDATE may all of this. Raises 22023 where it changes what never changes, PT409 where it changes what a
// job that has ended keeps, or ends or writes the result of an attempt that it does not name, or names another.
void check_client_update(const Update &update, logic::Status from, logic::Status to);

// For an UPDATE to in_progress, the owner's as well: a claim is a claim. Raises PT409 where job_claim() would not take
// the job now.
void check_claimable(const store::Row &job, const store::Type &type, TimestampTz now);

} // namespace job
