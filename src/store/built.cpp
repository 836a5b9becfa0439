#include "store/built.hpp"

namespace store {

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
