// What time does to jobs, in pieces: job_maintain() calls them, and so does the background worker.
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

// One bounded piece of a task, inside the caller's transaction, whose constraints it sets immediate. Whatever of the
// user's it fires runs as the owner of `jobs`, confined. A job that makes it fail is set aside, the others go on. What looks
// like no job's fault (pg::is_out_of_order, or a table that can't be used) is raised where nothing passed: the transaction
// is to be undone, the task to be tried again later; other tasks may go on. Where something passed, that stays done.
Counts run(Task task, Pace &pace, TimestampTz now);

// Sets a job aside at which an earlier process of ours did not end, as that one named it in shared memory. False: somebody
// else is writing; it is to be tried again.
bool set_unfinished_aside(const char *task, const pg_uuid_t *job, TimestampTz now);

// What keeps months of the archive from being made or dropped, if that is news: of each such error once, until all goes well.
bool take_trouble_with_months(int &sqlstate, const char *&message);

// When there is something to do next, for each task; DT_NOEND for never, in the past only when a piece could do something
// now. Months have no such time: they are looked after once in a while. Reads a few index tuples, locks no table against
// anybody's writing.
using Dues = std::array<TimestampTz, all_tasks.size()>;
Dues next_due(TimestampTz now);

} // namespace upkeep
