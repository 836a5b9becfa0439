// `jobs` and the private tables: where they are, whether they are as the code relies on, and what of the user's is in
// the way of a direct write. Looked up by name again after every change to one of them: their owner may alter them at
// any time.
#pragma once

#include "pg/heap.hpp"
#include "store/built_under.hpp"
#include "store/open_table.hpp"
#include "store/user_objects.hpp"

namespace store {

struct Tables {
    TableId jobs;
    ColumnNumbers number;

    UserObjects theirs;

    Built built;
    bool is_queue_built() const { return built != Built::no; }
};

// As they are now. 42P01 when `jobs` or a private one is missing, 42804 when it is not as the code relies on. Whoever
// holds a lock on `jobs` since before it was called may use what it says of `jobs` until code of the user's has run.
const Tables &tables();

// The index on `id` or on `job_id` of `jobs`, which is open, so locked. 42804 when it is missing.
pg::OpenRelation open_index_of_jobs(Relation jobs, const Tables &tables, Column column, LOCKMODE lock);

// Whether this caller's write of these columns goes straight to the tables, or by SQL statements that meet everything
// of the user's: row security, triggers, rules, constraints, foreign keys.
bool direct(const Tables &tables, Operation operation, ColumnSet written);

// Another number after each change that may concern what tables() says.
std::uint64_t changes();

// Another number after each change of any relation at all: what is known of a partition counts until then.
std::uint64_t changes_of_relations();

// How often they were looked up. A call during which they were may have waited for a lock, and the queue may have been
// built anew, or emptied, meanwhile.
std::uint64_t lookups();

// Called when something made the tables' description stale: on relcache invalidations, and by who builds the queue.
void forget_tables();

void watch_tables();

} // namespace store
