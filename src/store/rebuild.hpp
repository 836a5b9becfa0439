// Builds the derived tables (private_tables.hpp) anew from `jobs`, where they do not count as built
// (built.hpp): after a restore, after a trigger was off for a while, after ALTER TABLE … TYPE … USING.
//
// Who takes part, and why no key is lost, stale or twice there:
// - A writer. It holds ROW EXCLUSIVE on `jobs` from before its first write to `jobs` or to a derived table until its
//   transaction ends. The build takes SHARE ROW EXCLUSIVE on `jobs`, which conflicts with that: so it waits for all
//   writers, and its snapshot, taken under the lock, shows every row that one of them committed.
// - A writer that waits for the build. It takes a new snapshot when it has its lock (open_built() in store/jobs.cpp).
//   At REPEATABLE READ or above it can't, and gets 40001 (Derived::open()).
// - A second build. SHARE ROW EXCLUSIVE conflicts with itself: the second one looks again under the lock, and finds the
//   tables built.
// - A reader. The build removes row by row, because TRUNCATE would empty the tables for older snapshots as well. A
//   reader at REPEATABLE READ sees that the marks are newer than its snapshot, and reads `jobs`
//   (derived_are_readable()).
// - ROLLBACK, ROLLBACK TO SAVEPOINT, cancel, crash. Removed rows, new rows and marks belong to one transaction and go
//   together; the next writer builds. What this process knew is forgotten with the invalidations that the abort
//   replays.
// - Deadlocks. A session that held ROW EXCLUSIVE on `jobs` and then wanted SHARE ROW EXCLUSIVE would wait for another
//   that does the same. So the build comes before a writer's first lock; for lanes, see lanes.hpp.
#pragma once

#include "store/tables.hpp"

namespace store {

// Builds the derived tables anew, whether they count as built or not. Returns how many jobs stand in the queue. Raises
// 42P01 or 42804 as open_table() does, 42804 where a trigger of ours is missing or disabled, for a job of an unknown
// status too, 23502 for one without a value that every job has. In a transaction at REPEATABLE READ or above they then
// name jobs that its own older snapshot does not show: Derived::remove_orphan() leaves those alone.
std::int64_t rebuild_derived();

// Builds them if they do not count as built. A writer calls it before it takes any lock on a table. Raises what
// rebuild_derived() does.
void ensure_derived_built();

// Where they were built under other marks (Built::under_other_marks), writes the marks that hold now, unless another
// session is writing to `jobs`: then the worker comes again. Without this VACUUM FULL today (another file) and ALTER
// TABLE … SET STATISTICS next year (another row in pg_attribute) would look like one ALTER … TYPE, and cost a build.
void renew_marks();

// Truncates the derived tables and set_aside: for our trigger after TRUNCATE of `jobs`, which holds ACCESS EXCLUSIVE on
// `jobs` and thus keeps all others away. Raises 55006 where a cursor of this session reads one of them.
void empty_derived();

} // namespace store
