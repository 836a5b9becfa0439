// Shared memory in segments: each area of src/shared requests a segment of its own, and says how large it is, how it
// begins and how many locks guard it. Everything in it is a hint or a counter: it may vanish at any instant, because
// the postmaster empties shared memory after a crash of any process, and no job is lost.
//
// It is there only where the library is in shared_preload_libraries, because Postgres sizes shared memory before any
// session loads a library. Every caller must be right without it: `if (!area)`.
#pragma once

#include "prelude.hpp"

namespace shared {

// One area's segment. Its name is also the name of its locks' tranche, which pg_stat_activity shows as the wait event
// of a process that waits for one of them.
class SegmentBase {
public:
    struct Definition {
        const char *name;
        int locks;
        std::size_t (*size)();
        void (*initialise)(void *memory); // of zeroes
    };

    constexpr explicit SegmentBase(const Definition &definition) : definition_(definition) {}
    SegmentBase(const SegmentBase &) = delete;
    SegmentBase &operator=(const SegmentBase &) = delete;

    // Has Postgres make room for the segment and its locks; to be called from _PG_init while libraries are preloaded.
    void request();

    // One of the area's locks, counted from 0. Only where the area is there.
    LWLock &lock(int number = 0) const { return locks_[number].lock; }

protected:
    void *memory_ = nullptr;

private:
    static void request_all();
    static void start_all();
    void start();

    const Definition definition_;
    LWLockPadded *locks_ = nullptr;
    SegmentBase *next_ = nullptr; // of those requested
};

template <class Area>
class Segment : public SegmentBase {
public:
    using SegmentBase::SegmentBase;

    explicit operator bool() const { return memory_ != nullptr; }
    Area &operator*() const { return *static_cast<Area *>(memory_); }
    Area *operator->() const { return static_cast<Area *>(memory_); }
};

// Holds a lock until the end of the scope: for moments, and nothing that may raise an error is called under it, because
// sessions take these locks at commit. If an error came all the same, Postgres would let the lock go:
// AbortTransaction() calls LWLockReleaseAll(), and so does the end of a process.
class HeldLock {
public:
    explicit HeldLock(LWLock &lock, LWLockMode mode = LW_EXCLUSIVE) : lock_(&lock) { LWLockAcquire(lock_, mode); }
    ~HeldLock() { LWLockRelease(lock_); }
    HeldLock(const HeldLock &) = delete;
    HeldLock &operator=(const HeldLock &) = delete;

private:
    LWLock *lock_;
};

// Whether this process has the segments.
bool is_there();

} // namespace shared
