// A call that waits: job_claim for a job, job_wait for the end of one. The verb looks, and sleeps in between:
//
//      call::Waiting waiting(wait, purpose);
//      do {
//          arm waiting.place(), if there is one; take a new snapshot; look
//      } while (nothing was found && waiting.sleep());
//
// It sleeps on a place in shared memory where the library is preloaded and a place is left; else it looks again and
// again, ten times a second. What ends a sleep, and how:
//
//   a transaction that brings what is wanted   wakes the place; the verb looks again
//   the worker, when a job becomes due         the same. Where no worker serves the database the session looks once
//                                              a second by itself
//   job_release_worker() of this worker        wakes the place; sleep() returns false. A session without a place sees
//                                              it at its next look
//   the wait is over, or a timeout is near     sleep() returns false, and the call returns no row
//   a cancel, an error of the timeout          raised from the sleep; the abort of the (sub)transaction frees the place
//   the client closed its connection           FATAL 08006, before the verb takes a job for nobody
//
// No wake is lost, because the place is armed before the look: see shared/sleepers.hpp.
//
// A session that sleeps must not be in the way of others, nor sleep for what it cannot see. So it does not wait where
// its transaction has written (others may need its row locks, even those who would bring what it waits for), or is not
// READ COMMITTED (each look would show the same). All the while it keeps the snapshot of its statement, which nothing
// can take from it.
//
// A call that may commit (job_await) ends the transaction before each sleep, sleeps in one that is new, has no snapshot
// and holds no lock but the one on its own number, and looks in a third one. So it may sleep for as long as it likes,
// at any isolation level, and after a look that wrote. But a session that has said LISTEN reads what it is told between
// two commands alone, and the server keeps its notifications until all have read them: it sleeps no longer than
// jobs_ext.max_wait, and then the end of the call lets it read: of a call by the client, since one that a DO or a
// procedure repeats leaves it no moment between two commands. No wake is lost at the commits: the place outlives
// them, armed. Nothing is looked up between commit and sleep, since a look at a catalog takes a snapshot, which holds
// back vacuum.
#pragma once

#include "pg/function.hpp"
#include "pg/time.hpp"
#include "shared/dismissals.hpp"
#include "shared/sleepers.hpp"

namespace call {

class Waiting {
public:
    // Why a call that was asked to wait does not. Its client probably calls in a loop, which would then spin, so a
    // NOTICE says why: once in a session for each reason, since it would fill the log otherwise.
    enum class Reason : std::uint8_t {
        wrote,
        isolation,
        timeout,
        max_wait,
        max_wait_authenticated,
        look_wrote,
        listens
    };

    // `wait`: microseconds that the caller asks for; null, or less than a millisecond: the call does not wait. At most
    // jobs_ext.max_wait, for callers under row security jobs_ext.max_wait_authenticated, and half a second less than
    // the timeouts in force. `worker`: the name under which the call
    // claims, if any; job_release_worker() of that name ends the wait. To be made before the first look. Where waiting
    // would be wrong it raises nothing: the verb looks once, and sleep() says why it does not.
    //
    // `commits`: the call may commit (pg::may_commit()), and does so before each sleep. Then statement_timeout alone
    // bounds the wait, less that half a second; and jobs_ext.max_wait in a session that listens.
    Waiting(std::optional<std::int64_t> wait, shared::Purpose purpose, bool under_row_security,
            pg::Nullable worker = {}, bool commits = false);

    // Where the session is to be woken, to be armed before each look; null while it has no place: it does not wait, or
    // looks again and again. May change with each sleep(), which takes a place that has become free.
    shared::Place *place() { return place_ && *place_ ? &*place_ : nullptr; }

    // Sleeps until it is worth a look; to be called after a look that found nothing. Returns false, and the call is to
    // return without a row, where the time is over, the worker was released, or waiting would be wrong; the last is
    // counted, and told by a NOTICE. The caller has closed all tables, and holds no lock on one. Raises what interrupts
    // the sleep (57014 for a cancel); FATAL 08006 when the client is gone; 55000 where the extension was dropped or
    // brought to another version meanwhile. May commit, and what commit_and_begin() says
    // of the caller holds.
    bool sleep();

    // Whether the look that found nothing has to be repeated before the call sleeps, without arming the place anew: at
    // REPEATABLE READ and above its snapshot is as old as the transaction, and older than the arming. Then it commits.
    bool look_was_too_old();

private:
    bool is_dismissed() const { return shared::dismissals::was_dismissed_since(worker_, dismissals_); }
    void poll(long milliseconds, std::uint32_t wait_event);
    void take_place();
    void bound_listener();

    shared::Purpose purpose_;
    std::uint64_t worker_; // shared::dismissals::hash_of_worker(), or 0
    bool commits_;
    std::uint32_t dismissals_; // shared::dismissals::count_dismissals() before the call
    pg::Moment began_, until_;
    bool is_bounded_ = false; // `until_` was brought forward, since the session listens
    std::optional<Reason> refused_;
    std::optional<shared::Place> place_;
};

} // namespace call
