// What jobs_ext.check() and the worker's audit share.
#pragma once

#include "store/audit.hpp"

namespace upkeep {

// Mends a fault in a subtransaction, so that one that can't be mended does not keep the others; a WARNING says why.
// What would befall the others as well is raised (pg::is_of_server).
store::audit::Mended try_to_mend(const store::audit::Fault &fault);

} // namespace upkeep
