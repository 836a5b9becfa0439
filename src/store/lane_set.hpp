// The lanes from which a claim may take jobs, as each process remembers them: a worker asks for the same types in call
// after call, and to look up a thousand names anew would cost more than the claim. What is remembered holds as long as
// neither types nor lanes change (lanes::known_version()).
#pragma once

#include "pg/types.hpp"
#include "shared/hints.hpp"

namespace store {

struct LaneSet {
    // In the order of their numbers, each once.
    std::span<shared::hints::LaneSpot> lanes;
    bool is_vague = false; // a type has no lane yet: its first job makes it

    bool has(std::int32_t lane) const;
};

// Those of the types in `names`, a text[], that have the category and are not paused; null: of all types, whatever their
// category is. A job's own category does not count: each lane is one type, so that a category chooses among lanes, and
// no row is read for nothing. Types without a lane never had a job. Valid until the next call, or until code of the
// user's runs. Raises what reading types and lanes does.
LaneSet lanes_for(pg::Nullable names, pg::Nullable category);

// Whether lanes_for() knows a list of types, so that its names were looked at.
bool is_known(Datum names);

} // namespace store
