// What may outlive a transaction in its session.
#pragma once

#include "prelude.hpp"

namespace pg {

// Ends what code of a user's that ran in here may have left in this process. To be called between two transactions, and
// only in a process of our own: in a session it would end what the session's user holds.
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
// What a C library or a procedural language keeps for itself (connections of dblink, %_SHARED of PL/Perl) nobody can
// undo but the end of the process.
void forget_session();

} // namespace pg
