// Whether the derived tables (queue, failed, expiring, ended) say what `jobs` says. They do as long as the enabled triggers
// on `jobs` are the very ones under which they were built, and its columns hold the values that they held: a restore that
// loads rows first and makes triggers last, or somebody who disables them for a while, leaves other rows in pg_trigger; ALTER
// TABLE ... TYPE ... USING fires no trigger, but leaves another row in pg_attribute and another file.
#pragma once

#include "prelude.hpp"

namespace store {

struct Tables;

// Whether the derived tables say what `jobs` says; under_other_marks: they do, though something of `jobs` was written anew that
// has to do with its values only together with something else.
enum class Built { no, yes, under_other_marks };

namespace queue_state {

// Whether a trigger on `jobs` is one of ours: by its name, function, type (as in pg_trigger), and by having neither a
// condition nor a list of columns.
bool is_ours(const char *name, Oid function, std::int16_t type, bool unconditional);

// Whether the triggers and columns of `jobs`, as they are now, are those that the table `state` names under the snapshot. If
// so none of them was off, nor had other values, since the build that the snapshot sees.
Built built_under(Relation jobs, const Tables &known, Snapshot snapshot);

// Builds the derived tables anew, under a lock that lets nobody write to `jobs` meanwhile, from a snapshot taken under that
// lock. In a transaction at REPEATABLE READ or above, whose own snapshot is older, they then name jobs that it does not see:
// see Derived::remove_orphan. Returns how many jobs stand in the queue. 42804 when a trigger of ours is missing or disabled.
std::int64_t rebuild();

// Builds them if they do not count as built; to be called before a writer takes any lock.
void ensure_built();

// Where they were built under other marks, writes those that hold now, if `jobs` is to be had without waiting. Else VACUUM FULL
// today and ALTER TABLE ... SET STATISTICS next year look like ALTER ... TYPE together, and cost a rebuild.
void renew_marks();

// Whether somebody else built them after the active snapshot was taken: then it shows them as they were before, and a key
// that it does not show may be there. Only outside READ COMMITTED, where a transaction keeps its first snapshot.
bool built_since_snapshot(const Tables &known);

// Whether a reader finds in them every job that the active snapshot sees. Else it reads `jobs`.
bool is_readable(const Tables &known);

// After TRUNCATE of `jobs`: whose lock keeps everybody else away.
void forget_rows(const Tables &known);

} // namespace queue_state

} // namespace store
