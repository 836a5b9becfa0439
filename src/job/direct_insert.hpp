// What a direct INSERT into `jobs` means: the BEFORE trigger's half of it.
#pragma once

#include "store/tables.hpp"

namespace job {

// The tuple that is to be written. What a verb's intent fits is kept, and what a replica or the owner inserts; of
// anybody else what the server owns is overwritten, not obeyed. Makes the lane of the job's type. Raises 23502, 22023,
// 42501, PT409 and PT413 for what a new job can't be.
HeapTuple stamp_insert(const store::Tables &tables, TriggerData *trigger);

// The checks of a verb's arguments, on a row that a client writes; where it is an UPDATE of `before`, of what it gives
// anew: an older value may be over a limit that was lowered since, or an owner's, and no change besides it has to fail
// for that, least of all the ON DELETE SET NULL of a foreign key. Raises 22023 or PT413.
void check_client_values(const store::Row &row, const store::Row *before = nullptr);

// As Postgres says it, which would say so later: the moves read the column before.
[[noreturn]] void refuse_null(store::Column column);

} // namespace job
