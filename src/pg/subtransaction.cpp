#include "pg/subtransaction.hpp"

#include <algorithm>
#include <utility>

#include "pg/lock.hpp"
#include "pg/time.hpp"

namespace pg {

namespace {

struct TimeLimit {
    Moment began = unset;
    int ms = 0; // 0: none
};

// The limit of the innermost work that runs now. Postgres has one STATEMENT_TIMEOUT in a process, so nested work arms
// it anew, and the outer limit is armed again, with what is left of it, when the inner work ends.
TimeLimit limit;

bool is_limit_over(const TimeLimit &of) { return of.ms > 0 && is_over(of.began, of.ms); }

// At least 1 ms, because 0 would be no timeout: a limit that is over already cancels at the next interrupt.
void arm_time_limit()
{
    if (limit.ms > 0)
        enable_timeout_after(STATEMENT_TIMEOUT,
                             static_cast<int>(std::max(1L, limit.ms - milliseconds_since(limit.began))));
}

} // namespace

bool is_out_of_order(const ErrorData *error)
{
    switch (ERRCODE_TO_CATEGORY(error->sqlerrcode)) {
    case ERRCODE_INSUFFICIENT_RESOURCES:
    case ERRCODE_SYSTEM_ERROR:
    case ERRCODE_OPERATOR_INTERVENTION:
        return true;
    default:
        return is_refused_table(error);
    }
}

bool is_of_server(const ErrorData *error)
{
    switch (ERRCODE_TO_CATEGORY(error->sqlerrcode)) {
    case ERRCODE_TRANSACTION_ROLLBACK:
    case ERRCODE_INTERNAL_ERROR:
        return true;
    default:
        return is_out_of_order(error) || error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
    }
}

bool ends_the_call(const ErrorData *error)
{
    return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
           error->sqlerrcode == ERRCODE_OUT_OF_MEMORY || error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

bool is_cancel(const ErrorData *error)
{
    return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->funcname != nullptr &&
           std::strcmp(error->funcname, "ProcessInterrupts") == 0;
}

namespace {

// The error is copied before `undo`, because CopyErrorData() must not run in ErrorContext, and FlushErrorState() and
// the abort free what it points to. `error` is volatile, and nothing else changes between sigsetjmp() and longjmp()
// here.
ErrorData *run_guarded(void (*work)(void *), void *argument, void (*undo)())
{
    MemoryContext const memory = CurrentMemoryContext;
    ErrorData *volatile error = nullptr;

    PG_TRY();
    {
        work(argument);
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(memory);
        error = CopyErrorData();
        FlushErrorState();
        undo();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(memory);
    return error;
}

// A cancel that is pending now was meant for the work that has ended. That may be an operator's too; it is lost, which
// only a worker does: a session has no limit, and never comes here.
void end_time_limit()
{
    disable_timeout(STATEMENT_TIMEOUT, false);
    QueryCancelPending = false;
}

template <class Work>
ErrorData *run_guarded(Work work, void (*undo)())
{
    return run_guarded([](void *argument) { (*static_cast<Work *>(argument))(); }, &work, undo);
}

} // namespace

int longest_attempt_ms = 0;

Failure in_subtransaction(void (*work)(void *), void *argument, IsRaised is_raised, int longest_ms)
{
    MemoryContext const memory = CurrentMemoryContext;
    ResourceOwner const owner = CurrentResourceOwner;
    const TimeLimit own = {moment(), longest_ms};

    // First, because it may raise: the exchange below must not have lost the outer limit then.
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(memory);
    const TimeLimit outer = std::exchange(limit, own);
    // Leave a session's own statement_timeout alone.
    const bool limited = longest_ms > 0 || outer.ms > 0;
    ErrorData *error = run_guarded(
        [&] {
            if (limited)
                end_time_limit();
            arm_time_limit();
            work(argument);
            if (limited)
                end_time_limit();
            ReleaseCurrentSubTransaction();
        },
        RollbackAndReleaseCurrentSubTransaction);
    if (limited)
        end_time_limit();
    const bool took_too_long = error != nullptr && error->sqlerrcode == ERRCODE_QUERY_CANCELED && is_limit_over(own);
    limit = outer;
    arm_time_limit();
    CurrentResourceOwner = owner;
    if (error != nullptr && !took_too_long && is_raised(error))
        ReThrowError(error);
    return {error, took_too_long};
}

ErrorData *in_transaction(int longest_ms, void (*work)(void *), void *argument)
{
    limit = {moment(), longest_ms};
    ErrorData *error = run_guarded(
        [&] {
            SetCurrentStatementStartTimestamp();
            StartTransactionCommand();
            arm_time_limit();
            work(argument);
            end_time_limit();
            CommitTransactionCommand();
        },
        [] {
            // As PostgresMain() does after an error: no interrupt may raise while the transaction is aborted, and a
            // cancel that is pending was for the work that has ended.
            HOLD_INTERRUPTS();
            disable_all_timeouts(false);
            QueryCancelPending = false;
            AbortCurrentTransaction();
            RESUME_INTERRUPTS();
        });
    limit = {};
    return error;
}

} // namespace pg
