// The net under the hints of where to read (shared/hints.hpp): looks for rows before them, from the beginning of each
// list, and lowers a hint that stands too high. None does, as far as logic/hint.hpp reasons; what is wrong all the
// same, by a defect of ours or by a superuser who writes to a derived table, is mended within two rounds of the worker,
// or as soon as its slices have come to it.
//
// Only lists whose hint was raised since are looked at, so that an idle database costs nothing. A walk over many dead
// rows goes on in the next slice, and lets nothing wait: it locks no row, and a hint that comes down too often costs a
// walk.
#pragma once

#include "shared/hints.hpp"

namespace store {

// How far the last slice came.
struct HealedUntil {
    std::int32_t next = 0;                          // of the lanes
    std::optional<shared::hints::Raised> lane = {}; // that is not done yet
    std::int16_t rank = logic::best_rank;           // of it, and the place in that from which to go on
    logic::Place place = logic::before_all;
};

// Goes on for so many milliseconds, in a transaction that has no snapshot yet. False: it has come to the end, and
// begins anew with the next call.
bool heal_hints(HealedUntil &until, int milliseconds);

} // namespace store
