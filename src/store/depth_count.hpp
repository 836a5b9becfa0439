// Counts the queue for the types whose depth is not known, or doubtful (logic/counted_depth.hpp says why the count is
// right while others change the queue). A slice at a time: shared memory has how far it came, so that the next slice,
// of the next worker if this one ends, goes on from there, and a queue of any length is counted while nothing else
// waits.
#pragma once

#include <cstdint>

namespace store::depth_count {

enum class Left : std::uint8_t {
    nothing,
    doubtful, // what is to be counted is known as it was before
    unknown,  // of some type nothing is known meanwhile, so job_stats() reads the queue
};

// Goes on for so many milliseconds, in a transaction that has no snapshot yet. By the worker of the database alone.
Left count_slice(int milliseconds);

} // namespace store::depth_count
