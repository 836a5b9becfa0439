// User objects on `jobs` that a direct heap write would bypass: triggers, rules, constraints, foreign keys, columns
// that are computed. Where one concerns a write, the verb writes by a statement instead, so that the executor runs it.
#pragma once

#include "store/row.hpp"

namespace store {

struct UserObjects {
    // Whether one concerns each kind of write.
    bool on_insert;
    bool on_update;
    bool on_remove;
    bool has_key;          // one that a new job may run into, beside `id` and `job_id`
    ColumnSet referencing; // columns of foreign keys of theirs
    ColumnSet referenced;  // columns that a foreign key of theirs may point at
};

// Whether a trigger of the user's fires on it, apart from ours on `jobs` and those of foreign keys.
enum class Operation { insert, update, remove };
bool trigger_of_theirs(Relation table, Operation operation);

// A CHECK that install() makes, and whether the table has one of the user's: any that is not among ours. One that was
// altered is the user's.
struct Check {
    std::string_view name;
    const char *(*expression)(); // as Postgres prints it
};
// "value = any (array['a', 'b'])", as Postgres prints it.
const char *is_text_in(const char *value, std::span<const std::string_view> texts);
bool has_check_of_theirs(Relation table, std::span<const Check> ours);

// An exclusion constraint, or a unique one that is checked later by a trigger.
bool has_late_index(Relation table);

// An expression or predicate, which Postgres runs where the table is written, as whoever writes.
bool has_computed_index(Relation table);

// Those on `jobs`, which is open.
UserObjects find_user_objects(Relation jobs, const ColumnNumbers &numbers);

} // namespace store
