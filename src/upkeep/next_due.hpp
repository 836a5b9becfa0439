// When each task has something to do next: the worker sleeps until then.
#pragma once

#include "upkeep/task.hpp"

namespace upkeep {

// For each task the time, by the queue's clock, at which a piece has something to do; DT_NOEND: never. A time in the
// past means that a piece can do something now: jobs that are set aside or contended count from the end of their rest,
// because the worker would spin on a time that is over and a job that it skips.
//
// Runs beside every writer: it reads a few index tuples under one snapshot and takes ACCESS SHARE locks. What a session
// commits afterwards is not in the answer; the session itself tells the worker of it (logic/agenda.hpp). The caller has
// become the owner of `jobs`. Months and erasures have no due time of their own: the worker does them once in an
// interval.
using Dues = std::array<TimestampTz, all_tasks.size()>;
Dues next_due(TimestampTz now);

} // namespace upkeep
