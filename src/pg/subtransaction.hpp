// Work that may fail without taking the whole call along: the only PG_TRY of the code base.
#pragma once

#include "prelude.hpp"

namespace pg {

// What would befall any other work as well: a cancel, a shutdown, a lack of resources, a disk that fails, a table that
// is locked.
bool is_out_of_order(const ErrorData *error);

// Perhaps not the fault of what the work was about: besides those a lock that was not to be had in time, a deadlock, an
// internal error.
bool is_of_server(const ErrorData *error);

// Whoever goes on after such an error makes it worse: a cancel, a shutdown, the lack of memory, a snapshot that is too
// old.
bool ends_the_call(const ErrorData *error);

// Whether that is a cancel of this session's own: its client's, an operator's, a statement_timeout. Code of the user's
// raises 57014 too, with a RAISE or with what another server said; that is none. By where Postgres raises it.
bool is_cancel(const ErrorData *error);

// The longest that such work may take, in milliseconds; 0, as in sessions: any time. What takes longer is ended with
// 57014.
extern int longest_attempt_ms;

// Why an attempt failed. No error: it went well.
struct Failure {
    ErrorData *error = nullptr;
    bool took_too_long = false; // longer than it may

    operator ErrorData *() const { return error; }
};

// Runs `work(argument)`, which may take `longest_ms` milliseconds, in a subtransaction. What fails is undone. An error
// that `is_raised` is raised, not returned; but never that the work took too long, which is the work's own fault. What
// `work` opens it must close: nothing of it outlives the subtransaction.
using IsRaised = bool (*)(const ErrorData *);
Failure in_subtransaction(void (*work)(void *), void *argument, IsRaised is_raised, int longest_ms);

template <class Work>
Failure in_subtransaction(Work work, IsRaised is_raised = is_of_server, int longest_ms = longest_attempt_ms)
{
    return in_subtransaction([](void *argument) { (*static_cast<Work *>(argument))(); }, &work, is_raised, longest_ms);
}

// The same in a transaction of its own, for a process that has none; every error is returned. What takes longer than
// `longest_ms` milliseconds is ended, unless that is 0.
ErrorData *in_transaction(int longest_ms, void (*work)(void *), void *argument);

template <class Work>
ErrorData *in_transaction(int longest_ms, Work work)
{
    return in_transaction(
        longest_ms, [](void *argument) { (*static_cast<Work *>(argument))(); }, &work);
}

} // namespace pg
