// What the worker says of itself: in the view jobs_ext.maintenance, in pg_stat_activity, in the server's log.
#pragma once

#include "shared/databases.hpp"
#include "upkeep/task.hpp"

namespace worker {

class Report {
public:
    explicit Report(shared::Database &database) : database_(database) {}

    // What it is doing from now on; a text that stays where it is.
    void doing(const char *what);
    // That nothing is to do until something is due.
    void idle();

    void count(const upkeep::Counts &counts);
    void count_woken(int sleepers);
    void count_notified();
    void round_ended();

    // Also in the log; the same error again once a minute.
    void failed(const char *while_doing, const ErrorData *error);

    // Nothing of what is due was done for so long: an error on record. `jobs`: how many were due at the last look.
    void stalled(const char *doing, long seconds, int jobs);

    // Months of the archive that can't be made or dropped: an error on record, of which the log knows.
    void has_trouble_with_months(int sqlstate, const char *message);

    // A line for what was done since the last one.
    void log();
    // Milliseconds until that is to be: every ten seconds at most, and never where nothing was done.
    long until_log() const;

private:
    void say(BackendState state, const char *what);
    void note_failure(int sqlstate, const char *message);
    bool is_news(const char *message);

    shared::Database &database_;
    const char *said_ = nullptr;
    upkeep::Counts unlogged_;
    pg::Moment logged_at_ = pg::long_ago;
    pg::Moment failure_logged_at_ = pg::long_ago;
    char failure_logged_[sizeof(shared::Failure::message)] = "";
};

} // namespace worker
