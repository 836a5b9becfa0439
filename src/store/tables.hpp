// A description of `jobs` and the private tables: where they are, whether they are as the code relies on, which objects
// of the user's stand in the way of a direct write, and whether the derived tables are built.
//
// The race: an owner alters `jobs`, makes a trigger on it or restores it while sessions and the worker go by the
// description that they have in memory. Each process keeps its own and forgets it at each invalidation of one of the
// tables. It hears of another session's change when it takes its next lock, so:
// - a caller locks `jobs` before it asks tables() for what its write depends on. Until it lets go no other session can
//   change that: columns and rules change under ACCESS EXCLUSIVE, triggers and foreign keys under SHARE ROW EXCLUSIVE,
//   which conflicts with the ROW EXCLUSIVE of a writer;
// - code of the user's may make a trigger in this very session: after such code a caller compares changes()
//   (Jobs::current());
// - a change that this session takes back by ROLLBACK or ROLLBACK TO SAVEPOINT makes the description stale once more,
//   because Postgres replays its invalidations at the abort.
#pragma once

#include "pg/heap.hpp"
#include "store/built_under.hpp"
#include "store/open_table.hpp"
#include "store/user_objects.hpp"

namespace store {

struct Tables {
    TableId jobs;
    ColumnNumbers number;      // of each column of ours
    pg::NullsLeftOut left_out; // of which rows of `jobs` an index has no entry

    UserObjects theirs;

    Built built; // by the latest snapshot, whatever that of the transaction is
    bool is_queue_built() const { return built != Built::no; }
};

// Describes them as they are now. Raises 42P01 where `jobs` or a private table is missing, 42804 where one is not as
// the code relies on. The next call may overwrite what the reference shows: a caller that runs code of the user's in
// between keeps a copy.
const Tables &tables();

// Opens the unique index of `jobs`, which is open, on the key that ends with the column (unique_keys.hpp). Raises 42804
// where there is none that is valid and checked at once.
pg::OpenRelation open_index_of_jobs(Relation jobs, const Tables &tables, Column column, LOCKMODE lock);

// Whether a write of these columns may take the direct path. It may not where row security applies to the current role,
// or where a trigger, rule, constraint or foreign key of the user's concerns the write: then SQL has to do it. Which
// columns are written matters for foreign keys alone.
bool direct(const Tables &tables, Operation operation, ColumnSet written);

// A number that differs after each change that may concern what tables() says.
std::uint64_t changes();

// A number that differs after each change of any relation at all: for the archive, whose partitions come and go and are
// in no list here.
std::uint64_t changes_of_relations();

// How often this process has described the tables. A call during which that happened may have waited for a lock on
// `jobs` while another session built the derived tables or emptied them: its snapshot is older than those, and it has
// to take a new one.
std::uint64_t lookups();

// Makes the description stale: called at relcache invalidations, and by a session that builds the derived tables. Reads
// no catalog and raises nothing.
void forget_tables();

// Registers the callbacks. To be called once in a process, from _PG_init: Postgres never takes one back.
void watch_tables();

} // namespace store
