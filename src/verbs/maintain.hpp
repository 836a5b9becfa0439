// What time does to jobs, piece by piece: for job_maintain() and for the worker.
#pragma once

#include "prelude.hpp"

namespace verbs::maintain {

struct Counts {
    int leases = 0;    // leases that ran out
    int timeouts = 0;  // runs longer than the type allows
    int retried = 0;   // of those, given another try
    int failed = 0;    // or not
    int cancelled = 0; // or cancelled, as was asked for
    int expired = 0;   // never started in time
    int left = 0; // locked by somebody else, or refused by something of the user's: the next round's
    bool more = false;

    Counts &operator+=(const Counts &other)
    {
        leases += other.leases;
        timeouts += other.timeouts;
        retried += other.retried;
        failed += other.failed;
        cancelled += other.cancelled;
        expired += other.expired;
        left += other.left;
        return *this;
    }
};

enum class Task : std::uint8_t { reap, expire };

// One bounded piece of a task, in the transaction of the caller's. `more` of the result: another one waits.
Counts run(Task task, TimestampTz now);

// When there is something to do for the task that is not due now; DT_NOEND for never.
TimestampTz next_due(Task task, TimestampTz now);

} // namespace verbs::maintain
