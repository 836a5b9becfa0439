// What a backend knows of a small table: read whole, sorted by its key, read again after any change to it. Each table
// has one of its own: a job must be able to end where `job_types` was altered and can't be read.
#pragma once

#include <algorithm>

#include "pg/heap.hpp"

namespace store {

// `element.key()` is what it is sorted and found by.
template <class Element>
struct CachedTable {
    MemoryContext memory = nullptr;
    Element *list = nullptr;
    int count = 0;
    bool valid = false;
    Oid table = InvalidOid;
    std::uint64_t changes = 0;

    void note_change_of(Oid oid)
    {
        if (!OidIsValid(oid) || oid == table || !valid)
            empty();
    }
    void empty()
    {
        valid = false;
        ++changes;
    }
    Element &append()
    {
        // Doubles at powers of two.
        if (count == 0)
            list = static_cast<Element *>(MemoryContextAlloc(memory, sizeof(Element)));
        else if ((count & (count - 1)) == 0)
            list = static_cast<Element *>(repalloc(list, sizeof(Element) * count * 2));
        return list[count++];
    }
    template <class Key>
    const Element *find(Key wanted) const
    {
        const Element *end = list + count;
        const Element *found = std::lower_bound(static_cast<const Element *>(list), end, wanted,
                                                [](const Element &a, Key b) { return a.key() < b; });
        return found != end && found->key() == wanted ? found : nullptr;
    }
    // `read()` adds the rows and returns which table they are of.
    template <class Read>
    void load(Read read)
    {
        // Bounded, since debug_discard_caches makes every look a change.
        for (int tries = 0; !valid && tries < 10; ++tries) {
            if (memory == nullptr)
                memory = AllocSetContextCreate(TopMemoryContext, "jobs_ext types", ALLOCSET_SMALL_SIZES);
            MemoryContextReset(memory);
            list = nullptr;
            count = 0;
            const std::uint64_t before = changes;
            table = read();
            std::sort(list, list + count, [](const Element &a, const Element &b) { return a.key() < b.key(); });
            valid = changes == before;
        }
    }
};

// Calls `each` with a slot for every row that is committed now, whatever the transaction's isolation.
template <class Each>
void each_latest_row(Relation table, Each each)
{
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    pg::TableScan rows(table, snapshot);
    while (TupleTableSlot *slot = rows.next())
        each(slot);
    rows.end();
    UnregisterSnapshot(snapshot);
}

} // namespace store
