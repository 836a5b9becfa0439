// Which job each claim is just taking, in shared memory: so that among hundreds of claimers nobody tries what another one
// has in hand, and the hint of where to read (logic/hint.hpp) goes past it. Between the lock on the row of `jobs` and
// the moment at which the queue says that the job is going lies most of a claim's work, and on a busy server most
// processes that wait for a processor stand there.
//
// A mark is set before the job is tried and goes when its row in the queue is moved, which others see from then on, or
// when the claim leaves the job. Who sees a mark raises the hint past the row. So a claim that leaves the job takes its
// mark away and then lowers the hint; by what logic/hint.hpp says of lowering, no raise outlives that: a reader that
// noted its count later sees no mark. Where an error ends it, the end of the (sub)transaction does both
// (at_commit.cpp): the place is noted as removed before the mark is set (own_rows.hpp).
//
// A mark is 64 bits of a hash of the job and the database, in the one place of a table where it may stand. Where that
// is taken by another mark the claim goes without, as before there were any.
#pragma once

#include "prelude.hpp"

namespace shared::takers {

// To be called from _PG_init while libraries are preloaded.
void request_takers();

// Says that this process is taking the job, until end(). False: another one is.
bool begin(const pg_uuid_t *job);
// Raises nothing. Does nothing where nothing is marked.
void end();

bool is_being_taken(const pg_uuid_t *job);

} // namespace shared::takers
