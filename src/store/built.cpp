#include "store/built.hpp"

namespace store {

// Each build writes the rows of the triggers in `state` anew (write_built_under() in rebuild.cpp). So the newest rows
// tell: one that the active snapshot does not show was written after it. A build by this transaction does not count,
// because its snapshots show what its earlier commands wrote. Rows of other marks may be renewed without a build.
bool derived_were_built_since_snapshot()
{
    if (!IsolationUsesXactSnapshot())
        return false;
    pg::OpenRelation table = open_private(PrivateTable::state, AccessShareLock);
    table.unlock_when_closed(AccessShareLock);
    bool newer = false;
    Snapshot latest = RegisterSnapshot(GetLatestSnapshot());
    pg::TableScan rows(table, latest);
    while (TupleTableSlot *slot = rows.next())
        newer = newer || (is_of_trigger(slot) && !table_tuple_satisfies_snapshot(table, slot, GetActiveSnapshot()));
    rows.end();
    UnregisterSnapshot(latest);
    return newer;
}

bool derived_are_readable() { return tables().is_queue_built() && !derived_were_built_since_snapshot(); }

} // namespace store
