// Work that the caller need not be allowed to do runs as the owner of the table that it is about, confined.
//
// The owner of a table decides what stands on it: triggers, rules, defaults, constraints, expressions of indexes and
// partition keys. That code runs as the owner and as no other role; and no other role's code may run as the owner:
//  - The context is security-restricted, as Postgres has it for REINDEX, ANALYZE and materialized views: code in it
//    cannot become another role, make a temporary object, or leave anything that would run later as the session's user.
//    Deferred triggers cannot fire in it (42501).
//  - The search_path is pg_catalog, pg_temp, and what is set inside is undone at the end.
//  - A session that holds temporary tables or types of a third role is refused. No search_path hides them, on no
//    version of Postgres: a name that the owner's code leaves unqualified would find them, and run what stands on them.
//
// ALTER TABLE … OWNER and DROP wait, because the scope keeps a lock on the table until the transaction ends. An error
// skips the destructor; the abort of the (sub)transaction then restores role, context and settings.
#pragma once

#include "prelude.hpp"

namespace pg {

class AsOwner {
public:
    // `hint_if_denied` is added to each 42501 that is raised inside; null: none. Raises 42501 if the session holds
    // temporary objects of a third role, 42P01 if the table is gone, 55P03 if it is locked in a process that waits for
    // no table.
    //
    // `code`: whether the owner's code may run in here. Where the caller knows that none can, it says so, and temporary
    // objects do not matter: what it runs itself names the schema of everything.
    enum class Code : bool { none, of_owner };
    explicit AsOwner(Oid table, const char *hint_if_denied = nullptr, Code code = Code::of_owner);
    ~AsOwner();
    AsOwner(const AsOwner &) = delete;
    AsOwner &operator=(const AsOwner &) = delete;

    // Sets a setting until the end of the scope; of the outer one, where scopes for one owner nest.
    static void become(const char *setting, const char *value);

private:
    static void explain(void *self);

    Oid role_;
    int context_;
    int settings_; // 0: none were changed
    const char *hint_if_denied_;
    ErrorContextCallback in_errors_;
};

} // namespace pg
