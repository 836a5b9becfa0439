// Lists that grow while the transaction runs, for what is told at its end (at_commit.hpp). In TopMemoryContext, because
// the callbacks read them when the transaction's own memory is about to go. What a large transaction needed is given
// back at its end. Each note has the level of its subtransaction, `level`.
//
// Invariant: notes stand in the order of their levels, because a subtransaction's notes are dropped or handed up before
// its parent adds another one. So those of the current level are at the end.
#pragma once

#include <algorithm>

#include "prelude.hpp"

namespace shared {

constexpr int first_room = 16;

template <class Element>
void make_larger(Element *&list, int room)
{
    const std::size_t size = sizeof(Element) * static_cast<std::size_t>(room);
    list = static_cast<Element *>(list == nullptr ? MemoryContextAllocHuge(TopMemoryContext, size)
                                                  : repalloc_huge(list, size));
}
template <class Element>
void give_back(Element *&list)
{
    if (list != nullptr)
        pfree(list);
    list = nullptr;
}
constexpr int kept_room = 1024; // of what is not given back

template <class Note>
struct Notes {
    Note *list = nullptr;
    int count = 0;
    int room = 0;

    Note &add()
    {
        if (count == room) {
            const int wanted = room == 0 ? first_room : room * 2;
            make_larger(list, wanted);
            room = wanted;
        }
        return list[count++];
    }
    // After ROLLBACK TO SAVEPOINT: those of this level and of the ones below go.
    void drop_from(int level)
    {
        while (count > 0 && list[count - 1].level >= level)
            --count;
    }
    void clear()
    {
        count = 0;
        if (room > kept_room) {
            give_back(list);
            room = 0;
        }
    }
};

// Notes of which each is about something: at each level there is one about the same thing. A transaction may have
// thousands, so they are found by a hash table. Its buckets are chains from the newest note to the oldest; since notes
// only ever go from the end, each goes from the head of its chain.
//
// A note has `bool is_about_same(const Note &)`, `std::uint32_t hash()` of what it is about, and room for the link.
struct Linked {
    int level;
    int older; // in its bucket; -1: it is the oldest
};

template <class Note>
class KeyedNotes {
public:
    int count() const { return notes_.count; }
    Note &operator[](int i) { return notes_.list[i]; }

    // The newest note about the same as this one; null: there is none.
    Note *find(const Note &wanted)
    {
        return find_in_bucket(wanted.hash(), [&](const Note &note) { return note.is_about_same(wanted); });
    }
    // The newest note with that hash that is wanted.
    template <class Wanted>
    Note *find_in_bucket(std::uint32_t hash, Wanted wanted)
    {
        for (int i = count() > 0 ? bucket(hash) : -1; i >= 0; i = notes_.list[i].older)
            if (wanted(notes_.list[i]))
                return &notes_.list[i];
        return nullptr;
    }
    // The note about the same as `fresh` at its level, which it becomes if there is none.
    Note &of_level(const Note &fresh)
    {
        if (Note *note = find(fresh); note != nullptr && note->level == fresh.level)
            return *note;
        if (count() == bucket_count_)
            add_buckets();
        Note &note = notes_.add();
        note = fresh;
        link(count() - 1);
        return note;
    }

    void drop_from(int level)
    {
        while (count() > 0 && notes_.list[count() - 1].level >= level)
            unlink_last();
    }

    // RELEASE SAVEPOINT: hands the notes of this level up to its parent. A note of the parent's about the same takes
    // them up, by `take_up(note, other)`, so that a thousand savepoints (a loop with an EXCEPTION block) leave one
    // note. Needs no memory.
    template <class TakeUp>
    void hand_up(int level, TakeUp take_up)
    {
        const int end = count();
        while (count() > 0 && notes_.list[count() - 1].level == level)
            unlink_last();
        for (int i = count(); i < end; ++i) {
            Note note = notes_.list[i]; // still there: what was added since stands before it
            note.level = level - 1;
            if (Note *same = find(note); same != nullptr && same->level == note.level) {
                take_up(*same, note);
                continue;
            }
            notes_.list[notes_.count++] = note;
            link(count() - 1);
        }
    }

    void clear()
    {
        for (int i = 0; i < count(); ++i)
            bucket(notes_.list[i].hash()) = -1;
        notes_.clear();
        if (bucket_count_ > kept_room) {
            give_back(buckets_);
            bucket_count_ = 0;
        }
    }

private:
    int &bucket(std::uint32_t hash) { return buckets_[hash & static_cast<std::uint32_t>(bucket_count_ - 1)]; }
    void link(int i)
    {
        int &first = bucket(notes_.list[i].hash());
        notes_.list[i].older = std::exchange(first, i);
    }
    void unlink_last()
    {
        const Note &last = notes_.list[count() - 1];
        bucket(last.hash()) = last.older;
        --notes_.count;
    }
    void add_buckets()
    {
        const int wanted = bucket_count_ == 0 ? first_room : bucket_count_ * 2;
        make_larger(buckets_, wanted);
        bucket_count_ = wanted;
        std::fill_n(buckets_, wanted, -1);
        for (int i = 0; i < count(); ++i)
            link(i);
    }

    Notes<Note> notes_;
    int *buckets_ = nullptr;
    int bucket_count_ = 0; // a power of two, and no less than there are notes
};

} // namespace shared
