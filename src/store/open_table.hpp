// The one way to open a table by its name, be it one of the users' (api_tables.hpp) or one of our own
// (private_tables.hpp).
//
// The race: while a session looks a name up and waits for the lock, another session may drop the table, rename it, put
// another one in its place or alter its columns. A Datum that is read as another type than its column's is a wild
// pointer. So open_table() and open_private() lock first and look afterwards:
//
//      a session that opens                               a session that alters
//      ────────────────────                               ─────────────────────
//      1. takes the OID that it remembers, or looks
//         the name up
//      2. locks that table, and waits for           ◀──── ALTER, DROP, RENAME: ACCESS EXCLUSIVE until the commit,
//         a session that alters it; then hears            whose invalidations go out before the lock does
//         of its invalidations (LockRelationOid)
//      3. if it heard of one: looks the name up again,
//         and begins anew if it means another table
//      4. compares the table with its shape
//
// What they return fits its shape as long as it is open, because
// - a column is added, dropped, renamed or given another type under ACCESS EXCLUSIVE alone, which conflicts with every
//   lock: no other session does it between 2 and the end of our lock;
// - this session can't do it either: CheckTableNotInUse() raises 55006 for ALTER, DROP and TRUNCATE of a table that is
//   open, also in a trigger in the middle of a verb; a RENAME moves no column, and a direct write goes by numbers;
// - what a session altered and then took back by ROLLBACK or ROLLBACK TO SAVEPOINT is looked at again: Postgres replays
//   the invalidations at the abort.
// Triggers, rules, policies and children are not kept away: code of the user's can make them in this session, other
// sessions can make some of them under weaker locks. A caller that keeps a description of those while such code runs
// compares version_of_table() or changes() (tables.hpp) afterwards.
#pragma once

#include "pg/scope.hpp"
#include "store/api_tables.hpp"
#include "store/private_tables.hpp"

namespace store {

const char *name_of_table(ApiTable which);

// Locks the table of that name and compares it with its shape. The lock lasts until the end of the transaction, unless
// the caller says unlock_when_closed(). Raises 42P01 where there is no such table; 42804 where it is another kind of
// relation, or a column is missing or of another type; 42501 where it belongs to another role than `jobs` does; 55P03
// where another session has it locked and this process does not wait (pg/lock.hpp).
pg::OpenRelation open_table(ApiTable which, LOCKMODE lock);

// The same under ACCESS SHARE, which goes when the table is closed: for a caller that copies what it reads and hears of
// later changes by an invalidation.
pg::OpenRelation open_table_briefly(ApiTable which);

// The same for a caller that can answer without the table: returns a closed relation where open_table() would raise
// 42P01, 42804 or 42501.
pg::OpenRelation open_if_usable(ApiTable which, LOCKMODE lock);

// Raises 42501 unless the table belongs to the owner of `jobs`. Maintenance runs what stands on the API's tables and
// partitions (triggers, expressions) as the owner of `jobs`, so code of another owner's would get rights that its
// author does not have. The caller holds a lock on the table, else it may change hands after the check.
void require_owner_of_jobs(Oid table);

// Locks the table of that name, without a look at its columns. Raises 42P01 where there is none.
TableId lock_api_table(ApiTable which, LOCKMODE lock);

// The table that has the name, or nothing. Without a lock, so a hint: it may be dropped or renamed a moment later.
std::optional<TableId> find_table(ApiTable which);

// A number that differs after each change of the table's definition, or of what its name means. A change by this
// session counts when its command is over (CommandCounterIncrement), one by another session when this one next takes a
// lock on a table, at the latest.
std::uint64_t version_of_table(ApiTable which);

// Opens one of our own tables. Raises 42P01 where there is none; 42804 where it is not as it was made, or belongs to
// somebody who is no superuser. Only a superuser alters these, yet possibly while we wait for the lock.
pg::OpenRelation open_private(PrivateTable which, LOCKMODE lock);

// Opens a unique index on the first `columns` columns (4 at most) of a table that is open, hence locked: the primary
// key of a private table, or the key of job_attempts. Raises 42804 where there is no such index that is valid.
pg::OpenRelation open_key(Relation table, int columns, LOCKMODE lock);

// Notes that a relation changed; InvalidOid: Postgres does not say which. Returns whether it may be `jobs` or a private
// table, so that what tables() says may be stale. Called by Postgres's invalidation callbacks, hence at any lock: it
// reads no catalog and raises nothing.
bool table_was_changed(Oid relation);
void any_table_was_changed();

} // namespace store
