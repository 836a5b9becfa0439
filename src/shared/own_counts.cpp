#include "shared/own_counts.hpp"

#include "shared/notes.hpp"
#include "shared/statistics.hpp"

namespace shared::own_counts {

namespace {

struct Note {
    int level;
    Oid table;
    std::int32_t lane;
    logic::Item item;
    int number;

    bool is_like(const Note &other) const
    {
        return lane == other.lane && item == other.item && table == other.table && level == other.level;
    }
};

Notes<Note> notes;

// Of so many notes, the last ones, it is asked whether one is alike: the types and the spans of a batch are few, and
// where they are many the price of a job stays the same.
constexpr int looked_at = 32;

void add_note(const Note &note)
{
    for (int i = notes.count - 1; i >= std::max(0, notes.count - looked_at); --i)
        if (notes.list[i].is_like(note)) {
            notes.list[i].number += note.number;
            return;
        }
    notes.add() = note;
}

bool is_of_one_type()
{
    const Note &first = notes.list[0];
    return std::all_of(notes.list, notes.list + notes.count,
                       [&](const Note &note) { return note.lane == first.lane && note.table == first.table; });
}

} // namespace

void count(Oid table, std::int32_t lane, logic::Item item, int number)
{
    add_note({GetCurrentTransactionNestLevel(), table, lane, item, number});
}

// One lock for each type: so the notes of a type are brought together first.
void tell_commit()
{
    if (notes.count == 0)
        return;
    if (!is_of_one_type())
        std::sort(notes.list, notes.list + notes.count, [](const Note &a, const Note &b) {
            return a.table != b.table ? a.table < b.table : a.lane < b.lane;
        });
    const std::int64_t now = pg::moment().microseconds;
    for (int i = 0; i < notes.count;) {
        const Note &first = notes.list[i];
        int end = i;
        while (end < notes.count && notes.list[end].lane == first.lane && notes.list[end].table == first.table)
            ++end;
        statistics::with_lane(first.table, first.lane, [&](statistics::Statistics &all) {
            ++all.changes;
            for (int n = i; n < end; ++n)
                all.numbers.add(notes.list[n].item, notes.list[n].number, now);
        });
        i = end;
    }
}

void drop_from(int level) { notes.drop_from(level); }

// Not Notes::hand_up(), which looks at all notes of the parent for each.
void hand_up(int level)
{
    int first = notes.count;
    while (first > 0 && notes.list[first - 1].level == level)
        --first;
    const int end = notes.count;
    notes.count = first;
    for (int i = first; i < end; ++i) {
        Note note = notes.list[i];
        note.level = level - 1;
        add_note(note); // never past `i`, so it finds room
    }
}

void forget() { notes.clear(); }

} // namespace shared::own_counts
