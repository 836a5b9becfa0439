// The private table `statistics`: what was counted of each type, as the worker wrote it down last. The worker of the
// database alone reads and writes it.
#pragma once

#include <span>

#include "store/open_table.hpp"

namespace store::saved_statistics {

// Adds what is written down to the statistics in shared memory, of each type once after a start of the server. A type
// for which there is no room keeps what is written.
void load();

// A type that was written, and how many changes of it were.
struct Saved {
    Oid table;
    std::int32_t lane;
    std::uint32_t changes;
};
// Writes down what has changed since it was written last. In the transaction of the caller, who says note_saved() when
// that has committed.
std::span<const Saved> save();
// Raises nothing.
void note_saved(std::span<const Saved> saved);

} // namespace store::saved_statistics
