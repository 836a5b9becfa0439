// The pause of the whole queue: while the table jobs_ext.pauses has a row, no type's jobs are claimed. Unlike other
// private tables this one is in a dump, because a queue that was stopped for a reason must not start in the restored
// copy.
//
// A process knows it together with the types (types.cpp), as a trait of every type, so whatever asks whether a type is
// paused asks for both. Each function that writes has the others hear of it as of a changed type, and wakes all
// sleepers, which look anew at what they may want. A claim that runs while the pause commits may still take jobs, as if
// it had come before.
#pragma once

#include "pg/types.hpp"
#include "store/open_table.hpp"

namespace store::pauses {

// Whether a row of any pause is committed, or of this transaction. Opens the table and looks.
bool is_there();

// Adds a pause unless there is one, in the name of the current role; a null reason is none given. Removes all of them.
// Say whether they changed anything. Two sessions that do this at once wait for each other. Raise 40001 outside READ
// COMMITTED where another session changed the pauses after the transaction's snapshot.
bool add_pause(TimestampTz now, pg::Nullable reason);
bool remove_pauses();

// Has every process hear at commit that what it knows of the types is stale.
void tell_change();

} // namespace store::pauses
