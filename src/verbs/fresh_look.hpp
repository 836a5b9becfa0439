// How a reader of `jobs` or its archive begins.
#pragma once

#include "call/privileges.hpp"

namespace verbs {

// Locks a table before it is looked at, and takes a newer snapshot if it had to wait. An ALTER TABLE that rewrites a
// table leaves it empty under every older snapshot (the rewrite is not MVCC-safe, says the manual), and the statement
// in which we run took its snapshot before it came to wait here. At REPEATABLE READ there is no newer one.
//
// A caller who may read no column is refused (42501) before the lock: else anybody could queue up behind an ALTER and
// keep others waiting.
class FreshLook {
public:
    explicit FreshLook(store::ApiTable which)
    {
        call::require_on_any_column(which, ACL_SELECT);
        const std::optional<store::TableId> table = store::find_table(which);
        if (!table || ConditionalLockRelationOid(table->in_catalogs(), AccessShareLock))
            return;
        (void)store::lock_api_table(which, AccessShareLock); // by name again: another table may have it by now
        PushActiveSnapshot(GetTransactionSnapshot());
        has_waited_ = true;
    }
    ~FreshLook()
    {
        if (has_waited_)
            PopActiveSnapshot();
    }
    FreshLook(const FreshLook &) = delete;
    FreshLook &operator=(const FreshLook &) = delete;

private:
    bool has_waited_ = false;
};

} // namespace verbs
