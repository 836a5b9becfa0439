// A list that grows while the transaction runs, for what is told at its end (at_commit.hpp). In TopMemoryContext,
// because the callbacks read it when the transaction's own memory is about to go. What a large transaction needed is
// given back at its end. Each note has the level of its subtransaction, `level`.
//
// Invariant: notes stand in the order of their levels, because a subtransaction's notes are dropped or handed up before
// its parent adds another one. So those of the current level are at the end.
#pragma once

#include <algorithm>

#include "prelude.hpp"

namespace shared {

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

    // The note of this (sub)transaction that is about the same, which `is_same(note)` says; null: there is none yet.
    // The last ones first, because calls about the same lane come one after the other.
    template <class Same>
    Note *of_this_level(Same is_same)
    {
        const int level = GetCurrentTransactionNestLevel();
        for (int i = count - 1; i >= 0 && list[i].level == level; --i)
            if (is_same(list[i]))
                return &list[i];
        return nullptr;
    }

    // After ROLLBACK TO SAVEPOINT: those of this level and of the ones below go.
    void drop_from(int level)
    {
        count = static_cast<int>(
            std::remove_if(list, list + count, [&](const Note &note) { return note.level >= level; }) - list);
    }

    // RELEASE SAVEPOINT: hands the notes of this level up to its parent. A note of the parent's about the same takes
    // them up, by `is_same(a, b)` and `take_up(note, other)`, so that a thousand savepoints (a loop with an EXCEPTION
    // block) leave one note.
    template <class Same, class TakeUp>
    void hand_up(int level, Same is_same, TakeUp take_up)
    {
        int kept = count;
        while (kept > 0 && list[kept - 1].level == level)
            --kept;
        const int first = kept;
        for (int i = first; i < count; ++i) {
            Note note = list[i];
            note.level = level - 1;
            Note *same = std::find_if(list, list + first, [&](const Note &other) {
                return other.level == note.level && is_same(other, note);
            });
            if (same == list + first)
                list[kept++] = note;
            else
                take_up(*same, note);
        }
        count = kept;
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

} // namespace shared
