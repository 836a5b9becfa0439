#include "shared/own_counts.hpp"

#include <algorithm>
#include <utility>

#include "shared/databases.hpp"
#include "shared/notes.hpp"
#include "shared/statistics.hpp"

namespace shared::own_counts {

namespace {

struct Note : Linked {
    Oid table;
    std::int32_t lane; // no_lane: the table goes
    logic::Item item;
    int number;
    std::optional<logic::QueuePlace> at;

    bool is_about_same(const Note &other) const
    {
        return lane == other.lane && item == other.item && table == other.table && at == other.at;
    }
    std::uint32_t hash() const
    {
        const std::uint32_t hash = hash_combine(static_cast<std::uint32_t>(lane), item.number());
        return at ? hash_combine(hash, hash_of(*at)) : hash;
    }
    bool is_of_type(const Note &other) const { return lane == other.lane && table == other.table; }

private:
    // Of all of it: a row that moves often leaves a note for each place.
    static std::uint32_t hash_of(const logic::QueuePlace &at)
    {
        const auto due_at = static_cast<std::uint64_t>(at.place.due_at);
        const std::uint32_t id = hash_bytes(at.place.id.data(), static_cast<int>(at.place.id.size()));
        const std::uint32_t time =
            hash_combine(static_cast<std::uint32_t>(due_at >> 32), murmurhash32(static_cast<std::uint32_t>(due_at)));
        return hash_combine(hash_combine(id, time), static_cast<std::uint32_t>(at.rank));
    }
};

constexpr std::int32_t no_lane = 0; // of no type
constexpr int most_places = 1'000'000;

KeyedNotes<Note> notes;

} // namespace

void count(Oid table, std::int32_t lane, logic::Item item, int number, const std::optional<logic::QueuePlace> &at)
{
    notes.of_level({{GetCurrentTransactionNestLevel(), -1}, table, lane, item, 0, at}).number += number;
}

bool wants_places() { return notes.count() < most_places && databases::is_queue_counted(); }

void drop_table(Oid table) { count(table, no_lane, logic::Item::waiting(), 1); }

namespace {

constexpr std::ptrdiff_t notes_in_turn = 128;

// Of one type. Many are told in several turns, because others spin while the lock is held.
void tell(const Note *begin, const Note *end)
{
    const std::int64_t now = pg::moment().microseconds;
    for (const Note *turn_end; begin < end; begin = turn_end) {
        turn_end = begin + std::min(end - begin, notes_in_turn);
        statistics::with_lane(begin->table, begin->lane, [&](statistics::Statistics &all) {
            for (const Note *note = begin; note < turn_end; ++note) {
                all.changes += note->item.is_kept() ? 1 : 0;
                all.numbers.add(note->item, note->number, now, note->at);
            }
        });
    }
}

} // namespace

// One lock for each type, as a rule: so the notes of a type are brought together first. Their order means nothing any
// more. That a row has moved is of no account where nobody counts: a count that begins later sees where it is.
//
// Many notes take a while (a million of them half a second). A step of a count that begins meanwhile sees the rows, and
// takes what is told after it for what it has not seen: so such a count is doubtful.
void tell_commit()
{
    const int count = notes.count();
    if (count == 0)
        return;
    const std::uint64_t steps = databases::steps_of_count();
    const bool counted = databases::is_queue_counted();
    Note *list = &notes[0];
    if (!std::all_of(list, list + count, [&](const Note &note) { return note.is_of_type(list[0]); }))
        std::sort(list, list + count, [](const Note &a, const Note &b) {
            return a.table != b.table ? a.table < b.table : a.lane > b.lane; // a table that goes comes last
        });
    const Note *const all_end = list + count;
    for (const Note *begin = list, *end; begin < all_end; begin = end) {
        end = std::find_if_not(begin, all_end, [&](const Note &note) { return note.is_of_type(*begin); });
        if (begin->lane == no_lane)
            statistics::forget_table(begin->table);
        else if (counted || std::any_of(begin, end, [](const Note &note) { return note.number != 0; }))
            tell(begin, end);
        if (begin->lane != no_lane && count > notes_in_turn && databases::steps_of_count() != steps)
            statistics::doubt_depth(begin->table, begin->lane);
    }
}

void drop_from(int level) { notes.drop_from(level); }

void hand_up(int level)
{
    notes.hand_up(level, [](Note &note, const Note &other) { note.number += other.number; });
}

void forget() { notes.clear(); }

} // namespace shared::own_counts
