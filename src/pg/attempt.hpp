// Work that may fail without taking the whole call along: the only PG_TRY of the code base.
#pragma once

#include "prelude.hpp"

namespace pg {

// Runs `work(argument)` in a subtransaction. Null: it went well. Else it is undone, and this is why. A cancel, a
// shutdown, the lack of memory or a snapshot that is too old is raised, not returned. What `work` opens it must close: nothing of it outlives the
// subtransaction.
ErrorData *attempt(void (*work)(void *), void *argument);

template <class Work>
ErrorData *attempt(Work work)
{
    return attempt([](void *argument) { (*static_cast<Work *>(argument))(); }, &work);
}

// The same in a transaction of its own, for a process that has none; every error is returned. A statement that takes longer
// than `longest_ms` milliseconds is ended, unless that is 0.
ErrorData *attempt_transaction(int longest_ms, void (*work)(void *), void *argument);

template <class Work>
ErrorData *attempt_transaction(int longest_ms, Work work)
{
    return attempt_transaction(
        longest_ms, [](void *argument) { (*static_cast<Work *>(argument))(); }, &work);
}

} // namespace pg
