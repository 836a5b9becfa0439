#include "pg/attempt.hpp"

namespace pg {

namespace {

bool concerns_all(const ErrorData *error)
{
    const int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
    return category == ERRCODE_OPERATOR_INTERVENTION || error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ||
           error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

} // namespace

ErrorData *attempt(void (*work)(void *), void *argument)
{
    MemoryContext const memory = CurrentMemoryContext;
    ResourceOwner const owner = CurrentResourceOwner;
    ErrorData *volatile error = nullptr;

    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(memory);
    PG_TRY();
    {
        work(argument);
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(memory);
        error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(memory);
    CurrentResourceOwner = owner;
    if (error != nullptr && concerns_all(error))
        ReThrowError(error);
    return error;
}

} // namespace pg
