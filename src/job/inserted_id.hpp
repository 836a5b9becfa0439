// The id of a job that a client inserts: the server's or the client's own.
//
// A trigger cannot see whether a column was named: the default, jobs_ext.uuid_v7(), has filled the row before. So this
// process remembers the last ids that uuid_v7() gave in it, and takes each of them once.
#pragma once

#include "store/tables.hpp"

namespace job {

// For a caller who does not own `jobs`, before the row is filled in. An id that uuid_v7() gave stays. Any other one is
// emptied under row security, so that the server's takes its place: a tenant who could choose would choose the id of an
// archived job, which the new one would stand for. Emptied, not refused, because the owner may have given the column a
// default of its own; RETURNING shows which id the job has. Anybody else may choose, but raises PT409 for the id of an
// archived job, where the caller may read the archive and update jobs.
//
// The race: that job is on its way to the archive, deleted from `jobs` by a transaction that has not ended, so that
// neither table shows it, and the INSERT would wait for that transaction and find the id free. So the look waits for it
// first (FOR KEY SHARE), and looks into the archive afterwards, with a newer snapshot. A job that is in `jobs` then
// stays there for as long as this transaction lasts, and the INSERT runs into it (23505).
void judge_id(const store::Tables &tables, bool is_tenant, store::Row &row);

} // namespace job
