// A call that waits: job_claim for a job, job_wait for the end of one. In shared memory where the library is preloaded,
// else by looking ten times a second.
#pragma once

#include "pg/function.hpp"
#include "shared/sleepers.hpp"

namespace verbs {

class Waiting {
public:
    // `wait`: how long the caller asks for; null: not at all. 22023 when it is negative or infinite.
    Waiting(pg::Nullable wait, shared::Purpose purpose);

    // Where the caller is to be woken, to be armed before each look; null when it does not sleep in shared memory.
    shared::Place *place() { return place_ && *place_ ? &*place_ : nullptr; }

    // Sleeps until it is worth a look. False: the time is over. No relation may be locked meanwhile.
    bool sleep();

private:
    shared::Purpose purpose_;
    TimestampTz until_;
    std::optional<shared::Place> place_;
};

} // namespace verbs
