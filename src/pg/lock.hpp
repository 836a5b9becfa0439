// Locks on tables.
#pragma once

#include "prelude.hpp"

namespace pg {

// Whether this process waits for them, as sessions do. Where others wait for what a process does next, it had better
// come again.
inline bool waits_for_tables = true;

// Until the end of the transaction. 55P03 where somebody has it and is not to be waited for.
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

// A lock that only we take: on something that a private table is about, numbered as its caller likes, until the end of
// the transaction. Unlike any lock on that table it is in nobody's way, nor anybody in its: VACUUM and REINDEX
// CONCURRENTLY hold theirs for as long as they run. False: another transaction has it, and is not to be waited for.
enum class Wait : bool { no, yes };
inline bool lock_of_ours(Oid table, std::uint32_t what, Wait wait)
{
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, table, what,
                       0); // no catalog has that number, so it is no object of Postgres's
    return LockAcquire(&tag, ExclusiveLock, false, wait == Wait::no) != LOCKACQUIRE_NOT_AVAIL;
}

// Whether it is that 55P03, and no other.
inline bool is_refused_table(const ErrorData *error)
{
    return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && error->table_name != nullptr;
}

// Null: it was dropped after it was looked up.
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
