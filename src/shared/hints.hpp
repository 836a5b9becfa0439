// Where to begin to read each lane and rank of a derived table, in shared memory, so that a claim does not walk over
// the jobs that were claimed before it. logic/hint.hpp says what a hint is, who lowers and who raises it, and why no
// job is lost between them; here is where it lies and under which lock.
//
// The hints of a lane share a record, which has a spinlock of its own: it is held for some dozens of instructions, at
// each claim and at each commit that brought a job. Records are found by a hash table under a lock of the area's, and
// each process remembers where those are that it used last, and compares when it comes back. Who looks at thousands of
// lanes reads what is known of each at a glance, without a lock (hint_records.hpp).
//
// There are jobs_ext.max_hinted_lanes records. A lane that has none is read from its beginning, as without shared
// memory. Where all are taken, a lane gets the record of one that nobody has read for a while: what was known of that
// is forgotten, and begins anew (logic::HintKeeping::begin). The look that makes a record raises nothing in it, since
// its snapshot is older.
#pragma once

#include "logic/lane_head.hpp"
#include "prelude.hpp"

namespace shared::hints {

// To be called from _PG_init while libraries are preloaded.
void request_hints();

// One sorted list: a lane and rank of a table of this database.
struct List {
    Oid table;
    std::int32_t lane;
    std::int16_t rank;

    friend bool operator==(const List &, const List &) = default;
};

// The hints of one lane, best rank first.
using Places = std::array<logic::Place, logic::rank_count>;

// How many lowerings there were. To be noted before the snapshot is taken, for raise(). 0 where nothing is shared: then
// nothing is raised.
logic::LoweringCount count_lowerings();

// The hints of the lane. False: it has no record, so nothing is known of it.
bool read(Oid table, std::int32_t lane, Places &places);
// Gives the lane a record that knows nothing. It may evict another one. False: there is no room.
bool make_room(Oid table, std::int32_t lane);

// logic::Hint::raise() and lower(). Both do nothing where the lane has no record. They raise no error.
void raise(const List &list, const logic::Place &to, logic::LoweringCount since);
void lower(const List &list, const logic::Place &to);
// The same for several ranks of a lane, by a reader that saw nothing in those from `from` on before that of `first`,
// and in that nothing before `to`. no_rank: nothing in any.
constexpr std::int16_t no_rank = logic::worst_rank + 1;
void raise_to_first(std::int16_t from, const List &first, const logic::Place &to, logic::LoweringCount since);

// A lane at which somebody looks over and over, and where its record was then.
struct LaneSpot {
    std::int32_t lane;
    std::int32_t record = -1;
    std::uint32_t owner = 0;
};

// What is known at a glance of the lane, of a table that has these ranks only: it holds at `now`, since it is brought
// up to date where need be. Nothing: it has no record.
std::optional<logic::LaneHead> glance(Oid table, LaneSpot &lane, logic::Instant now, logic::Ranks ranks);
// The same, and brings it up to date anyway.
std::optional<logic::LaneHead> renew(Oid table, LaneSpot &lane, logic::Instant now, logic::Ranks ranks, Places &places);

// A lane that may have a job that is due, none of which stands before a place.
struct DueLane {
    std::int32_t lane;
    std::int32_t scan = -1; // for the caller: which of its scans reads the lane; none yet
    logic::PackedPlace first;
};
// Those of the lanes of the queue, in their order, that may have jobs that are due at `now`; `due` has room for all.
// Lanes without a record may, and get one if there is room. Returns how many, and when the next job of the others is
// due, or earlier.
struct FoundDue {
    std::size_t count;
    logic::Instant next;
};
FoundDue find_due(Oid table, std::span<LaneSpot> lanes, logic::Instant now, DueLane *due);

// A lane of which a hint rose, with the table in which it is, for healing (store/healing.hpp).
struct Raised {
    Oid table;
    std::int32_t lane;
    Places places;
    // Where to go on looking for rows before the hints.
    std::int16_t rank;
    logic::Place place;
};
// The next such lane of this database from `number` on, which goes on to the one behind it; nothing: that was the last.
// It counts as such until it is healed, whatever becomes of the process that heals it. `all`: also those whose hints
// did not rise since.
std::optional<Raised> next_raised(std::int32_t &number, bool all);
// Looked as far as rank and place, for the process that goes on; or to the end.
void keep_healing(const Raised &raised);
void was_healed(const Raised &raised);

// Forgets all hints of this database: for what brings or removes rows without telling lower() of each. To be called
// when the rows are visible. Raises no error.
void forget();

} // namespace shared::hints
