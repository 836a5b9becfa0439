// What this transaction did, for the statistics of job types: kept while it runs, added to them when it has committed
// (shared/at_commit.cpp says when). ROLLBACK forgets it, ROLLBACK TO SAVEPOINT what came since, so that what was rolled
// back never counts. So does PREPARE TRANSACTION: what a prepared transaction did is not counted, because nobody knows
// it any more when it is committed; only the depth of the queue is counted anew then.
//
// A note is an item and how often, one for each at a level: a batch of ten thousand jobs leaves as many notes as its
// jobs have types and buckets of their spans, and most jobs cost no memory. While the queue is being counted there is
// one for each row of it that changes as well, up to a million (64 MB), so that whoever counts can tell whether that
// row was counted already (logic/counted_depth.hpp). Rows that move within their part of the queue are no more and no
// fewer: beyond the million, and where nobody counts, all of them leave one note of the number 0.
#pragma once

#include <optional>

#include "logic/job_statistics.hpp"
#include "prelude.hpp"

namespace shared::own_counts {

// Counts something of a lane, numbered in that table. `at`: the place of the row of the queue that came or went, where
// that is wanted (wants_places()). An error only where memory is lacking.
void count(Oid table, std::int32_t lane, logic::Item item, int number,
           const std::optional<logic::QueuePlace> &at = std::nullopt);
// Whether somebody counts the queue, so that places of its rows are to be told.
bool wants_places();

// The table goes, and with it what is counted of its lanes.
void drop_table(Oid table);

// For at_commit.cpp. They raise no error.
void tell_commit();
void drop_from(int level);
void hand_up(int level);
void forget();

} // namespace shared::own_counts
