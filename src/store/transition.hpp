// What follows from a change of a job: the one way by which all that is told of jobs elsewhere stays in step with
// `jobs`.
//
// Whoever has written a change calls follow(): Jobs for a verb that writes directly, our AFTER trigger
// (job/direct_dml.cpp) for every statement, be it a verb's or a client's. The derived tables come first; then each of
// the followers, in their order. A new one is a file, and its name in the list below.
#pragma once

#include "store/derived.hpp"

namespace store {

struct Transition {
    const Row *before; // null: the job is new
    const Row *after;  // null: it is gone
    Keys was, is;      // what the derived tables say of either
    std::optional<EndedAttempt> ended = {};
};

using Follower = void(const Transition &);
Follower announce;      // announce.cpp: what others hear at commit
Follower keep_attempts; // attempts.cpp: may run code of the user's, hence the last
inline constexpr Follower *followers[] = {announce, keep_attempts};

// The row in `jobs` was `before` and is `after`, which ended that attempt. `queue_row`: where the job's row of the
// queue is, if that is known from a scan under the active snapshot.
void follow(Derived &derived, const Row *before, const Row *after, const std::optional<EndedAttempt> &ended = {},
            ItemPointer queue_row = nullptr);

// A job whose id was not there before: its keys are inserted without a look.
void follow_new(Derived &derived, const Row &row);

// No change of the job, but of what the derived tables know: a key of it that is missing comes back, or all of them
// where the tables are built anew, and who waits for the job hears of it.
void restore_key(Derived &derived, const Row &row, DerivedTable table);
void add_keys(Derived &derived, const Row &row);

} // namespace store
