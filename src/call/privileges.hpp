// What Postgres would ask of a statement that did the same: a direct write asks here, a statement asks by itself.
//
// By the catalogs alone, so before the table is locked: who may do nothing with it neither waits for it nor keeps
// others from altering it. Jobs::open() asks again under the lock.
#pragma once

#include "store/tables.hpp"

namespace call {

// 42501 for a caller without the privilege on `jobs`.
void require_insert(store::TableId jobs);
void require_select(store::TableId jobs);
void require_update(store::TableId jobs);
// UPDATE on `cancel_requested_at` is enough.
void require_cancel(store::TableId jobs);
// SELECT, and every row must be the caller's to see: 42501 under row security. `purpose`: as in "cannot claim".
void require_all_rows(store::TableId jobs, const char *purpose);
// UPDATE, and every row must be the caller's to see: 42501 under row security.
void require_claim(store::TableId jobs);

// Before a statement of the caller's, which asks for more: 42501 where the caller has the privilege on no column at
// all.
void require_on_any_column(store::ApiTable table, AclMode mode);
void require_any_insert(store::TableId jobs);

} // namespace call
