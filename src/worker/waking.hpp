// What becomes due, told to those who wait for it.
#pragma once

#include "prelude.hpp"

namespace worker {

struct Woken {
    int sleepers = 0;                // woken
    bool any_new = false;            // whether anything became due since `from`
    TimestampTz next_due = DT_NOEND; // when something will, in the lanes that anybody waits for
};

// Wakes as many sleepers as jobs became due later than `from`, and not later than `now`, in the lanes that they want. In
// a transaction of the caller's.
Woken wake_sleepers(TimestampTz from, TimestampTz now);

} // namespace worker
