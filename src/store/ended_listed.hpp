// Whether `ended` lists every ended job of the types that have a time of their own. A job gets its row there when it
// ends (derived.hpp); those that ended before their type got such a time are listed by a walk over all jobs
// (upkeep/by_age.hpp), which notes here for which times it was.
//
// The race: a session that has not heard of a type's new time ends a job of it while the walk goes on. Its job is
// listed late, by the walk that looks at each old job.
#pragma once

#include "prelude.hpp"

namespace store {

// Whether it was noted for types::own_times() as they are now. Raises 42P01 and 42804 as open_private() does.
bool is_ended_listed();

// Notes it. A session that notes something else at the same time waits, and the later one stays: the worst that comes
// of it is another walk.
void note_ended_listed(std::uint64_t own_times);

} // namespace store
