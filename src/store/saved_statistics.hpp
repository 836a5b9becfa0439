// The private table `statistics`: what was counted of each type, as the worker wrote it down last. The worker of the
// database alone reads and writes it.
#pragma once

#include <span>

#include "store/open_table.hpp"

namespace store::saved_statistics {

// Adds what is written down to the statistics in shared memory, of each type once after a start of the server. A type
// for which there is no room keeps what is written. Frees what is left there of another extension. Nothing of all that
// for that table of lanes, for which it was done. Returns the table for which it has done it; InvalidOid: somebody has
// just dropped the extension.
Oid load(Oid loaded_for);

// A type that was written, and how many changes of it were.
struct Saved {
    Oid table;
    std::int32_t lane;
    std::uint32_t changes;
};
// Writes down what has changed since it was written last; nothing, unless that is still the table of lanes. In the
// transaction of the caller, who says note_saved() when that has committed. If it commits and that is not said, the
// rows are written once more, and nothing counts twice.
std::span<const Saved> save(Oid loaded_for);
// Raises nothing.
void note_saved(std::span<const Saved> saved);

} // namespace store::saved_statistics
