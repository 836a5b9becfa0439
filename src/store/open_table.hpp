// The one way to open a table by its name, be it one of the users' (api_tables.hpp) or one of our own
// (private_tables.hpp).
//
// Both open_table() and open_private() lock first and look afterwards. Nobody else alters a table while its lock is
// held; whatever did before is seen. So what they return fits its shape as long as it is open: this session itself
// can't alter, drop or truncate a table that it has open (55006). What it still can, in a trigger or an index
// expression of the user's, is to make triggers, rules, policies and children: whoever keeps a description over such
// code compares version_of_table() afterwards.
#pragma once

#include "pg/scope.hpp"
#include "store/api_tables.hpp"
#include "store/private_tables.hpp"

namespace store {

const char *name_of_table(ApiTable which);

// Locks the table of that name and looks at it; the lock lasts until the end of the transaction, unless it is told to
// let go. 42P01 when there is none, 42804 when it is not as the code relies on: another kind of relation, a column that
// is missing or of another type; 42501 when it belongs to another role than `jobs` does.
pg::OpenRelation open_table(ApiTable which, LOCKMODE lock);

// Open to be looked at, no longer.
pg::OpenRelation open_table_briefly(ApiTable which);

// The same for a question that nobody depends on: closed where open_table() would raise.
pg::OpenRelation open_if_usable(ApiTable which, LOCKMODE lock);

// What stands on a table runs as its owner, or as that of `jobs`: so all tables and partitions of the API have one.
// 42501 for one that has another. It must be locked, else it may change hands.
void require_owner_of_jobs(Oid table);

// Locks the table of that name without looking at it. 42P01.
TableId lock_api_table(ApiTable which, LOCKMODE lock);

// Without a lock: nothing but a hint.
std::optional<TableId> find_table(ApiTable which);

// Another number after each change of the table's definition, or of what its name means. Changes by this session count
// as soon as their command is over, those of others at the next lock.
std::uint64_t version_of_table(ApiTable which);

// Opens one of our own tables. 42P01 when there is none, 42804 when it is not as it was made: only a superuser alters
// those, yet maybe while its lock was waited for.
pg::OpenRelation open_private(PrivateTable which, LOCKMODE lock);

// The primary key of a private table, or the key of job_attempts: of so many first columns of a table that is open, so
// locked. 42804 when it is missing.
pg::OpenRelation open_key(Relation table, int columns, LOCKMODE lock);

// Called on relcache invalidations and on changes of schemas; InvalidOid: of any relation. Whether it is `jobs` or a
// private table, so that what tables() says may be stale.
bool table_was_changed(Oid relation);
void any_table_was_changed();

} // namespace store
