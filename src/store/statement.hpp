// The statement path: a verb writes by SQL, as its caller, so that everything of the user's happens: row security,
// privileges, triggers, rules, constraints.
//
//      the verb                    our BEFORE trigger             our AFTER trigger
//      ────────                    ──────────────────             ─────────────────
//      leaves an intent: the row
//      that it means to write
//      runs INSERT or UPDATE ────▶ takes the intent, once, for
//                                  this very row, and fills in
//                                  what the statement did not
//                                  name
//                                  (the executor writes) ───────▶ reports to the intent what was written
//      ends the intent; its row ◀──────────────────────────────── lets follow what follows
//      is what was written
//
// Because of the intent a verb writes more columns than its caller's privileges name (a cancel names one), and our
// triggers do not take its statement for a client's. The intent is in this process alone; who meets in it is the verb,
// our triggers, and code of the user's that runs inside the statement:
// - a trigger of the user's that calls a verb: the inner verb's intent comes before the outer one's in the list, and is
//   found by table, operation and id;
// - a trigger of the user's that updates other jobs by plain SQL: their ids fit no intent, so they are a client's;
// - an error, a cancel, ROLLBACK TO SAVEPOINT in a trigger: the statement never returns to the verb that set the
//   intent. The callbacks at the end of the (sub)transaction drop it before anything looks at its row, whose memory is
//   gone.
//
// Other sessions: the statement waits for a row that another session has locked, as any UPDATE does. A verb locks the
// row (lock_by_id()) and looks at it with a new snapshot before it computes what to write (store::change() in
// jobs.hpp). At REPEATABLE READ or above Postgres raises 40001 where another session was first.
#pragma once

#include "store/tables.hpp"

namespace store::statement {

// For the BEFORE trigger: the row that a verb wants written in the place of this one; null where no verb does. Found
// once: a second UPDATE of the row inside the statement is not the verb's. `replaced`: where the version is that the
// UPDATE replaces; null for an INSERT.
const Row *take_intent(TableId table, Operation operation, const pg_uuid_t *id, const ItemPointerData *replaced);
// For the AFTER trigger: notes what was written, copied into the verb's memory. Returns the row that the verb meant;
// null where the statement is a client's own, also where it replaces another version of the same row, as an UPDATE in a
// trigger of the user's does: that one's attempt, and what it wrote, are not the verb's.
const Row *report(TableId table, Operation operation, const Row &written, const ItemPointerData *replaced);

// Locks the row until the end of the transaction (or of the savepoint that is rolled back), and waits for a transaction
// that has it. Returns false where it is gone, or where policies do not let the caller see or update it. Raises 40001
// outside READ COMMITTED where another transaction changed it.
bool lock_by_id(const pg_uuid_t *id);

// Both write the row, and set it to what was really written, since a trigger of the user's may have changed it.
// insert_by_statement() says key_taken where another job has one of `keys` (job_id, job_key); that of any other key is
// 23505. It raises 09000 where a trigger or rule kept the new job from being written. What code of the user's raises
// goes through.
Written update_by_statement(const Tables &tables, Row &row);
enum class Inserted { yes, key_taken };
Inserted insert_by_statement(const Tables &tables, Row &row, ColumnSet keys);

// Deletes the row, with whatever the user's triggers and foreign keys do about it. `suppressed`: it is still there. It
// takes no intent, because there is nothing to fill in.
Written remove_by_statement(const pg_uuid_t *id);

// Registers the callbacks that drop intents. To be called once in a process, from _PG_init.
void watch_statements();

} // namespace store::statement
