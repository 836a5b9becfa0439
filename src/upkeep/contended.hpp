// Jobs that another session had locked when maintenance came to them: it leaves each alone for a moment, longer each
// time. What this backend remembers, a hint.
#pragma once

#include "pg/time.hpp"
#include "store/types.hpp"

namespace upkeep {

// Somebody holds the job: it is looked at again in a moment. A hint of this backend's.
void note_contended(const pg_uuid_t *job);
void forget_contended();
// For how long it is left alone yet; 0: it may be looked at.
store::Microseconds contended_for(const pg_uuid_t *job);

// How long until one of them is looked at again; nothing: there is none.
std::optional<store::Microseconds> next_contended();

} // namespace upkeep
