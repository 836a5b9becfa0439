// Which clients' workers were declared dead last (job_release_worker()), so that their calls that wait, asleep or
// looking by themselves, see that their wait is over.
//
// The race: a call counts the dismissals before its first look, sleeps, and asks after each sleep whether its worker is
// among those since. A session that dismisses a worker writes here first, and wakes the worker's sleepers after it. So
// a call that began before sees it at the latest when it wakes, and one that begins after is a new life of the worker
// and is left alone. Nothing is undone by a ROLLBACK: the client is dead all the same.
//
// A ring of the last ones is enough: a call without a place among the sleepers looks ten times a second, and a call
// with one is woken by its own dismissal and looks at once. One that came so late that a thousand others have
// overwritten its entry would sleep on until its time is over, no worse than without.
#pragma once

#include "prelude.hpp"

namespace shared::dismissals {

// To be called from _PG_init while libraries are preloaded.
void request_dismissals();

// What is kept of a worker's name, and of this database, because the same name is another worker in another database.
// Never 0, which means that a call names no worker. Two names of the same hash only have a wait end early.
std::uint64_t hash_of_worker(std::string_view name);

// Adds a worker. Nothing where nothing is shared.
void add_dismissal(std::uint64_t worker);

// How many dismissals there were so far, of any worker; 0 where nothing is shared. It wraps around, and is compared by
// the difference only.
std::uint32_t count_dismissals();

// Whether the worker (0: none) was dismissed since the count was `count_then`.
bool was_dismissed_since(std::uint64_t worker, std::uint32_t count_then);

} // namespace shared::dismissals
