// The piece of shared memory that all processes see. Everything in it is a hint or a counter: it may vanish at any
// instant (a crash zeroes it) and no job is lost.
//
// There only where the library is in shared_preload_libraries; every caller must be right without it.
#pragma once

#include "prelude.hpp"
#include "shared/databases.hpp"
#include "shared/sleepers.hpp"

namespace shared {

struct Board {
    // Of the process that starts workers; no number while it does not run.
    pg_atomic_uint32 launcher;
    // The launcher is to read the list of databases anew.
    pg_atomic_uint32 databases_changed;
    // Another number after each change of which database has which entry.
    pg_atomic_uint32 entries;
    // So many databases wait for a process: workers take turns.
    pg_atomic_uint32 waiting_for_worker;
    // Sessions with a place among the sleepers.
    pg_atomic_uint32 asleep_for_job;
    pg_atomic_uint32 asleep_for_end;
    // How many workers were ever dismissed, and the last ones, by hash_of_worker(): the next one's place is that number.
    pg_atomic_uint32 dismissals;
    std::uint64_t dismissed[1024];
    dlist_head free_places;
    dlist_head sleepers; // longest asleep first
    Database databases[max_databases];
    Sleeper places[FLEXIBLE_ARRAY_MEMBER]; // settings::max_waiters of them
};

// Null where the library was not preloaded.
Board *board();

enum class Lock { databases, sleepers };

// Held for moments: nothing that may raise an error is called under it.
class BoardLock {
public:
    explicit BoardLock(Lock lock, LWLockMode mode = LW_EXCLUSIVE);
    ~BoardLock() { LWLockRelease(lock_); }
    BoardLock(const BoardLock &) = delete;
    BoardLock &operator=(const BoardLock &) = delete;

private:
    LWLock *lock_;
};

// Wakes a process by its number in shared memory. One that has ended meanwhile, or is another by now, wakes for nothing.
constexpr std::uint32_t no_process = PG_UINT32_MAX;
void wake_process(std::uint32_t process);
void wake_launcher();

// Has the launcher look which databases there are.
void note_databases_changed();

// To be called from _PG_init while libraries are preloaded.
void request_board();

} // namespace shared
