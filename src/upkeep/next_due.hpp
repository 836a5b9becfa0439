// When maintenance has something to do next.
#pragma once

#include "upkeep/task.hpp"

namespace upkeep {

// When there is something to do next, for each task; DT_NOEND for never, in the past only when a piece could do
// something now. Months have no such time: they are looked after once in a while. Reads a few index tuples, locks no
// table against anybody's writing.
using Dues = std::array<TimestampTz, all_tasks.size()>;
Dues next_due(TimestampTz now);

} // namespace upkeep
