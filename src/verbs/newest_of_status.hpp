// A page of jobs of a status that few may have, for a caller who sees every job: the newest of those that a derived
// table names, by a look at each. The index by age would be walked in vain where none of the status is among the
// newest.
//
// No statement asks for each of them, which would take four times as long; so it is for callers whom no policy and no
// missing privilege keeps from any row, and it only says which ids to ask for. Read under the active snapshot.
#pragma once

#include <span>

#include "logic/states.hpp"
#include "prelude.hpp"

namespace verbs {

// The ids of the newest `count` jobs of a status that were created before that time (nothing: any), in no order.
// Nothing: no derived table names them, or it names more than `most` jobs. A look at each takes a microsecond.
std::optional<std::span<const pg_uuid_t>> newest_of_status(logic::Status status, std::optional<TimestampTz> before,
                                                           std::int64_t count, std::int64_t most);

} // namespace verbs
