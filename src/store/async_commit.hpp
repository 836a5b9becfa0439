// A transaction whose every write came from claims and heartbeats on the direct path need not wait for the disk: if a
// crash undoes it, the job is simply ready again, and the lost lease's id can never match.
//
// Another extension that writes WAL in a callback of its own after ours, at the end of the transaction, is not seen.
//
// Each such call is bracketed by the end of the backend's last WAL record: when something else wrote between two
// brackets, or after the last, the commit is an ordinary one.
#pragma once

#include "prelude.hpp"

namespace store::unflushed {

class Bracket {
public:
    Bracket();
    // Counts only when reached: an error undoes what the call wrote, but leaves its WAL, which is then foreign.
    void close();
};

void watch_flushes();

} // namespace store::unflushed
