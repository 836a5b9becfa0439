// The statement path: a verb writes by SQL, as its caller, so that everything of the user's happens: row security,
// privileges, triggers, rules, constraints.
//
// The verb leaves what it means to write in an intent of this backend; our BEFORE trigger takes it up once, for that
// very row, and puts it in the place of what the statement says. So a verb writes more than its caller's column
// privileges let the caller write (a cancel), and is not mistaken for a direct UPDATE. The AFTER trigger reports what
// was really written. An error clears every intent of the (sub)transaction that it ends.
#pragma once

#include "store/tables.hpp"

namespace store::statement {

// For the BEFORE trigger: the row that a verb wants written in the place of this one, or null.
const Row *take_intent(TableId table, Operation operation, const pg_uuid_t *id);
// For the AFTER trigger: what was written. The row that the verb meant; null: no verb meant it, it is a statement of a
// client's own.
const Row *report(TableId table, Operation operation, const Row &written);

// Whether the caller may see and update the row; locks it until the end of the transaction.
bool lock_by_id(const pg_uuid_t *id);

// Both set the row to what was really written.
Written update_by_statement(const Tables &tables, Row &row);
enum class Inserted { yes, key_taken };
Inserted insert_by_statement(const Tables &tables, Row &row, bool keyed);

// Deletes the row, with whatever the user's triggers and foreign keys do about it. `suppressed`: it is still there.
Written remove_by_statement(const pg_uuid_t *id);

void watch_statements();

} // namespace store::statement
