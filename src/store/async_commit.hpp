// A transaction that wrote nothing but claims and heartbeats commits without waiting for the disk, or for a synchronous
// standby: as if it had set synchronous_commit to off.
//
// Why that is safe: a crash within the next moments (three times wal_writer_delay at most) may undo such a commit. Then
// the job waits in the queue again, with its old attempt and no lease. A worker that holds the lost lease gets PT409 at
// its next call, because lease ids are random and no later claim draws the same one. A heartbeat that is undone leaves
// the lease as it was; the job may be reaped early, as after any outage. A claim also cancels a job that has expired,
// and fails one that cannot be started once more: the next claim does so again. A completion is written outside of a
// bracket, so it is as durable as the session's commits are; flushing it flushes all WAL before it, the claim's too.
//
// How a transaction knows that nothing else wrote: XactLastRecEnd of Postgres is the end of the last WAL record that
// this backend has inserted. A call that may be undone notes it at its end (close()) and compares it at its beginning.
// Where the two differ, something else wrote between two such calls; where it differs at commit, something else wrote
// after the last one. Either way the commit waits as usual. All doubts fall to that side:
//   - ROLLBACK TO SAVEPOINT writes a record of its own, which counts as foreign;
//   - so does a page that a SELECT prunes;
//   - a call that raises does not reach close(): what it wrote is undone, yet its WAL counts as foreign;
//   - a call that took the statement path is not closed, because triggers of the user's ran in it;
//   - PREPARE TRANSACTION is always flushed: flush_at_end() lowers nothing for it.
//
// One writer is not seen: another extension whose callback runs after ours at XACT_EVENT_PRE_COMMIT and writes WAL.
#pragma once

#include "prelude.hpp"

namespace store::unflushed {

class Bracket {
public:
    Bracket();
    // What was written since the constructor may be undone by a crash. To be called only if all of it went the direct
    // path (Jobs::only_direct()). No destructor does it, because an error must not.
    void close();
};

void watch_flushes();

} // namespace store::unflushed
