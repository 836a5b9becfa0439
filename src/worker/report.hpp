// What the worker says of itself: in the view jobs_ext.maintenance, in pg_stat_activity, in the server's log.
//
// The worker alone writes these fields of its entry (the launcher does for a worker that overstays), under the lock,
// because sessions that read the view copy the entry under it. No text is formatted and nothing is logged under the
// lock, since both may raise an error.
#pragma once

#include "shared/databases.hpp"
#include "upkeep/task.hpp"

namespace worker {

class Report {
public:
    explicit Report(shared::Database &database) : database_(database) {}

    // What the worker is doing from now on. `what` is compared by address and kept: a constant.
    void show_doing(const char *what);
    // The worker sleeps until something is due.
    void idle();

    // Add to the counters of the view; those of count() are also logged, by log().
    void add_counts(const upkeep::Counts &counts);
    void count_woken(int sleepers);
    void count_notified();
    void round_ended();

    // A chore failed with this error: puts it on record in the view, and in the log, the same message once a minute
    // only. The message is cut to what the entry holds (255 bytes), the log's by pg/excerpt.hpp.
    void failed(const char *while_doing, const ErrorData *error);

    // Nothing of what is due was done for `seconds`: an error 55000 on record and in the log. `jobs`: how many were due
    // at the last look.
    void stalled(const char *doing, long seconds, int jobs);

    // Months of the archive cannot be made or dropped: an error on record. The log has it already, from
    // upkeep/archive.cpp.
    void has_trouble_with_months(int sqlstate, const char *message);

    // Writes a line to the log for what was done since the last one; nothing where nothing was.
    void log();
    // Milliseconds until log() is to be called: a line in ten seconds at most. INT_MAX where nothing was done.
    long until_log() const;

private:
    void say(BackendState state, const char *what);
    void note_failure(int sqlstate, const char *message);
    bool is_new_error(const char *message);

    shared::Database &database_;
    const char *said_ = nullptr; // by doing() or idle(), last
    upkeep::Counts unlogged_;    // done since the last line in the log
    pg::Moment logged_at_ = pg::long_ago;
    // The failure that was logged last, and when.
    pg::Moment failure_logged_at_ = pg::long_ago;
    char failure_logged_[sizeof(shared::Failure::message)] = "";
};

} // namespace worker
