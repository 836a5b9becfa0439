#include "shared/segment.hpp"

#include <utility>

namespace shared {

namespace {

// The segments that were requested, linked in static memory: _PG_init runs in the postmaster, and its children inherit
// this.
SegmentBase *first = nullptr;
bool there = false;
shmem_request_hook_type next_request_hook = nullptr;
shmem_startup_hook_type next_startup_hook = nullptr;

} // namespace

bool is_there() { return there; }

// shmem_request_hook, in the postmaster: the one moment at which Postgres takes requests (from 15 on).
void SegmentBase::request_all()
{
    if (next_request_hook != nullptr)
        next_request_hook();
    for (SegmentBase *segment = first; segment != nullptr; segment = segment->next_) {
        RequestAddinShmemSpace(segment->definition_.size());
        if (segment->definition_.locks > 0)
            RequestNamedLWLockTranche(segment->definition_.name, segment->definition_.locks);
    }
}

void SegmentBase::start()
{
    bool found;
    const std::size_t size = definition_.size();
    // After a crash the postmaster makes shared memory anew and calls the hook again: `found` is false again then.
    memory_ = ShmemInitStruct(definition_.name, size, &found);
    if (!found) {
        std::memset(memory_, 0, size);
        definition_.initialise(memory_);
    }
    if (definition_.locks > 0)
        locks_ = GetNamedLWLockTranche(definition_.name);
}

// shmem_startup_hook. Under AddinShmemInitLock, because on platforms without fork each process of the server runs it,
// and two must not both find a segment missing.
void SegmentBase::start_all()
{
    if (next_startup_hook != nullptr)
        next_startup_hook();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    for (SegmentBase *segment = first; segment != nullptr; segment = segment->next_)
        segment->start();
    there = true;
    LWLockRelease(AddinShmemInitLock);
}

void SegmentBase::request()
{
    if (first == nullptr) {
        next_request_hook = std::exchange(shmem_request_hook, request_all);
        next_startup_hook = std::exchange(shmem_startup_hook, start_all);
    }
    next_ = std::exchange(first, this);
}

} // namespace shared
