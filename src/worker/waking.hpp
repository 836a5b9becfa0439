// Wakes sleepers for jobs that became due. Nobody commits at the moment at which a job's time comes, so no session
// wakes anybody for it: the worker does.
#pragma once

#include "prelude.hpp"

namespace worker {

struct Woken {
    int sleepers = 0;                // so many were woken
    bool any_new = false;            // whether a job became due later than `told_until`; for jobs_ext.notify
    TimestampTz next_due = DT_NOEND; // when the next job becomes due, of the lanes that sleepers want
};

// Wakes as many sleepers as jobs became due later than `from` and not later than `now`, in the lanes that they want.
// `told_until`: until when NOTIFY has been sent, or was asked for. In a transaction of the caller's, as the owner of
// `jobs`; takes a snapshot of its own.
//
// The races, of which none loses a wake:
// - A sleeper that arms its place after the lanes were read here looks at the queue itself, with a newer snapshot, and
//   tells the worker of the next due time that it saw (tell_due()).
// - A job that is committed after the snapshot is told by its session, which wakes for it or lowers `planned`.
// - A sleeper that finds its job taken by a session that was quicker goes back to sleep. A wake too many costs a look;
//   a session that gives a job back wakes somebody for it (shared/at_commit.cpp).
Woken wake_sleepers(TimestampTz from, TimestampTz told_until, TimestampTz now);

} // namespace worker
