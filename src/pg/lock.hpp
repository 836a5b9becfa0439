// Locks on tables, and whether this process waits for them.
//
// A session waits for a table that another one has locked, as for any statement. The worker does not: sleepers wait to
// be woken by it, and an ALTER TABLE that waits for a long transaction would stop them all. It gets 55P03, its
// transaction is undone, and the chore comes again within a second. All locks here last until the transaction ends, or
// until the subtransaction that took them is rolled back.
#pragma once

#include <algorithm>

#include "prelude.hpp"

namespace pg {

// False in a worker, which sets it once when it begins.
inline bool waits_for_tables = true;

// Locks the table. Raises 55P03, with the field TABLE_NAME, if it is locked and this process waits for none. The table
// may be gone when the lock is granted.
inline void lock_table(Oid oid, LOCKMODE lock)
{
    if (waits_for_tables) {
        LockRelationOid(oid, lock);
    } else if (!ConditionalLockRelationOid(oid, lock)) {
        const char *name = get_rel_name(oid);
        ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                        errmsg("could not obtain lock on relation \"%s\"", name != nullptr ? name : "(dropped)"),
                        err_generic_string(PG_DIAG_TABLE_NAME, name != nullptr ? name : "(dropped)")));
    }
}

// Takes a lock that no other extension and no part of Postgres takes: on thing number `what` of a private table, as the
// caller numbers them. A mode of the table's own lock would not do, because VACUUM and REINDEX CONCURRENTLY hold theirs
// for as long as they run. False: another transaction has the lock, and `wait` is no. The deadlock detector sees it.
enum class Wait : bool { no, yes };
inline bool lock_of_ours(Oid table, std::uint32_t what, Wait wait)
{
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, table, what,
                       0); // Postgres has the oid of a catalog where we have a table's: never the same tag
    return LockAcquire(&tag, ExclusiveLock, false, wait == Wait::no) != LOCKACQUIRE_NOT_AVAIL;
}

// Whether a prepared transaction holds any lock on the table, as one does that has written to it. Also one from before
// the server's last start.
inline bool is_locked_by_prepared(Oid table)
{
    LOCKTAG tag;
    SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
    int count;
    const VirtualTransactionId *holders = GetLockConflicts(&tag, AccessExclusiveLock, &count);
    return std::any_of(holders, holders + count, [](const VirtualTransactionId &holder) {
        bool more;
        return VirtualTransactionIdIsRecoveredPreparedXact(holder) ||
               TransactionIdIsValid(TwoPhaseGetXidByVirtualXID(holder, &more));
    });
}

// Whether the error is the 55P03 of lock_table(), and not that of a row, of NOWAIT in user code or of lock_timeout:
// none of these has a table name.
inline bool is_refused_table(const ErrorData *error)
{
    return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && error->table_name != nullptr;
}

// Locks and opens the relation. Null: it was dropped after it was looked up, perhaps while its lock was waited for; the
// lock is given back.
inline Relation try_open_relation(Oid oid, LOCKMODE lock)
{
    if (lock != NoLock)
        lock_table(oid, lock);
    Relation relation = try_relation_open(oid, NoLock);
    if (relation == nullptr && lock != NoLock)
        UnlockRelationOid(oid, lock);
    return relation;
}

} // namespace pg
