// The lanes of the queue: the number under which it knows a type.
//
// The trigger on `job_types` makes a lane with its type, so that the first job of the type finds it committed. Where it
// is missing all the same, for a type that a restore brought or that registers itself, the type's first job makes it.
//
// The race: two sessions make the lane of one type. Each takes a lock on the name of the type, until the end of its
// transaction, and then looks again. So the second finds the lane of the first, or makes it, if the first was rolled
// back (ROLLBACK TO SAVEPOINT releases the lock too, and a crash releases all). Sessions that make lanes of different
// types do not meet, because the numbers come from a sequence: the greatest number plus one would collide with that of
// a transaction that has not committed. A sequence is never rolled back, so there are gaps.
//
// Lock order: `jobs`, then the lane, then rows of `jobs`. A session has `jobs` open for writing wherever it makes a
// lane, so a rebuild, which has `jobs` to itself, waits for no lane. A job's lane is made before its row is written,
// whatever its status, so a session that has the row and moves the job finds the lane there. What is left to Postgres's
// deadlock detector: a transaction that makes several lanes; that locks rows first and makes a lane with a later
// statement; that makes one with its type and then wants `jobs` to itself; an UPDATE of `job_type` to a type without a
// lane.
#pragma once

#include "store/types.hpp"

namespace store::lanes {

// The lane of the type; makes it if there is none, and waits for another transaction that is making it. No other type
// ever gets the number. Makes no type: any name has a lane. Raises 42P01 and 42804 where the table of lanes or its
// sequence is missing or was altered, and 40P01 in the cases above.
std::int32_t of(std::string_view type);

// Makes the lane of the type ahead, and waits for no session. Leaves it to the type's first job where another
// transaction is making it or keeps others from writing to `jobs`, where the caller may not write to `jobs`, or where
// the queue is not built. Raises as of() does.
void prepare_lane_of(std::string_view type);

// The lane of the type; nothing: it has none yet. Writes nothing.
std::optional<std::int32_t> find_lane_of(std::string_view type);

// The table in which the lanes have their numbers: another one after the extension was dropped and made anew.
Oid table();

// How many lanes there are.
int count_lanes();
// The lane with the next greater number; after the last one the first; the same if there is none. For a walk around all
// of them that goes on where it left off, though lanes come meanwhile.
std::int32_t after(std::int32_t lane);

// The type of a lane; nothing: there is no such lane. Valid until the next call of a function of this file.
std::optional<std::string_view> type_of(std::int32_t lane);

// Makes the lane of every registered type: for a rebuild, so that none has to be made while it writes keys.
void make_lanes();

// Another number after each change of a type, or of a lane, that this process has heard of. The first reads what there
// is to hear before.
std::uint64_t version_of_types_and_lanes();
std::uint64_t known_version();

void watch_lanes();

} // namespace store::lanes
