// What time does to jobs: the tasks of maintenance, and what each piece of one counts.
#pragma once

#include "logic/counts.hpp"
#include "prelude.hpp"

namespace upkeep {

using logic::Count;

// What a piece has done.
struct Counts : logic::Sums<int> {
    bool more = false; // another piece waits

    Counts &operator+=(const Counts &other)
    {
        add_all(other);
        more = more || other.more;
        return *this;
    }
    // Whether anything was done.
    bool any() const
    {
        for (std::size_t i = 0; i < logic::count_count; ++i)
            if (logic::count_traits[i].is_done && number[i] > 0)
                return true;
        return false;
    }
};

enum class Task {
    reap,    // leases and run-time limits that ran out
    expire,  // jobs that had to be started by now
    remove,  // ended jobs whose type keeps them for no time
    archive, // ended jobs that were kept long enough
    months,  // partitions of the archive: made ahead, old ones dropped
};
inline constexpr std::array all_tasks = {Task::reap, Task::expire, Task::remove, Task::archive, Task::months};

const char *name_of_task(Task task);

// How many jobs a piece takes at most, so that it holds no lock for long.
constexpr int piece_size = 500;

// What a process remembers of one task from piece to piece. No other task reads or writes it.
struct Pace {
    int most_jobs = piece_size; // in the next piece: fewer after one that ran out of time, until one passes
    std::int32_t last_lane = 0; // behind which the next piece begins to look, so that each type has its turn
    std::int64_t passed = 0;    // jobs, ever
    bool in_doubt = false;      // whether the last piece was raised for what it met at jobs
};

// What keeps months of the archive from being made or dropped, if that is news: of each such error once, until all goes
// well.
bool take_trouble_with_months(int &sqlstate, const char *&message);

} // namespace upkeep
