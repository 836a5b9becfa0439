// Shared memory in segments: each area of src/shared requests a piece of its own, and says how large it is, how it
// begins and how many locks guard it. Everything in it is a hint or a counter: it may vanish at any instant (a crash
// zeroes it) and no job is lost.
//
// It is there only where the library is in shared_preload_libraries; every caller must be right without it.
#pragma once

#include "prelude.hpp"

namespace shared {

// One area's piece. Its name is also that of its locks' tranche, which pg_stat_activity shows where a process waits for
// one.
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

    // To be called from _PG_init while libraries are preloaded.
    void request();

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

// Held for moments: nothing that may raise an error is called under it.
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
