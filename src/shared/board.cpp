#include "shared/board.hpp"

#include "settings.hpp"

namespace shared {

namespace {

constexpr const char *name = "jobs_ext";
constexpr int lock_count = 2;

Board *the_board = nullptr;
LWLockPadded *locks = nullptr;
shmem_request_hook_type next_request_hook = nullptr;
shmem_startup_hook_type next_startup_hook = nullptr;

std::size_t size()
{
    return add_size(offsetof(Board, places),
                    mul_size(sizeof(Sleeper), static_cast<std::size_t>(settings::max_waiters)));
}

void request()
{
    if (next_request_hook != nullptr)
        next_request_hook();
    RequestAddinShmemSpace(size());
    RequestNamedLWLockTranche(name, lock_count);
}

void initialise(Board &board)
{
    std::memset(static_cast<void *>(&board), 0, size());
    pg_atomic_init_u32(&board.launcher, no_process);
    pg_atomic_init_u32(&board.databases_changed, 0);
    pg_atomic_init_u32(&board.entries, 1);
    pg_atomic_init_u32(&board.waiting_for_worker, 0);
    pg_atomic_init_u32(&board.asleep_for_job, 0);
    pg_atomic_init_u32(&board.asleep_for_end, 0);
    pg_atomic_init_u32(&board.dismissals, 0);
    dlist_init(&board.free_places);
    dlist_init(&board.sleepers);
    for (Database &database : board.databases)
        databases::initialise(database);
    for (int i = 0; i < settings::max_waiters; ++i) {
        pg_atomic_init_u32(&board.places[i].woken, 0);
        dlist_push_tail(&board.free_places, &board.places[i].links);
    }
}

void startup()
{
    if (next_startup_hook != nullptr)
        next_startup_hook();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found;
    the_board = static_cast<Board *>(ShmemInitStruct(name, size(), &found));
    if (!found)
        initialise(*the_board);
    locks = GetNamedLWLockTranche(name);
    LWLockRelease(AddinShmemInitLock);
}

} // namespace

Board *board() { return the_board; }

BoardLock::BoardLock(Lock lock, LWLockMode mode) : lock_(&locks[static_cast<int>(lock)].lock)
{
    LWLockAcquire(lock_, mode);
}

void wake_process(std::uint32_t process)
{
    if (process != no_process)
        SetLatch(&GetPGProcByNumber(process)->procLatch);
}

void wake_launcher() { wake_process(pg_atomic_read_u32(&the_board->launcher)); }

void note_databases_changed()
{
    if (the_board == nullptr)
        return;
    pg_atomic_write_u32(&the_board->databases_changed, 1);
    wake_launcher();
}

void request_board()
{
    next_request_hook = shmem_request_hook;
    shmem_request_hook = request;
    next_startup_hook = shmem_startup_hook;
    shmem_startup_hook = startup;
}

} // namespace shared
