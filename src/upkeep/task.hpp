// The tasks of upkeep (what the passing of time does to jobs), what a piece of one counts, and what a process remembers
// of one.
#pragma once

#include "logic/counts.hpp"
#include "logic/parents.hpp"
#include "prelude.hpp"

namespace upkeep {

using logic::Count;

// What a piece has done.
struct Counts : logic::Sums<int> {
    bool more = false; // the task has work left: the next piece may begin at once

    Counts &operator+=(const Counts &other)
    {
        add_all(other);
        more = more || other.more;
        return *this;
    }
    // Whether the piece did anything. One that found all jobs held, or none, did nothing.
    bool any() const
    {
        for (std::size_t i = 0; i < logic::count_count; ++i)
            if (logic::count_traits[i].is_done && number[i] > 0)
                return true;
        return false;
    }
};

// In the order of a round. An attempt that is reaped may end its job, which a later task may remove in the same round.
enum class Task {
    reap,    // leases and run-time limits that ran out
    expire,  // jobs that had to be started by now
    unblock, // jobs whose children have ended
    remove,  // ended jobs whose type keeps them for no time
    archive, // ended jobs that were kept long enough
    months,  // partitions of the archive: made ahead, old ones dropped
    erase,   // what organisations had that are gone
};
inline constexpr std::array all_tasks = {Task::reap,    Task::expire, Task::unblock, Task::remove,
                                         Task::archive, Task::months, Task::erase};

// As it stands in the table set_aside, in shared memory and in messages.
const char *name_of_task(Task task);

// How many jobs a piece takes at most, so that it holds its row locks for no longer than it must; besides, it ends
// after half a second (piece.cpp).
constexpr int piece_size = 500;

// What a process remembers of one task from piece to piece. One for each task: if tasks shared it, the empty pieces of
// one would raise `most_jobs` again for another whose jobs are slow. A rollback does not undo it.
struct Pace {
    int most_jobs = piece_size; // in the next piece: fewer after one that ran out of time, until one passes
    std::int32_t last_lane = 0; // behind which the next piece begins to look, so that each type has its turn
    std::int64_t passed = 0;    // jobs, ever
    // Of unblock: which jobs are looked at, and whether the last piece found any that waits; nothing: it did not look.
    logic::Parents parents = {};
    std::optional<bool> any_blocked = {};
    bool in_doubt = false; // whether the last piece was raised for an error at jobs that are suspected since
};

// The next error that keeps this process from making or dropping months of the archive, and that was not taken before.
// False: there is none. Each kind is news once, until it has not come for an hour. `message` is valid until the next
// piece.
bool take_trouble_with_months(int &sqlstate, const char *&message);

} // namespace upkeep
