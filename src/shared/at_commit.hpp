// What this transaction has for other processes, told when they can see it: at commit what it brought; at abort, and at
// the abort of a subtransaction at once, what it had taken and gives back.
//
// The race is between telling and seeing. Told too early, a sleeper would look, find nothing yet and sleep on; so at
// commit nothing is told before the rows are visible, the locks let go and the invalidations sent. Told after the
// commit, nothing may fail any more: an ERROR there is a PANIC. So all that may fail (memory, looking up lanes and
// types) is done while the transaction runs, in notes; telling only takes locks of shared memory and sets latches.
//
//   How the transaction ends       What becomes of its notes
//   COMMIT                         told
//   ROLLBACK, an error, a cancel   what was taken is told as given back; the rest is forgotten
//   ROLLBACK TO SAVEPOINT          the same, for notes of that subtransaction and those below it
//   RELEASE SAVEPOINT              the parent's from now on
//   PREPARE TRANSACTION            forgotten; COMMIT PREPARED and ROLLBACK PREPARED, which may come from another
//                                  session or after a restart, have the worker look (worker/commands.cpp)
//   the process or server crashes  gone, like all of shared memory; sleepers' sessions have ended as well
//
// Notes of lanes and of jobs that ended have the level of their subtransaction. The others have none: after ROLLBACK TO
// SAVEPOINT they make a process look for nothing.
#pragma once

#include "prelude.hpp"

namespace shared::notes {

// A job stands in a lane now, due at that time. All of these do nothing where nothing is shared; an error is raised
// only where memory is lacking.
void job_waits(std::int32_t lane, TimestampTz due_at);
// A job left its lane, for any reason: if this is rolled back, somebody else can claim it again.
void job_taken(std::int32_t lane);
// Whether a job left the lane in this transaction. Raises nothing, so it may be asked under a lock.
bool took(std::int32_t lane);
// The worker has something to do at that time: a lease that ends, a job that expires.
void note_due(TimestampTz instant);
// A job ended, or was deleted: sessions in job_wait() are to look.
void job_ended(const pg_uuid_t *job);
// A child of the job has ended or is gone; the job waits for its children from now on. The worker looks whether it may
// go on. The first costs others nothing as long as no job of this database waits.
void child_left(const pg_uuid_t *parent);
void job_blocked(const pg_uuid_t *job);
// Job types changed, all jobs were removed, or the derived tables were built anew: lanes that sleepers want may mean
// something else, and what they wait for may be there. All sleepers of the database look, and so does the worker.
void anything_changed();
// The derived tables were emptied or built anew, past own_rows: the hints of where to read them say nothing any more,
// also where this is rolled back.
void derived_built();
// A row was put into a derived table, or removed from one, that was wrong before: no job has changed, so the depths of
// the queue are to be counted once more.
void derived_mended();
// An extension was made, altered or dropped in this database.
void note_extension_changed();
// A database was made, dropped or altered.
void databases_changed();

// Registers the callbacks; once in a process, from _PG_init, because Postgres calls each as often as it was registered.
void watch_transactions();

} // namespace shared::notes
