#include "shared/own_rows.hpp"

#include "shared/notes.hpp"
#include "shared/segment.hpp"

namespace shared::own_rows {

namespace {

using hints::List;
using logic::Place;

struct Note {
    int level;
    List list;
    Place brought, removed; // the first of each; after_all: none
};

// Without a level: what a subtransaction brought and was rolled back makes a read begin too early, which costs a walk.
struct Own {
    int level; // none: 0
    List list;
    Place first;
};

Notes<Note> notes;
Notes<Own> own;

Note &note_of(const List &list)
{
    if (Note *note = notes.of_this_level([&](const Note &other) { return other.list == list; }))
        return *note;
    Note &note = notes.add();
    note = {GetCurrentTransactionNestLevel(), list, logic::after_all, logic::after_all};
    return note;
}

Own *own_of(const List &list)
{
    Own *end = own.list + own.count;
    Own *found = std::find_if(own.list, end, [&](const Own &other) { return other.list == list; });
    return found != end ? found : nullptr;
}

} // namespace

void brought(const List &list, const Place &at)
{
    if (!is_there())
        return;
    Note &note = note_of(list);
    note.brought = std::min(note.brought, at);
    Own *mine = own_of(list);
    if (mine == nullptr) {
        mine = &own.add();
        *mine = {0, list, logic::after_all};
    }
    mine->first = std::min(mine->first, at);
}

void removed(const List &list, const Place &at)
{
    if (!is_there())
        return;
    Note &note = note_of(list);
    note.removed = std::min(note.removed, at);
}

void lower(Oid table, std::int32_t lane, hints::Places &places)
{
    for (int i = 0; i < own.count; ++i) {
        const Own &mine = own.list[i];
        if (mine.list.table != table || mine.list.lane != lane)
            continue;
        Place &place = places[static_cast<std::size_t>(mine.list.rank - logic::best_rank)];
        place = std::min(place, mine.first);
    }
}

void raise(const List &list, const Place &to)
{
    if (Own *mine = own_of(list))
        mine->first = std::max(mine->first, to);
}

void tell_commit()
{
    for (int i = 0; i < notes.count; ++i)
        if (notes.list[i].brought < logic::after_all)
            hints::lower(notes.list[i].list, notes.list[i].brought);
}

void tell_abort(int level)
{
    for (int i = 0; i < notes.count; ++i) {
        const Note &note = notes.list[i];
        if (note.level < level || note.removed == logic::after_all)
            continue;
        hints::lower(note.list, note.removed);
        // What it had brought before the savepoint and removed after it is there again as well.
        if (Own *mine = own_of(note.list))
            mine->first = std::min(mine->first, note.removed);
    }
    notes.drop_from(level);
}

void hand_up(int level)
{
    notes.hand_up(
        level, [](const Note &a, const Note &b) { return a.list == b.list; },
        [](Note &note, const Note &other) {
            note.brought = std::min(note.brought, other.brought);
            note.removed = std::min(note.removed, other.removed);
        });
}

void forget()
{
    notes.clear();
    own.clear();
}

} // namespace shared::own_rows
