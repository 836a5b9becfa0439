// What a session holds beyond its transactions: what user code may leave in a process of ours, and LISTEN.
#pragma once

#include "prelude.hpp"

namespace pg {

// Ends what triggers and other user code may have left in this process. The worker calls it after each piece, because
// nothing of one user's may reach the code of another. To be called between two transactions, and only in a process of
// our own: in a session it would end what the session's user holds.
//
//   What a transaction may leave        Why it does not stay
//   advisory locks of the session       let go here
//   currval, lastval                    forgotten here
//   SET, set_config(…, false)           undone at the end of AsOwner's scope, or by the abort
//   SET ROLE, SESSION AUTHORIZATION     42501 in a security-restricted operation
//   temporary tables, PREPARE, LISTEN,  42501 there as well
//   DISCARD, cursors WITH HOLD
//   transaction-level advisory locks,   Postgres ends them with the transaction
//   cursors, SET CONSTRAINTS, large
//   objects, exported snapshots
//
// A C library or a procedural language may keep things for itself (dblink its connections, PL/Perl %_SHARED): only the
// end of the process undoes these.
void forget_session();

// Whether this session listens (LISTEN). Runs a statement.
bool listens();

} // namespace pg
