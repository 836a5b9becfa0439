// `jobs` and the private tables: where they are, whether they are as the code relies on, and what of the user's is in the way of a direct
// write. Looked up by name again after every change to one of them: their owner may alter them at any time.
#pragma once

#include "pg/heap.hpp"
#include "store/api_tables.hpp"
#include "store/built_under.hpp"
#include "store/user_objects.hpp"

namespace store {

// A private table, whose first columns are its primary key. That of a derived table, kept in step with `jobs`, is its
// whole row. The index is looked up once the table is locked, see open_key().
struct PrivateTable {
    Oid table;
    int key_columns;
};

struct Tables {
    TableId jobs;
    ColumnNumbers number;

    UserObjects theirs;

    PrivateTable queue, failed, expiring, ended;
    PrivateTable set_aside, schedules; // not derived
    Oid state;
    Built built;
    bool is_queue_built() const { return built != Built::no; }
};

// As they are now. 42P01 when `jobs` or a private one is missing, 42804 when it is not as the code relies on. Whoever holds
// a lock on `jobs` since before it was called may use what it says of `jobs` until code of the user's has run.
const Tables &tables();

// Opens a private table: only a superuser alters those, yet maybe while its lock was waited for. 42804
// when that is so.
pg::OpenRelation open_private(Oid table, LOCKMODE lock);

// The private table `lanes`, which is not known by tables(): types get their lanes whatever became of `jobs`.
pg::OpenRelation open_lanes(LOCKMODE lock);

// The derived tables, which a write to `jobs` may write besides.
std::array<Oid, 4> written_with_jobs(const Tables &tables);

// The primary key of a private table that is open, so locked. 42804 when it is missing.
pg::OpenRelation open_key(Relation table, int columns, LOCKMODE lock);

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
