// Whoever does what nobody asked for: the owner of `jobs`.
#pragma once

#include "pg/as_owner.hpp"
#include "store/tables.hpp"

namespace store {

// Until the end of the scope. It comes before the first look at a table of the user's: Postgres runs functions of
// theirs already where it only opens one (the constants of a partial index or of a partition key). The lock on `jobs`
// keeps it from changing hands meanwhile: what the next owner puts on it must not run as this one.
class AsOwnerOfJobs {
public:
    AsOwnerOfJobs() : owner_(lock_api_table(ApiTable::jobs, AccessShareLock).in_catalogs()) {}

private:
    pg::AsOwner owner_;
};

} // namespace store
