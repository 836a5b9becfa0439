// The privileges that Postgres would ask of a statement that did the same. A direct write goes past the executor's
// ExecCheckRTPerms() (ExecCheckPermissions() from 16 on), so it asks here; a statement is asked by the executor.
//
// Asked by the catalogs alone, before the table is locked: a caller without privileges must neither wait for the table
// nor, in the queue for its lock, keep others waiting. A GRANT, a REVOKE or a change of owner may commit in between, so
// Jobs::open() asks again under the lock. From then on a REVOKE does not stop a direct write,
// as it does not stop a statement that runs.
#pragma once

#include "store/tables.hpp"

namespace call {

// Each raises 42501 for a caller without these privileges on `jobs`.
void require_insert(store::TableId jobs);
void require_select(store::TableId jobs);
void require_update(store::TableId jobs); // and SELECT, since the verbs find the row and show it
// SELECT, and UPDATE on the table or on `cancel_requested_at` alone, so that a role may cancel and nothing more.
void require_cancel(store::TableId jobs);
// The same with `finished_at`, for a role that may also bring back what ended.
void require_retry(store::TableId jobs);
// The same with `current_step`, for a role that may also set the steps of a job that waits and decide on one.
void require_steps(store::TableId jobs);
// SELECT, and every row must be the caller's to see: raises 42501 under row security too. `purpose`: as in "cannot
// claim".
void require_all_rows(store::TableId jobs, const char *purpose);
// UPDATE and SELECT on every row. A claim reads the queue, which no policy covers: under row security it would show
// jobs of other tenants by its answers and by the order in which it takes them.
void require_claim(store::TableId jobs);

// Raises 42501 for a caller who has the privilege on no column at all. Before a statement of the caller's, which asks
// for the columns that it names: here it is only to be refused before a lock is waited for. A table that is missing is
// for the caller to find.
void require_on_any_column(store::ApiTable table, AclMode mode);
void require_any_insert(store::TableId jobs);

} // namespace call
