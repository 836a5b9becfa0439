// User objects on `jobs` that a direct heap write would bypass: triggers, rules, constraints, foreign keys, columns
// that are computed. Where one concerns a write, the verb writes by a statement instead, so that the executor runs it.
// Two kinds are not among them: indexes, all of which a direct write keeps (pg/heap.hpp), and foreign keys that are not
// deferrable, whose triggers it fires (pg/foreign_keys.hpp).
//
// Everything is read from the relation's own description and the catalogs, of a table that the caller has open. Nothing
// here evaluates a predicate or an expression of the user's: only to look must not run their code. When an answer is
// out of date is said in tables.hpp.
#pragma once

#include "store/row.hpp"

namespace store {

struct UserObjects {
    // Whether one concerns each kind of write, whatever its columns.
    bool on_insert;
    bool on_update;
    bool on_remove;
    bool has_key;          // a unique or exclusion constraint besides those of unique_keys.hpp
    bool has_foreign_key;  // whose trigger a direct insert has to fire (pg/foreign_keys.hpp)
    ColumnSet referencing; // columns of foreign keys on `jobs`: an update of one has to be checked
    ColumnSet referenced;  // columns that foreign keys of other tables may point at; empty where there is no such key
};

// Whether a trigger of the user's on the table fires for the operation. Ours on `jobs` do not count, nor those that
// Postgres makes for foreign keys and deferrable constraints, which are looked at by themselves.
enum class Operation { insert, update, remove };
bool trigger_of_theirs(Relation table, Operation operation);

// A CHECK that install() makes, known by its name and its expression. has_check_of_theirs(): whether the table has any
// other. One of ours that the user altered counts as the user's.
struct Check {
    std::string_view name;
    const char *(*expression)(); // as Postgres prints it
};
// The condition "value is one of these texts", as Postgres prints it. The texts must be NUL-terminated.
const char *is_text_in(const char *value, std::span<const std::string_view> texts);
bool has_check_of_theirs(Relation table, std::span<const Check> ours);

// Whether the table has an exclusion constraint, or a unique one that is DEFERRABLE, hence checked later by a trigger.
bool has_late_index(Relation table);

// Whether an index has an expression or a predicate, which Postgres runs where the table is written, as the current
// role.
bool has_computed_index(Relation table);

// The hint for 42501 where a statement on the table runs as its owner (pg/as_owner.hpp); null where nothing on the
// table can be deferred. Postgres lets no deferred trigger be queued in a security-restricted context
// (afterTriggerMarkEvents), because it would fire later with the session's rights.
const char *hint_if_deferred(Relation table);

// The user objects on `jobs`, which is open. `numbers`: of our columns, as the table is now.
UserObjects find_user_objects(Relation jobs, const ColumnNumbers &numbers);

} // namespace store
