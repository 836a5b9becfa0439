// What a C procedure is made of that may end the transaction in which it was called: whether it may, the commit, its
// arguments and its answer, which both outlive the commit.
#pragma once

#include "pg/extension_function.hpp"
#include "pg/types.hpp"
#include "prelude.hpp"

namespace pg {

// Whether the procedure may commit: its CALL stands in no transaction block, in no function, and not between a
// savepoint and its end, such as a block with EXCEPTION of a caller's in PL/pgSQL, nor in a caller's loop over rows
// that cannot be kept over a commit, such as those of SHOW; and nothing was written so far, since what a caller wrote
// is the caller's to commit. All procedures around it know that their transaction may end in it, as at a COMMIT of
// their own. To be asked before anything else is done.
bool may_commit(FunctionCallInfo fcinfo);

// COMMIT, and a new transaction, as PL/pgSQL does it: no snapshot, no lock and no catalog that was looked at is left.
// Cursors of a loop around the call are kept (HoldPinnedPortals). Only where may_commit(), with no table open and no
// snapshot of one's own. The memory context of the caller must outlive the transaction; that in which a procedure is
// called does. Raises what the commit raises, in the new transaction; and 42501 where the role was set for the old
// transaction alone, since all that follows would be done as another one.
void commit_and_begin();

// Asks again for what the CALL asked for: raises 42501 where the role may no longer execute the procedure, 42883 where
// it is gone. Where the extension was dropped and made anew, what counts is the new one, which `signature` names.
void require_execute_still(FunctionCallInfo fcinfo, const Signature &signature);

// Replaces the arguments that are stored elsewhere: out of line in a table, whose row may be gone after the commit, or
// in a variable of a caller's.
void detoast_arguments(FunctionCallInfo fcinfo);

// The answer of a procedure with one INOUT parameter: a row of its one column. `value` must hold no pointer to what is
// stored out of line.
Datum procedure_result(const char *parameter, Oid type, Nullable value);

} // namespace pg
