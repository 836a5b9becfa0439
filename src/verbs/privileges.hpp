// What Postgres would ask of a statement that did the same: a direct write asks here, a statement asks by itself.
#pragma once

#include "store/tables.hpp"

namespace verbs {

// 42501 for a caller without the privilege on `jobs`.
void require_insert(const store::Tables &tables);
void require_select(const store::Tables &tables);
void require_update(const store::Tables &tables);
// UPDATE on `cancel_requested_at` is enough.
void require_cancel(const store::Tables &tables);
// SELECT, and every row must be the caller's to see: 42501 under row security. `purpose`: as in "cannot claim".
void require_all_rows(const store::Tables &tables, const char *purpose);
// UPDATE, and every row must be the caller's to see: 42501 under row security.
void require_claim(const store::Tables &tables);

} // namespace verbs
