// Ended jobs that `ended` does not list (store::is_found_by_age) are found by their age: ids are sorted by time, so
// what may be old enough to leave stands at the beginning of `jobs` by id. A walk over that part looks at each job of
// it, and rests afterwards, three hundred times as long as it took: jobs that stay there, unfinished or kept for
// longer, cost a third of a percent of a core at most. So a job may leave that much later than it might.
//
// A type that gets a time of its own has jobs that ended before, which `ended` ought to list from now on. Until
// store::is_ended_listed() the walk is over all of `jobs`, and has them listed.
//
// What a walk remembers is memory of one process, and a hint: nothing is lost with it, since the next walk begins at
// the beginning. It locks nothing; the jobs that it proposes are looked at again (Work::act).
#pragma once

#include "upkeep/work.hpp"

namespace upkeep::by_age {

// Add jobs to `found`, those that are to be listed, or those that are old enough to leave, until that is full or the
// piece has looked at enough of them. find_old() comes upon jobs that are to be listed as well.
void find_unlisted(const Search &search, Candidates &found);
void find_old(const Search &search, Candidates &found);

// Whether the candidate is of those: `ended` did not list the job.
bool is_unlisted(const store::Candidate &candidate);

// When they have something to do next, as next_due() says it.
TimestampTz next_listing(TimestampTz now);
TimestampTz next_leaving(TimestampTz now);

// Has the next look begin. job_maintain() calls it: its caller expects a look at each job now.
void begin_anew();

} // namespace upkeep::by_age
