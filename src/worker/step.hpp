// Work of one kind, done in pieces: each in a transaction of its own, what goes wrong with it noted and tried again later,
// after a longer rest each time, while other steps go on.
#pragma once

#include "pg/attempt.hpp"
#include "worker/report.hpp"

namespace worker {

class Step {
public:
    // `doing`: for people. `longest_ms`: a statement that takes longer is ended (a trigger of the user's); 0: none is.
    Step(Report &report, const char *doing, int longest_ms) : report_(report), doing_(doing), longest_ms_(longest_ms) {}

    // False: it went wrong, and is undone.
    template <class Work>
    bool run(Work work)
    {
        report_.doing(doing_);
        ErrorData *error = pg::attempt_transaction(longest_ms_, work);
        pgstat_report_stat(false);
        if (error == nullptr) {
            failures_ = 0;
            resting_from_ = nullptr;
            return true;
        }
        failed(error);
        return false;
    }

    // Not again before so many milliseconds are over.
    void rest(long milliseconds) { not_before_ = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds); }

    // When there is something to do, by the queue's clock.
    TimestampTz due = DT_NOBEGIN;

    bool is_resting() const { return not_before_ > GetCurrentTimestamp(); }
    // From what it rests, for people; null: it does not, or all is well.
    const char *resting_from() const { return is_resting() ? resting_from_ : nullptr; }
    bool is_time(TimestampTz now) const { return due <= now && !is_resting(); }
    // In a row; a lock that is waited for is none.
    int failures() const { return failures_; }
    // Milliseconds until it is time.
    long until(TimestampTz now) const;

private:
    void failed(ErrorData *error);

    Report &report_;
    const char *doing_;
    int longest_ms_;
    TimestampTz not_before_ = DT_NOBEGIN; // by the server's clock
    const char *resting_from_ = nullptr;
    int failures_ = 0;
};

} // namespace worker
