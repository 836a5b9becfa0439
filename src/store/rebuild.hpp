// Builds the derived tables (queue, failed, expiring, ended) anew from `jobs`, where they do not count as built
// (built.hpp).
#pragma once

#include "store/tables.hpp"

namespace store {

// Builds the derived tables anew, under a lock that lets nobody write to `jobs` meanwhile, from a snapshot taken under
// that lock. In a transaction at REPEATABLE READ or above, whose own snapshot is older, they then name jobs that it
// does not see: see Derived::remove_orphan. Returns how many jobs stand in the queue. 42804 when a trigger of ours is
// missing or disabled.
std::int64_t rebuild_derived();

// Builds them if they do not count as built; to be called before a writer takes any lock.
void ensure_derived_built();

// Where they were built under other marks, writes those that hold now, if `jobs` is to be had without waiting. Else
// VACUUM FULL today and ALTER TABLE ... SET STATISTICS next year look like ALTER ... TYPE together, and cost a rebuild.
void renew_marks();

// After TRUNCATE of `jobs`: whose lock keeps everybody else away.
void empty_derived();

} // namespace store
