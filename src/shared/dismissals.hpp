// Which workers were declared dead last: so their calls that wait, asleep or looking by themselves, see that their wait
// is over.
//
// A ring: who has no place among the sleepers looks ten times a second, who has one is woken by its own dismissal and
// looks at once; so a dismissal that concerns a call is among the last ones when it looks.
#pragma once

#include "prelude.hpp"

namespace shared::dismissals {

// To be called from _PG_init while libraries are preloaded.
void request_dismissals();

// What is kept of a worker's name, and of this database: the same name is another worker in another one. Never 0, which
// means none. Two names of the same hash only have a wait end early.
std::uint64_t hash_of_worker(std::string_view name);

void add_dismissal(std::uint64_t worker);

// How many there were so far, whoever they are; 0 where nothing is shared.
std::uint32_t count_dismissals();

// Whether the worker is among those since then.
bool was_dismissed_since(std::uint64_t worker, std::uint32_t count_then);

} // namespace shared::dismissals
