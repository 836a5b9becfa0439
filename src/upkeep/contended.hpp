// Jobs that another session had locked when upkeep came to them. Upkeep never waits for a row; it leaves such a job for
// a moment, longer each time, because a session may hold a job's row for as long as its transaction lasts.
//
// This is memory of one process, and a hint: no rollback undoes it, and nothing is wrong if it is out of date. A job
// whose holder has committed meanwhile rests for a second more at most. Without this list the worker would
// spin: a job that is held stays due, and would be the first candidate of each piece.
#pragma once

#include "pg/time.hpp"
#include "store/types.hpp"

namespace upkeep {

// Another session holds the job. Rests 50 ms the first time, twice as long each further time, 1 s at most.
void note_contended(const pg_uuid_t *job);
// Empties the list. job_maintain() begins with it: its caller expects a look at each job now.
void forget_contended();
// For how many microseconds upkeep still leaves the job; 0: it may try it.
store::Microseconds contended_for(const pg_uuid_t *job);

// In how many microseconds upkeep tries the next of them; nothing: no job rests. Removes entries that are more than a
// second past their rest.
std::optional<store::Microseconds> next_contended();

} // namespace upkeep
