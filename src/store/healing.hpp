// The net under the hints of where to read (shared/hints.hpp): looks for rows before them, from the beginning of each
// list, and lowers a hint that stands too high. None does, as far as logic/hint.hpp reasons; what is wrong all the
// same, by a defect of ours or by a superuser who writes to a derived table, is mended within two rounds of the worker
// after a hint of the lane rose, or as soon as its slices have come to it; without that once in ten minutes.
//
// Lists whose hint did not rise are left alone but for those ten minutes, so that an idle database costs next to
// nothing. A walk over many dead rows goes on in the next slice, of the next worker if this one ends (its place is in
// shared memory), and lets nothing wait: it locks no row, and a hint that comes down too often costs a walk.
#pragma once

#include "pg/time.hpp"
#include "shared/hints.hpp"

namespace store {

// How far the last slice came.
struct HealedUntil {
    std::int32_t next = 0;                         // of the lanes
    std::optional<shared::hints::Raised> lane = {}; // that is not done yet
    pg::Moment all_at = pg::long_ago;               // when it last began with all lanes
    bool all = false;
};

// Goes on for so many milliseconds, in a transaction that has no snapshot yet. False: it has come to the end, and
// begins anew with the next call.
bool heal_hints(HealedUntil &until, int milliseconds);

} // namespace store
