// The lanes of the queue: the number under which it knows a type.
//
// A lane is made with its type, by the trigger on `job_types`, so that the first job of a type finds it committed.
// Where it is missing all the same, as for a type that a restore brought or that registers itself, its first job makes
// it. Who makes one holds nothing that who makes another needs: the numbers come from a sequence, since a greatest
// number plus one would be known to nobody else before the end of the transaction. So there are gaps.
//
// Lock order: `jobs`, then the lane, then rows of `jobs`. `jobs` is open for writing wherever a lane is made, so a
// rebuild, which lets nobody else have it open, waits for no lane. A job's lane is made before its row is written,
// whatever its state, so whoever has the row and moves the job finds it there. What is left to Postgres's deadlock
// detector: a transaction that makes several lanes, or takes rows first and makes a lane with another statement, or
// makes one with its type and then wants `jobs` to itself; an UPDATE of `job_type` to one without.
#pragma once

#include "store/types.hpp"

namespace store::lanes {

// The number under which the queue knows the type, given at the first use and never again to another type. Waits for a
// transaction that is making this very one.
std::int32_t of(std::string_view type);

// Makes the type's lane unless it is there, or the type's first job will: another transaction is making it or keeps
// others from writing to `jobs`, the caller may not write there, or the queue is not built.
void prepare_lane_of(std::string_view type);

// Nothing, if the type never had a job.
std::optional<std::int32_t> find_lane_of(std::string_view type);

// How many there are.
int count_lanes();
// The lane with the next greater number, after the last one the first.
std::int32_t after(std::int32_t lane);

// The type of a lane, or nothing.
std::optional<std::string_view> type_of(std::int32_t lane);

// Gives every registered type its lane.
void make_lanes();

// Another number after each change of a type, or of a lane.
std::uint64_t version_of_types_and_lanes();

void watch_lanes();

} // namespace store::lanes
