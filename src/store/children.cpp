#include "store/children.hpp"

#include "store/transition.hpp"

namespace store::children {

Look::Look(KeyTable &children)
    : slot_(children.table()), scan_(pg::begin_index_scan(children.table(), children.index(), GetActiveSnapshot(), 2))
{
}

Look::~Look() { index_endscan(scan_); }

bool Look::find_from(const pg_uuid_t *parent, const pg_uuid_t *from)
{
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(parent));
    ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_UUID_GE, UUIDPGetDatum(from));
    index_rescan(scan_, keys, 2, nullptr, 0);
    return index_getnext_slot(scan_, ForwardScanDirection, slot_);
}

std::optional<pg_uuid_t> Look::find_unended(const pg_uuid_t *parent, const pg_uuid_t *from)
{
    static constexpr pg_uuid_t first = {};
    if (!(from != nullptr && find_from(parent, from)) && !find_from(parent, &first))
        return std::nullopt;
    bool null;
    return *DatumGetUUIDP(slot_getattr(slot_, 2, &null));
}

bool is_any_left(const pg_uuid_t *parent)
{
    KeyTable table(PrivateTable::children, AccessShareLock);
    PushActiveSnapshot(GetLatestSnapshot());
    const bool is_any = Look(table).find_unended(parent).has_value();
    PopActiveSnapshot();
    return is_any;
}

} // namespace store::children

namespace store {

namespace {

// Locks the newest version of the row, and waits for whoever deletes it or lets it go on. Where it is gone, the child
// has a parent that is not there: nothing depends on it. `jobs` is open: the change that is followed was made in it.
void lock_parent(const pg_uuid_t *parent)
{
    static constexpr RegProcedure equal[] = {F_UUID_EQ};
    const Datum keys[] = {UUIDPGetDatum(parent)};
    const pg::OpenRelation jobs = open_table(ApiTable::jobs, RowExclusiveLock);
    const pg::OpenRelation index = open_index_of_jobs(jobs, tables(), Column::id, RowExclusiveLock);
    const pg::Slot slot(jobs);
    PushActiveSnapshot(GetLatestSnapshot());
    {
        pg::IndexLookup by_id(jobs, index);
        if (by_id.find(keys, equal, slot)) {
            ItemPointerData tid = slot->tts_tid;
            TM_FailureData failure;
            (void)table_tuple_lock(jobs, &tid, GetActiveSnapshot(), slot, GetCurrentCommandId(true), LockTupleKeyShare,
                                   LockWaitBlock, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
        }
    }
    PopActiveSnapshot();
}

} // namespace

void hold_parent(const Transition &change)
{
    const std::optional<Key> &from = change.was[DerivedTable::children], &to = change.is[DerivedTable::children];
    if (to && !(from && same_id(parent_in(*from), parent_in(*to))))
        lock_parent(parent_in(*to));
}

} // namespace store
