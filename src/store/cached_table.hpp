// What a process knows of a small table, types or lanes: read whole, sorted by its key, read again after any change to
// it. Each table has one of its own: a job must be able to end where `job_types` was altered and cannot be read.
//
// The race: another session changes the table. Its trigger, or make_lane_of(), registers a relcache invalidation of the
// table, which Postgres sends at its commit, and this process hears of when it next locks a table
// (AcceptInvalidationMessages). Until then it knows what was true before; for a lane that is missed so, make_lane_of()
// reads again under its lock. Changes of this process count after the next CommandCounterIncrement(), and ROLLBACK,
// also TO SAVEPOINT, delivers them to it once more (AtEOXact_Inval, AtEOSubXact_Inval): it forgets a row that was
// rolled back.
#pragma once

#include <algorithm>

#include "pg/heap.hpp"

namespace store {

// `element.key()` is what it is sorted and found by. An aggregate without a constructor: it is a static object, and no
// code may run when the library is loaded.
template <class Element>
struct CachedTable {
    MemoryContext memory = nullptr;
    Element *list = nullptr;
    int count = 0;
    bool valid = false;
    Oid table = InvalidOid;
    std::uint64_t changes = 0;

    // To be called on each relcache invalidation; InvalidOid: of any relation. While the table is being read any
    // relation counts, because `table` may not be known yet.
    void note_change_of(Oid oid)
    {
        if (!OidIsValid(oid) || oid == table || !valid)
            forget_rows();
    }
    void forget_rows()
    {
        valid = false;
        ++changes;
    }
    Element &append()
    {
        // The room is the next power of two; it is full when the count is one.
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
    // Reads the table unless what is known is valid. `read()` appends the rows and returns which table they are of. If
    // it raises, nothing is valid, and the next load begins again.
    template <class Read>
    void load(Read read)
    {
        // Again where the table changed while it was read. Ten times at most, because debug_discard_caches makes every
        // look a change; what was read last is used then.
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

// Calls `each` with a slot for every row that is committed now, and every one of this transaction's. The newest
// snapshot also at REPEATABLE READ: a lane that another session made since must be found, else a second one would be
// made for the type; and what is cached must serve the next transaction as well.
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
