// Scopes: what they open, push or switch, their destructors close, pop or switch back.
//
// An ERROR is a longjmp: it skips destructors. So a type may have a destructor here only if the abort of the
// (sub)transaction does the same job. By the letter of the C++ standard skipping them is undefined; gcc and clang on
// Linux simply skip them, and C code of Postgres relies on the same.
#pragma once

#include <algorithm>
#include <utility>

#include "pg/lock.hpp"
#include "prelude.hpp"

namespace pg {

// As relation_open(), but raises 42P01, not an internal error, for a relation that was dropped after it was looked up,
// while its lock was waited for; and 55P03 as lock_table() does.
inline Relation open_relation(Oid oid, LOCKMODE lock)
{
    Relation relation = try_open_relation(oid, lock);
    if (relation == nullptr)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist any more", oid),
                        errdetail("Somebody dropped it, or put another one in its place, a moment ago.")));
    return relation;
}

// An open table or index. The lock stays when it is closed, until the end of the transaction, because a table that was
// written must not be altered before the commit. unlock_when_closed() is for what was only looked at.
class OpenRelation {
public:
    OpenRelation() = default;
    OpenRelation(Oid oid, LOCKMODE lock) : relation_(open_relation(oid, lock)) {}
    OpenRelation(Relation open, LOCKMODE unlock) : relation_(open), unlock_(unlock) {}
    ~OpenRelation() { close(); }
    OpenRelation(const OpenRelation &) = delete;
    OpenRelation &operator=(const OpenRelation &) = delete;
    OpenRelation(OpenRelation &&other) noexcept { *this = std::move(other); }
    OpenRelation &operator=(OpenRelation &&other) noexcept
    {
        std::swap(relation_, other.relation_);
        std::swap(unlock_, other.unlock_);
        return *this;
    }

    // Has the close release `lock`, the mode in which it was opened.
    void unlock_when_closed(LOCKMODE lock) { unlock_ = lock; }

    explicit operator bool() const { return relation_ != nullptr; }
    operator Relation() const { return relation_; }
    Relation operator->() const { return relation_; }

private:
    void close()
    {
        if (relation_ != nullptr)
            relation_close(relation_, unlock_);
    }

    Relation relation_ = nullptr;
    LOCKMODE unlock_ = NoLock;
};

// Open with ACCESS SHARE for one look. The lock goes with it, so what was seen may change right after.
inline OpenRelation open_briefly(Oid oid) { return OpenRelation(open_relation(oid, AccessShareLock), AccessShareLock); }

// What a volatile statement does around its work: it sees all that this transaction did before
// (CommandCounterIncrement), takes a snapshot of its own, and lets the next statement see what it did. Outside READ
// COMMITTED the snapshot is the transaction's one. Raises 25006 in a read-only transaction or during recovery, 25000 in
// a parallel worker, naming `function`. An error leaves the snapshot to the abort of the (sub)transaction
// (AtEOXact_Snapshot, AtSubAbort_Snapshot).
class StatementScope {
public:
    explicit StatementScope(const char *function)
    {
        PreventCommandIfReadOnly(function);
        PreventCommandDuringRecovery(function);
        PreventCommandIfParallelMode(function);
        CommandCounterIncrement();
        PushActiveSnapshot(GetTransactionSnapshot());
    }
    ~StatementScope()
    {
        PopActiveSnapshot();
        CommandCounterIncrement();
    }
    StatementScope(const StatementScope &) = delete;
    StatementScope &operator=(const StatementScope &) = delete;
};

// Replaces the active snapshot by a newer one, which also shows what this statement did so far. A scan under the old
// one may be ended afterwards, not read. Outside READ COMMITTED only our own writes become visible; a caller that needs
// the writes of others raises 40001 instead.
inline void renew_active_snapshot()
{
    PopActiveSnapshot();
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
}

// Lets go, at its end and not at that of the transaction, the locks that are taken inside: a call that only looked and
// is going to sleep must not keep an ALTER TABLE waiting for as long as it sleeps. With `let_go` false the locks pass
// to the transaction, because user code ran inside and may count on some of them (LOCK TABLE, advisory locks).
class BriefLocks {
public:
    explicit BriefLocks(bool let_go)
        : let_go_(let_go), before_(CurrentResourceOwner), own_(ResourceOwnerCreate(before_, "jobs_ext brief locks"))
    {
        CurrentResourceOwner = own_;
    }
    ~BriefLocks()
    {
        for (ResourceReleasePhase phase :
             {RESOURCE_RELEASE_BEFORE_LOCKS, RESOURCE_RELEASE_LOCKS, RESOURCE_RELEASE_AFTER_LOCKS})
            ResourceOwnerRelease(own_, phase, !let_go_, false);
        CurrentResourceOwner = before_;
        ResourceOwnerDelete(own_);
    }
    BriefLocks(const BriefLocks &) = delete;
    BriefLocks &operator=(const BriefLocks &) = delete;

private:
    bool let_go_;
    ResourceOwner before_;
    ResourceOwner own_;
};

// Allocates in another context for a while: an object that is made lazily, in the middle of a row, must outlive the
// row's memory.
class InMemory {
public:
    explicit InMemory(MemoryContext context) : before_(MemoryContextSwitchTo(context)) {}
    ~InMemory() { MemoryContextSwitchTo(before_); }
    InMemory(const InMemory &) = delete;
    InMemory &operator=(const InMemory &) = delete;

private:
    MemoryContext before_;
};

// palloc() without its limit of 1 GB, for lists whose length the caller of a function chooses. Never of 0 bytes.
inline void *allocate(std::size_t size) { return palloc_extended(std::max<std::size_t>(size, 1), MCXT_ALLOC_HUGE); }

// Memory of one row in a loop over many: each Use ends by emptying it, so that a loop takes no more than its largest
// row.
class RowMemory {
public:
    RowMemory() : context_(AllocSetContextCreate(CurrentMemoryContext, "jobs_ext row", ALLOCSET_DEFAULT_SIZES)) {}
    ~RowMemory() { MemoryContextDelete(context_); }
    RowMemory(const RowMemory &) = delete;
    RowMemory &operator=(const RowMemory &) = delete;

    operator MemoryContext() const { return context_; }

    class Use {
    public:
        explicit Use(RowMemory &memory) : memory_(memory), before_(MemoryContextSwitchTo(memory.context_)) {}
        ~Use()
        {
            MemoryContextSwitchTo(before_);
            MemoryContextReset(memory_.context_);
        }
        Use(const Use &) = delete;
        Use &operator=(const Use &) = delete;

    private:
        RowMemory &memory_;
        MemoryContext before_;
    };

private:
    MemoryContext context_;
};

// Memory of many values that live and die together. A generation context, because the usual kind rounds each small
// chunk up to a power of two.
class DenseMemory {
public:
    DenseMemory() : context_(GenerationContextCreate(CurrentMemoryContext, "jobs_ext many", ALLOCSET_DEFAULT_SIZES)) {}
    ~DenseMemory() { MemoryContextDelete(context_); }
    DenseMemory(const DenseMemory &) = delete;
    DenseMemory &operator=(const DenseMemory &) = delete;

    operator MemoryContext() const { return context_; }

private:
    MemoryContext context_;
};

} // namespace pg
