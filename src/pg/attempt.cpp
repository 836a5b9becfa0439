#include "pg/attempt.hpp"

#include "pg/lock.hpp"

namespace pg {

bool is_out_of_order(const ErrorData *error)
{
    switch (ERRCODE_TO_CATEGORY(error->sqlerrcode)) {
    case ERRCODE_INSUFFICIENT_RESOURCES:
    case ERRCODE_SYSTEM_ERROR:
        return true;
    case ERRCODE_OPERATOR_INTERVENTION:
        return !took_too_long(error);
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

namespace {

// `undo` ends what an error left open.
ErrorData *guard(void (*work)(void *), void *argument, void (*undo)())
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

// Of the last attempt.
TimestampTz attempt_began = 0;
int attempt_limit_ms = 0;

// A cancel that comes now is for what has ended already.
void end_time_limit()
{
    disable_timeout(STATEMENT_TIMEOUT, false);
    QueryCancelPending = false;
}

template <class Work>
ErrorData *guard(Work work, void (*undo)())
{
    return guard([](void *argument) { (*static_cast<Work *>(argument))(); }, &work, undo);
}

} // namespace

int longest_attempt_ms = 0;

bool took_too_long(const ErrorData *error)
{
    return error->sqlerrcode == ERRCODE_QUERY_CANCELED && attempt_limit_ms > 0 &&
           TimestampDifferenceExceeds(attempt_began, GetCurrentTimestamp(), attempt_limit_ms);
}

ErrorData *attempt(void (*work)(void *), void *argument, IsRaised is_raised, int longest_ms)
{
    MemoryContext const memory = CurrentMemoryContext;
    ResourceOwner const owner = CurrentResourceOwner;
    const bool limited = longest_ms > 0;

    attempt_began = GetCurrentTimestamp();
    attempt_limit_ms = longest_ms;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(memory);
    ErrorData *error = guard(
        [&] {
            if (limited)
                enable_timeout_after(STATEMENT_TIMEOUT, longest_ms);
            work(argument);
            if (limited)
                end_time_limit();
            ReleaseCurrentSubTransaction();
        },
        RollbackAndReleaseCurrentSubTransaction);
    if (limited)
        end_time_limit();
    CurrentResourceOwner = owner;
    if (error != nullptr && is_raised(error))
        ReThrowError(error);
    return error;
}

ErrorData *attempt_transaction(int longest_ms, void (*work)(void *), void *argument)
{
    return guard(
        [&] {
            SetCurrentStatementStartTimestamp();
            StartTransactionCommand();
            if (longest_ms > 0)
                enable_timeout_after(STATEMENT_TIMEOUT, longest_ms);
            work(argument);
            end_time_limit();
            CommitTransactionCommand();
        },
        [] {
            // As the server's own loop does it: a cancel that comes now is for what has ended already.
            HOLD_INTERRUPTS();
            disable_all_timeouts(false);
            QueryCancelPending = false;
            AbortCurrentTransaction();
            RESUME_INTERRUPTS();
        });
}

} // namespace pg
