#include "store/built.hpp"

namespace store {

bool derived_were_built_since_snapshot()
{
    if (!IsolationUsesXactSnapshot())
        return false;
    pg::OpenRelation table = open_private(PrivateTable::state, AccessShareLock);
    table.unlock_when_closed(AccessShareLock);
    pg::Slot slot(table);
    bool newer = false;
    Snapshot latest = RegisterSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan(table, latest, 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
        newer = newer || (is_of_trigger(slot) && !table_tuple_satisfies_snapshot(table, slot, GetActiveSnapshot()));
    table_endscan(scan);
    UnregisterSnapshot(latest);
    return newer;
}

bool derived_are_readable() { return tables().is_queue_built() && !derived_were_built_since_snapshot(); }

} // namespace store
