// Work that may fail without taking the whole call along. Here is the only PG_TRY of the code base, because each of
// them is a trap: a `return` out of it leaves PG_exception_stack pointing at a dead frame, and a local variable of its
// function that changes inside has to be volatile. Work that is a lambda meets neither.
//
// An error is always undone before it is returned: that of in_subtransaction() to the subtransaction's beginning, that
// of in_transaction() whole. Locks, snapshots, relations, SPI, role and settings go with it. What is left, and is the
// caller's to think of, is plain memory: variables that `work` changed keep their values. FATAL is not caught; it ends
// the process by proc_exit().
#pragma once

#include "prelude.hpp"

namespace pg {

// Whether other work would meet the error as well: classes 53, 57 and 58 (a lack of resources, a cancel or shutdown, a
// disk that fails), or a table that is locked (55P03 of lock_table()).
bool is_out_of_order(const ErrorData *error);

// Whether the error may be no fault of the work: those, any other 55P03, and classes 40 and XX (a deadlock, a
// serialization failure, an internal error).
bool is_of_server(const ErrorData *error);

// Whether to go on would make it worse: class 57 (the client asked for the end), 53200 (there is no memory for more),
// 40001 (the snapshot stays too old).
bool ends_the_call(const ErrorData *error);

// Whether it is a cancel of this session: its client's, an operator's, a statement_timeout. User code raises 57014 too,
// by a RAISE or with what another server said, and that is not a cancel of ours. The function that raised it tells:
// only ProcessInterrupts() raises the cancels of a session.
bool is_cancel(const ErrorData *error);

// How long such work may take, in milliseconds, before it is ended with 57014. 0 in sessions: any time. A worker sets
// it at the beginning of each round (jobs_ext.longest_piece / 6), because a user's trigger may not end by itself.
extern int longest_attempt_ms;

// Why the work failed. A null error: it went well.
struct Failure {
    ErrorData *error = nullptr;
    bool took_too_long = false; // its own time was over when it was cancelled

    operator ErrorData *() const { return error; }
};

// Runs `work(argument)` in a subtransaction, for `longest_ms` milliseconds at most (0: any time). An error of which
// `is_raised` says yes is raised after the rollback. Other errors are returned, and so is always the end of the time,
// which is the work's own fault. `work` closes what it opens, because a relation or snapshot does not outlive its
// subtransaction. Calls nest: while the inner one runs, its limit alone is armed; that of the outer one goes on
// counting and is armed again afterwards.
using IsRaised = bool (*)(const ErrorData *);
Failure in_subtransaction(void (*work)(void *), void *argument, IsRaised is_raised, int longest_ms);

template <class Work>
Failure in_subtransaction(Work work, IsRaised is_raised = is_of_server, int longest_ms = longest_attempt_ms)
{
    return in_subtransaction([](void *argument) { (*static_cast<Work *>(argument))(); }, &work, is_raised, longest_ms);
}

// The same in a transaction of its own, in a process that is in none (a worker). Every error is returned, also one of
// the commit. Null: it has committed. The limit ends before the commit.
ErrorData *in_transaction(int longest_ms, void (*work)(void *), void *argument);

template <class Work>
ErrorData *in_transaction(int longest_ms, Work work)
{
    return in_transaction(
        longest_ms, [](void *argument) { (*static_cast<Work *>(argument))(); }, &work);
}

} // namespace pg
