// What this transaction did, for the statistics of job types: kept while it runs, added to them when it has committed
// (shared/at_commit.cpp says when). ROLLBACK forgets it, ROLLBACK TO SAVEPOINT what came since, so that what was rolled
// back never counts. So does PREPARE TRANSACTION: what a prepared transaction did is not counted, because nobody knows
// it any more when it is committed; only the depth of the queue is counted anew then.
//
// A note is a number, and how often; equal ones that come one after the other are one. So a note costs no memory of its
// own, and a batch of ten thousand jobs some hundred notes.
#pragma once

#include "logic/job_statistics.hpp"
#include "prelude.hpp"

namespace shared::own_counts {

// Counts something of a lane, numbered in that table. An error only where memory is lacking.
void count(Oid table, std::int32_t lane, logic::Item item, int number);

// For at_commit.cpp. They raise no error.
void tell_commit();
void drop_from(int level);
void hand_up(int level);
void forget();

} // namespace shared::own_counts
