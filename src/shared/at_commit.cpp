#include "shared/at_commit.hpp"

#include <algorithm>

#include "settings.hpp"
#include "shared/databases.hpp"
#include "shared/hints.hpp"
#include "shared/launcher.hpp"
#include "shared/notes.hpp"
#include "shared/own_counts.hpp"
#include "shared/own_rows.hpp"
#include "shared/segment.hpp"
#include "shared/sleepers.hpp"
#include "shared/statistics.hpp"
#include "shared/takers.hpp"

namespace shared::notes {

namespace {

// What one (sub)transaction did to one lane.
struct LaneNote : Linked {
    std::int32_t lane;
    int given;         // jobs that came to stand in it and are due
    int taken;         // jobs that left it
    TimestampTz later; // when the first of the jobs is due that came and are not due yet

    bool is_about_same(const LaneNote &other) const { return lane == other.lane; }
    std::uint32_t hash() const { return murmurhash32(static_cast<std::uint32_t>(lane)); }
};

struct EndNote {
    int level;
    pg_uuid_t job;
};

KeyedNotes<LaneNote> lanes;
Notes<EndNote> ends;
// Without a level: after ROLLBACK TO SAVEPOINT they say too much, which costs a look.
TimestampTz due_first = DT_NOEND;
bool many_ended = false;
bool all_new = false;
bool new_extension = false;
bool new_databases = false;
bool derived_anew = false;
bool mended = false;
// Without a level too.
logic::Parents parents; // of which children have left, or that wait from now on
bool any_parents = false;
bool any_blocked = false;

LaneNote note_at(int level, std::int32_t lane) { return {{level, -1}, lane, 0, 0, DT_NOEND}; }

// The note of this (sub)transaction about a lane.
LaneNote &note_of(std::int32_t lane) { return lanes.of_level(note_at(GetCurrentTransactionNestLevel(), lane)); }

// That the derived tables were changed otherwise than by jobs that changed.
void tell_of_derived()
{
    if (derived_anew) {
        hints::forget();
        statistics::forget_depths();
    }
    if (mended)
        statistics::doubt_depths();
}

// Tells what a committed transaction brought. Raises nothing: the transaction cannot be undone any more. The hints come
// first, because who is woken reads by them.
//
// The first barrier pairs with the one of a session that takes a place (take_place() counts it with a full barrier, and
// looks at the tables after that): either this sees the sleeper, or the sleeper's snapshot sees the rows. Sleepers are
// woken before the worker, because they wait for their jobs and it does not.
void tell_commit()
{
    TimestampTz first = due_first;
    bool any_given = false;
    pg_memory_barrier(); // the rows are visible before the look at the sleepers
    own_rows::tell_commit();
    // At once: who counts the queue sees these rows already. Before the count that the doubt leads to, which would find
    // its place doubtful by what is told of them without one.
    own_counts::tell_commit();
    tell_of_derived();
    pg_memory_barrier(); // so are the hints, which sleepers read without a lock
    for (int i = 0; i < lanes.count(); ++i) {
        const LaneNote &note = lanes[i];
        first = std::min(first, note.later);
        any_given = any_given || note.given > 0;
        if (note.given > 0)
            sleepers::wake_up_to(MyDatabaseId, note.lane, note.given);
    }
    if (first < DT_NOEND)
        databases::tell_due(first);
    if (any_given && settings::notify)
        databases::notify();
    if (any_parents)
        databases::tell_parents(parents, any_blocked);
    if (many_ended)
        sleepers::wake_all_waiters(MyDatabaseId);
    else if (sleepers::is_anybody_waiting())
        for (int i = 0; i < ends.count; ++i)
            sleepers::wake_waiters_for(MyDatabaseId, ends.list[i].job);
    if (all_new) {
        databases::ask_for_a_look();
        sleepers::wake_all_sleepers(MyDatabaseId);
    }
    if (new_extension)
        databases::extension_changed();
    if (new_databases)
        launcher::note_databases_changed();
}

// Wakes sleepers for what was taken at this level or below, which others can claim again. To be called when the abort
// is on record: the rows count as unlocked from then on (RecordTransactionAbort() comes before both callbacks).
void tell_abort(int level)
{
    takers::end();       // before the hint comes down to what was being taken
    pg_memory_barrier(); // likewise, for jobs that are free again
    own_rows::tell_abort(level);
    if (derived_anew)
        hints::forget();
    pg_memory_barrier();
    for (int i = lanes.count() - 1; i >= 0 && lanes[i].level >= level; --i)
        if (lanes[i].taken > 0)
            sleepers::wake_up_to(MyDatabaseId, lanes[i].lane, lanes[i].taken);
}

void forget_notes()
{
    lanes.clear();
    ends.clear();
    own_rows::forget();
    own_counts::forget();
    due_first = DT_NOEND;
    many_ended = all_new = new_extension = new_databases = derived_anew = mended = false;
    if (any_parents)
        parents.clear();
    any_parents = any_blocked = false;
}

bool committed = false; // the transaction has committed, and its notes are not told yet

// The notes go, a place that an error left behind is freed, workers that were kept away may come back.
// `place_level`: free_my_place()'s. A commit leaves the place of a call that commits and goes on.
void end_transaction(int place_level)
{
    committed = false;
    forget_notes();
    sleepers::free_my_place(place_level);
    databases::let_come(0);
}

// At XACT_EVENT_COMMIT the transaction is visible but its invalidations are not sent: telling waits for
// resources_released(), below. An abort has no invalidations for others, and tells at once. PREPARE tells nothing (see
// the header). The events of parallel workers are left alone: they write nothing, and the leader tells.
void tell_at_end(XactEvent event, void *)
{
    switch (event) {
    case XACT_EVENT_COMMIT:
        committed = true;
        break;
    case XACT_EVENT_ABORT:
        tell_abort(0);
        end_transaction(0);
        break;
    case XACT_EVENT_PREPARE:
        end_transaction(0);
        break;
    default:
        break;
    }
}

// The first moment at which other sessions not only see what was committed, but have been sent the news that what they
// know of types and lanes is stale (AtEOXact_Inval() comes between XACT_EVENT_COMMIT and this in CommitTransaction()).
// Told earlier, the sleeper that is woken for the first job of a new type would look, not know its lane, and sleep on.
// Postgres calls this for each resource owner of the transaction in each of three phases; `committed` lets the first
// one through.
void resources_released(ResourceReleasePhase phase, bool, bool is_top_level, void *)
{
    if (!committed || !is_top_level || phase != RESOURCE_RELEASE_AFTER_LOCKS)
        return;
    tell_commit();
    end_transaction(1);
}

void hand_up_lanes(int level)
{
    lanes.hand_up(level, [](LaneNote &note, const LaneNote &other) {
        note.given += other.given;
        note.taken += other.taken;
        note.later = std::min(note.later, other.later);
    });
}

// ABORT_SUB is told at once, because the transaction may stay open for long while others could work on what it gave
// back. RecordTransactionAbort() has run by then, so they can lock it. COMMIT_SUB tells nothing: nothing is visible
// yet.
void subtransaction_event(SubXactEvent event, SubTransactionId, SubTransactionId, void *)
{
    const int level = GetCurrentTransactionNestLevel();
    if (event == SUBXACT_EVENT_ABORT_SUB) {
        tell_abort(level);
        lanes.drop_from(level);
        ends.drop_from(level);
        own_counts::drop_from(level);
        sleepers::free_my_place(level);
        databases::let_come(level);
    } else if (event == SUBXACT_EVENT_COMMIT_SUB) {
        hand_up_lanes(level);
        own_rows::hand_up(level);
        own_counts::hand_up(level);
        databases::keep_away_above(level - 1);
        for (int i = ends.count - 1; i >= 0 && ends.list[i].level == level; --i)
            ends.list[i].level = level - 1;
    }
}

} // namespace

void job_waits(std::int32_t lane, TimestampTz due_at)
{
    if (!is_there())
        return;
    LaneNote &note = note_of(lane);
    // What is due by now wakes sleepers at commit. What is due later is the worker's: it hears of it at commit, also
    // where its time has come by then.
    if (due_at <= settings::now())
        ++note.given;
    else
        note.later = std::min(note.later, due_at);
}

void job_taken(std::int32_t lane)
{
    if (is_there())
        ++note_of(lane).taken;
}

bool took(std::int32_t lane)
{
    return lanes.find_in_bucket(murmurhash32(static_cast<std::uint32_t>(lane)),
                                [&](const LaneNote &note) { return note.lane == lane && note.taken > 0; }) != nullptr;
}

void note_due(TimestampTz instant)
{
    if (is_there())
        due_first = std::min(due_first, instant);
}

void job_ended(const pg_uuid_t *job)
{
    // Each costs a look at the sleepers in job_wait() under the lock of their room. Of more jobs than this, all of
    // those sleepers are woken at once and look.
    constexpr int most = 64;
    if (!is_there() || many_ended)
        return;
    many_ended = ends.count == most;
    if (!many_ended)
        ends.add() = {GetCurrentTransactionNestLevel(), *job};
}

void child_left(const pg_uuid_t *parent)
{
    if (!is_there())
        return;
    parents.add(parent->data);
    any_parents = true;
}

void job_blocked(const pg_uuid_t *job)
{
    child_left(job);
    any_blocked = any_parents;
}

void anything_changed() { all_new = is_there(); }

void derived_built() { derived_anew = is_there(); }

void derived_mended() { mended = is_there(); }

void note_extension_changed() { new_extension = is_there(); }

void databases_changed() { new_databases = is_there(); }

void watch_transactions()
{
    RegisterXactCallback(tell_at_end, nullptr);
    RegisterResourceReleaseCallback(resources_released, nullptr);
    RegisterSubXactCallback(subtransaction_event, nullptr);
}

} // namespace shared::notes
