#include "shared/at_commit.hpp"

#include <algorithm>

#include "settings.hpp"
#include "shared/databases.hpp"
#include "shared/launcher.hpp"
#include "shared/segment.hpp"
#include "shared/sleepers.hpp"

namespace shared::notes {

namespace {

// What one (sub)transaction did to one lane.
struct LaneNote {
    int level;
    std::int32_t lane;
    int given; // jobs that are due
    int taken;
    TimestampTz later; // the earliest of those that are not due yet
};

struct EndNote {
    int level;
    pg_uuid_t job;
};

// Grows while the transaction runs; in memory that the end of the transaction does not take away.
template <class Note>
struct Notes {
    Note *list = nullptr;
    int count = 0;
    int room = 0;

    Note &add()
    {
        if (count == room) {
            const int wanted = room == 0 ? 16 : room * 2;
            const std::size_t size = sizeof(Note) * static_cast<std::size_t>(wanted);
            list = static_cast<Note *>(list == nullptr ? MemoryContextAllocHuge(TopMemoryContext, size)
                                                       : repalloc_huge(list, size));
            room = wanted;
        }
        return list[count++];
    }

    void clear()
    {
        constexpr int kept = 1024;
        count = 0;
        if (room > kept) {
            pfree(list);
            list = nullptr;
            room = 0;
        }
    }
};

Notes<LaneNote> lanes;
Notes<EndNote> ends;
TimestampTz due_first = DT_NOEND;
bool many_ended = false;
bool all_new = false;
bool new_extension = false;
bool new_databases = false;

LaneNote &note_of(std::int32_t lane)
{
    const int level = GetCurrentTransactionNestLevel();
    // The last ones first: calls on the same lane come one after the other.
    for (int i = lanes.count - 1; i >= 0 && lanes.list[i].level == level; --i)
        if (lanes.list[i].lane == lane)
            return lanes.list[i];
    LaneNote &note = lanes.add();
    note = {level, lane, 0, 0, DT_NOEND};
    return note;
}

void tell_commit()
{
    TimestampTz first = due_first;
    bool any_given = false;
    pg_memory_barrier(); // what was made visible comes before the look at who sleeps
    for (int i = 0; i < lanes.count; ++i) {
        const LaneNote &note = lanes.list[i];
        first = std::min(first, note.later);
        any_given = any_given || note.given > 0;
        if (note.given > 0)
            sleepers::wake_up_to(MyDatabaseId, note.lane, note.given);
    }
    if (first < DT_NOEND)
        databases::tell_due(first);
    if (any_given && settings::notify)
        databases::notify();
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

// What was taken at this level or below is back.
void tell_abort(int level)
{
    for (int i = 0; i < lanes.count; ++i)
        if (lanes.list[i].level >= level && lanes.list[i].taken > 0)
            sleepers::wake_up_to(MyDatabaseId, lanes.list[i].lane, lanes.list[i].taken);
}

void forget_notes()
{
    lanes.clear();
    ends.clear();
    due_first = DT_NOEND;
    many_ended = all_new = new_extension = new_databases = false;
}

bool committed = false; // and not told yet

void end_transaction()
{
    committed = false;
    forget_notes();
    sleepers::free_my_place();
    databases::let_come(0);
}

void tell_at_end(XactEvent event, void *)
{
    switch (event) {
    case XACT_EVENT_COMMIT:
        committed = true;
        break;
    case XACT_EVENT_ABORT:
        tell_abort(0);
        end_transaction();
        break;
    case XACT_EVENT_PREPARE:
        end_transaction();
        break;
    default:
        break;
    }
}

// The first moment at which others not only see what was committed, but have been told that what they know of types and
// lanes is stale: between the two, who is woken would find a lane that it does not know.
void resources_released(ResourceReleasePhase phase, bool, bool is_top_level, void *)
{
    if (!committed || !is_top_level || phase != RESOURCE_RELEASE_AFTER_LOCKS)
        return;
    tell_commit();
    end_transaction();
}

template <class Note>
void drop_from(Notes<Note> &notes, int level)
{
    notes.count = static_cast<int>(
        std::remove_if(notes.list, notes.list + notes.count, [&](const Note &note) { return note.level >= level; }) -
        notes.list);
}

// A note of the parent's about the same lane takes them up, so that a thousand savepoints leave one note.
void hand_up_lanes(int level)
{
    int kept = lanes.count;
    while (kept > 0 && lanes.list[kept - 1].level == level)
        --kept;
    const int first = kept;
    for (int i = first; i < lanes.count; ++i) {
        LaneNote note = lanes.list[i];
        note.level = level - 1;
        LaneNote *same = std::find_if(lanes.list, lanes.list + first, [&](const LaneNote &other) {
            return other.level == note.level && other.lane == note.lane;
        });
        if (same == lanes.list + first) {
            lanes.list[kept++] = note;
            continue;
        }
        same->given += note.given;
        same->taken += note.taken;
        same->later = std::min(same->later, note.later);
    }
    lanes.count = kept;
}

void subtransaction_event(SubXactEvent event, SubTransactionId, SubTransactionId, void *)
{
    const int level = GetCurrentTransactionNestLevel();
    if (event == SUBXACT_EVENT_ABORT_SUB) {
        tell_abort(level);
        drop_from(lanes, level);
        drop_from(ends, level);
        sleepers::free_my_place(level);
        databases::let_come(level);
    } else if (event == SUBXACT_EVENT_COMMIT_SUB) {
        hand_up_lanes(level);
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
    LaneNote *end = lanes.list + lanes.count;
    return std::find_if(lanes.list, end, [&](const LaneNote &note) { return note.lane == lane && note.taken > 0; }) !=
           end;
}

void note_due(TimestampTz instant)
{
    if (is_there())
        due_first = std::min(due_first, instant);
}

void job_ended(const pg_uuid_t *job)
{
    constexpr int most = 64; // of more, everybody who waits for an end looks for himself
    if (!is_there() || many_ended)
        return;
    many_ended = ends.count == most;
    if (!many_ended)
        ends.add() = {GetCurrentTransactionNestLevel(), *job};
}

void anything_changed() { all_new = is_there(); }

void note_extension_changed() { new_extension = is_there(); }

void databases_changed() { new_databases = is_there(); }

void watch_transactions()
{
    RegisterXactCallback(tell_at_end, nullptr);
    RegisterResourceReleaseCallback(resources_released, nullptr);
    RegisterSubXactCallback(subtransaction_event, nullptr);
}

} // namespace shared::notes
