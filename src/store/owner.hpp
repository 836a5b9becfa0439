// Maintenance runs as the owner of `jobs`, in a security-restricted context (pg/as_owner.hpp).
#pragma once

#include "pg/as_owner.hpp"
#include "store/tables.hpp"

namespace store {

// Makes the process the owner of `jobs` until the end of the scope. Raises 42P01 where there is no `jobs`, 55P03 where
// another session has it locked and this process does not wait, 42501 where the session holds temporary objects of a
// third role.
//
// The worker and job_maintain() make one before the first look at a table of the user's, because Postgres runs the
// user's functions already where it opens a table: it folds the constants of a partial index's predicate and of a
// partition key.
//
// The race: the owner gives `jobs` to another role while maintenance runs, and that role puts a trigger on it, which
// would run with the rights of the former owner. ACCESS SHARE on `jobs`, kept until the end of the transaction, makes
// ALTER TABLE … OWNER TO wait, which takes ACCESS EXCLUSIVE.
class AsOwnerOfJobs {
public:
    AsOwnerOfJobs() : owner_(lock_api_table(ApiTable::jobs, AccessShareLock).in_catalogs()) {}

private:
    pg::AsOwner owner_;
};

} // namespace store
