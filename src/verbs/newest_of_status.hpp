// A page of jobs of a status that few may have: the newest of those that a derived table names, by a look at each. The
// index by age would be walked in vain where none of the status is among the newest.
//
// The ids are those of everybody's jobs. Whoever is under row security has each of them asked for by a statement; for
// callers whom no policy and no missing privilege keeps from any row newest_of() takes a quarter of the time, and only
// says which ids to ask for. Read under the active snapshot.
#pragma once

#include <span>

#include "logic/states.hpp"
#include "pg/types.hpp"
#include "prelude.hpp"

namespace verbs {

struct Wanted {
    logic::Status status;
    std::optional<std::string_view> job_type;
    pg::Nullable organisation_id, restaurant_id;
    std::optional<TimestampTz> before; // when they were created
};

// The ids of all jobs that may have the status and the type, by the queue or by what has ended. Nothing: no such table
// names them, or it names more than `most` jobs; or it has more than twice as many entries, of jobs that are gone too.
std::optional<std::span<const pg_uuid_t>> named_jobs(const Wanted &wanted, std::int64_t most);

// The newest `count` of these that are wanted, in no order. A look at each takes a microsecond.
std::span<const pg_uuid_t> newest_of(std::span<const pg_uuid_t> named, const Wanted &wanted, std::int64_t count);

} // namespace verbs
