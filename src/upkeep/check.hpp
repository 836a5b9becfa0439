// What jobs_ext.check() and the worker's audit share.
#pragma once

#include "store/audit.hpp"

namespace upkeep {

// Mends a fault of the derived tables, and says what became of it; `busy` also where that failed, so that the next pass
// tries it again. In a subtransaction, because a fault that cannot be mended must not keep the others from it: a
// WARNING says why. Raises what would befall the others as well, such as a cancel or a lack of memory
// (pg::is_of_server).
store::audit::Mended try_to_mend(const store::audit::Fault &fault);

} // namespace upkeep
