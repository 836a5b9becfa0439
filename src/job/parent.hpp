// What may become a job's parent by a direct UPDATE.
#pragma once

#include "store/tables.hpp"

namespace job {

// Raises 42501, the same for a parent that is not there, one that the caller may not see and one of another
// organisation: nobody is to learn of another tenant's job. Raises PT409 for the job itself and for one that descends
// from it. No parent is always allowed.
//
// The race: a session makes A the parent of B, another one B the parent of A, and neither sees what the other has not
// committed. So whoever gives a job another parent first takes a lock of its organisation's, until the end of the
// transaction, and then looks with a snapshot of its own. Parents are of the same organisation, so the lock is enough,
// and no tenant waits for another. What the owner of `jobs` writes is not looked at, and may be a cycle: so whoever
// follows parents does so for a limited way.
void check_parent(const store::Tables &tables, Relation jobs, const store::Row &row);

} // namespace job
