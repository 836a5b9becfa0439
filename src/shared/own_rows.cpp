#include "shared/own_rows.hpp"

#include "shared/notes.hpp"
#include "shared/segment.hpp"

namespace shared::own_rows {

namespace {

using hints::List;
using logic::Place;

std::uint32_t hash_of(Oid table, std::int32_t lane)
{
    return hash_combine(murmurhash32(table), murmurhash32(static_cast<std::uint32_t>(lane)));
}

// All ranks of a lane have the same hash, so that they are found together.
struct AboutList : Linked {
    List list;

    bool is_about_same(const AboutList &other) const { return list == other.list; }
    std::uint32_t hash() const { return hash_of(list.table, list.lane); }
};

struct Note : AboutList {
    Place brought, removed; // the first of each; after_all: none
};

// Without a level: what a subtransaction brought and was rolled back makes a read begin too early, which costs a walk.
struct Own : AboutList {
    Place first;
};

KeyedNotes<Note> notes;
KeyedNotes<Own> own;

Note &note_of(const List &list)
{
    return notes.of_level({{{GetCurrentTransactionNestLevel(), -1}, list}, logic::after_all, logic::after_all});
}

Own *own_of(const List &list) { return own.find({{{0, -1}, list}, logic::after_all}); }

} // namespace

void brought(const List &list, const Place &at)
{
    if (!is_there())
        return;
    Note &note = note_of(list);
    note.brought = std::min(note.brought, at);
    Own &mine = own.of_level({{{0, -1}, list}, logic::after_all});
    mine.first = std::min(mine.first, at);
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
    own.find_in_bucket(hash_of(table, lane), [&](const Own &mine) {
        if (mine.list.table == table && mine.list.lane == lane) {
            Place &place = places[static_cast<std::size_t>(mine.list.rank - logic::best_rank)];
            place = std::min(place, mine.first);
        }
        return false; // there may be other ranks
    });
}

int count_lists() { return own.count(); }

List list(int i) { return own[i].list; }

Place first(int i) { return own[i].first; }

void raise(const List &list, const Place &to)
{
    if (Own *mine = own_of(list))
        mine->first = std::max(mine->first, to);
}

void tell_commit()
{
    for (int i = 0; i < notes.count(); ++i)
        if (notes[i].brought < logic::after_all)
            hints::lower(notes[i].list, notes[i].brought);
}

void tell_abort(int level)
{
    for (int i = notes.count() - 1; i >= 0 && notes[i].level >= level; --i) {
        const Note &note = notes[i];
        if (note.removed == logic::after_all)
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
    notes.hand_up(level, [](Note &note, const Note &other) {
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
