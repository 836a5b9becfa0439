// What time does to jobs: the tasks of maintenance, and what each piece of one counts.
#pragma once

#include "prelude.hpp"

namespace upkeep {

struct Counts {
    int leases = 0;             // leases that ran out
    int timeouts = 0;           // runs longer than the type allows
    int retried = 0;            // of those, given another try
    int failed = 0;             // or not
    int cancelled = 0;          // or cancelled, as was asked for
    int expired = 0;            // never started in time
    int archived = 0;           // moved to jobs_archive
    int deleted = 0;            // ended, of a type that keeps nothing
    int partitions_dropped = 0; // months of the archive
    int set_aside = 0;          // jobs that made it fail, now or once more
    int left = 0;               // could not be done now: locked by somebody, for example
    int due = 0;                // found to be due, whatever became of them
    bool more = false;          // another piece waits

    Counts &operator+=(const Counts &other);
    // Whether anything was done.
    bool any() const { return leases + timeouts + expired + archived + deleted + partitions_dropped + set_aside > 0; }
};

enum class Task {
    reap,    // leases and run-time limits that ran out
    expire,  // jobs that had to be started by now
    remove,  // ended jobs whose type keeps them for no time
    archive, // ended jobs that were kept long enough
    months,  // partitions of the archive: made ahead, old ones dropped
};
inline constexpr std::array all_tasks = {Task::reap, Task::expire, Task::remove, Task::archive, Task::months};

const char *name(Task task);

// How many jobs a piece takes at most, so that it holds no lock for long.
constexpr int piece_size = 500;

// What a process remembers of one task from piece to piece. No other task reads or writes it.
struct Pace {
    int most_jobs = piece_size; // in the next piece: fewer after one that ran out of time, until one passes
    std::int32_t last_lane = 0; // behind which the next piece begins to look, so that each type has its turn
    std::int64_t passed = 0;    // jobs, ever
    bool in_doubt = false;      // whether the last piece was raised for what it met at jobs
};

// What keeps months of the archive from being made or dropped, if that is news: of each such error once, until all goes well.
bool take_trouble_with_months(int &sqlstate, const char *&message);

} // namespace upkeep
