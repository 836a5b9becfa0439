// Whoever does what its caller need not be allowed to do: the owner of a table, confined.
//
// What stands on a table is its owner's: triggers, rules, defaults, constraints, expressions of indexes and partition
// keys. It runs as its owner and as nobody else, and so that nobody else's runs as that owner:
//  - The context is security-restricted: nothing in it becomes another role, makes a temporary object or leaves
//    anything that would run later as the session's user. Triggers that are deferred can't fire in it.
//  - The search_path is pg_catalog, pg_temp, and what is set inside is undone at the end.
//  - Where the session holds temporary tables or types of a third role, it is refused. No search_path hides them, on no
//    version of Postgres: a name that the owner's code leaves unqualified would find them, and run what stands on them.
#pragma once

#include "prelude.hpp"

namespace pg {

class AsOwner {
public:
    // `hint_if_denied`: for what is raised inside with 42501. 42501 where the session holds a stranger's temporary
    // objects.
    explicit AsOwner(Oid table, const char *hint_if_denied = nullptr);
    ~AsOwner();
    AsOwner(const AsOwner &) = delete;
    AsOwner &operator=(const AsOwner &) = delete;

    // Until the end of the scope.
    static void set(const char *setting, const char *value);

private:
    static void explain(void *self);

    Oid role_;
    int context_;
    int settings_; // 0: none were changed
    const char *hint_if_denied_;
    ErrorContextCallback in_errors_;
};

} // namespace pg
