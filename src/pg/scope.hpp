// Scopes that end by themselves.
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

// As relation_open, but for one that was dropped after it was looked up, while its lock was waited for: that is 42P01,
// not an internal error.
inline Relation open_relation(Oid oid, LOCKMODE lock)
{
    Relation relation = try_open_relation(oid, lock);
    if (relation == nullptr)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist any more", oid),
                        errdetail("Somebody dropped it, or put another one in its place, a moment ago.")));
    return relation;
}

// A table or index, open; its lock stays until the end of the transaction, as every write needs, unless it is told to
// let go.
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

    // Lets the lock go when it is closed.
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

// Open to be looked at, no longer.
inline OpenRelation open_briefly(Oid oid) { return OpenRelation(open_relation(oid, AccessShareLock), AccessShareLock); }

// What a volatile statement does around its work: sees all that this transaction did before, takes a snapshot of its
// own, and lets the next statement see what it did.
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

// A newer look at the database inside a statement. Outside READ COMMITTED it is the transaction's one snapshot.
inline void renew_active_snapshot()
{
    PopActiveSnapshot();
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
}

// Locks that statements inside take are let go at its end, not at that of the transaction: of a call that only looked
// and is going to sleep. Not if `let_go` is false: where code of the user's ran, some of them may be meant to last.
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

// Allocates elsewhere for a while: what is made lazily, in the middle of a row, lives as long as its owner.
class InMemory {
public:
    explicit InMemory(MemoryContext context) : before_(MemoryContextSwitchTo(context)) {}
    ~InMemory() { MemoryContextSwitchTo(before_); }
    InMemory(const InMemory &) = delete;
    InMemory &operator=(const InMemory &) = delete;

private:
    MemoryContext before_;
};

// For lists whose length the caller of a function chooses: not limited to 1 GB.
inline void *allocate(std::size_t size) { return palloc_extended(std::max<std::size_t>(size, 1), MCXT_ALLOC_HUGE); }

// Memory of one row in a loop over many.
class RowMemory {
public:
    RowMemory() : context_(AllocSetContextCreate(CurrentMemoryContext, "jobs_ext row", ALLOCSET_DEFAULT_SIZES)) {}
    ~RowMemory() { MemoryContextDelete(context_); }
    RowMemory(const RowMemory &) = delete;
    RowMemory &operator=(const RowMemory &) = delete;

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

// Memory of many values that live together, where each takes no more than it needs: in other memory the next power of
// two.
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
