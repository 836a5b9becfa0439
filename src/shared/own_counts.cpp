#include "shared/own_counts.hpp"

#include <utility>

#include "shared/notes.hpp"
#include "shared/statistics.hpp"

namespace shared::own_counts {

namespace {

struct Note : Linked {
    Oid table;
    std::int32_t lane;
    logic::Item item;
    int number;

    bool is_about_same(const Note &other) const
    {
        return lane == other.lane && item == other.item && table == other.table;
    }
    std::uint32_t hash() const { return hash_combine(static_cast<std::uint32_t>(lane), item.number()); }
    bool is_of_type(const Note &other) const { return lane == other.lane && table == other.table; }
};

KeyedNotes<Note> notes;

} // namespace

void count(Oid table, std::int32_t lane, logic::Item item, int number)
{
    notes.of_level({{GetCurrentTransactionNestLevel(), -1}, table, lane, item, 0}).number += number;
}

// One lock for each type: so the notes of a type are brought together first. Their order means nothing any more.
void tell_commit()
{
    const int count = notes.count();
    if (count == 0)
        return;
    Note *list = &notes[0];
    if (!std::all_of(list, list + count, [&](const Note &note) { return note.is_of_type(list[0]); }))
        std::sort(list, list + count, [](const Note &a, const Note &b) {
            return a.table != b.table ? a.table < b.table : a.lane < b.lane;
        });
    const std::int64_t now = pg::moment().microseconds;
    for (int i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && list[end].is_of_type(list[i]);)
            ++end;
        statistics::with_lane(list[i].table, list[i].lane, [&](statistics::Statistics &all) {
            ++all.changes;
            for (int n = i; n < end; ++n)
                all.numbers.add(list[n].item, list[n].number, now);
        });
    }
}

void drop_from(int level) { notes.drop_from(level); }

void hand_up(int level)
{
    notes.hand_up(level, [](Note &note, const Note &other) { note.number += other.number; });
}

void forget() { notes.clear(); }

} // namespace shared::own_counts
