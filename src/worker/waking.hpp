// What becomes due, told to those who wait for it.
#pragma once

#include "prelude.hpp"

namespace worker {

struct Woken {
    int sleepers = 0;                // woken
    bool any_new = false;            // whether anything became due since `told_until`, for those who listen
    TimestampTz next_due = DT_NOEND; // when something will, in the lanes that anybody waits for
};

// Wakes as many sleepers as jobs became due later than `from`, and not later than `now`, in the lanes that they want.
// In a transaction of the caller's. Of what became due until `told_until` those who listen have heard.
Woken wake_sleepers(TimestampTz from, TimestampTz told_until, TimestampTz now);

} // namespace worker
