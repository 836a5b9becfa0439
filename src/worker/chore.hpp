// Work of one kind, done in pieces: each in a transaction of its own, what goes wrong with it noted and tried again later,
// after a longer rest each time, while other steps go on.
#pragma once

#include "pg/session.hpp"
#include "pg/subtransaction.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "worker/report.hpp"

namespace worker {

class Step {
public:
    // How long a statement may take before it is ended, which may be a trigger of the user's.
    enum class Limit { none, longest_piece };
    // `doing`: for people.
    Step(Report &report, const char *doing, Limit limit = Limit::longest_piece)
        : report_(report), doing_(doing), limit_(limit)
    {
    }

    // False: it went wrong, and is undone.
    template <class Work>
    bool run(Work work)
    {
        report_.doing(doing_);
        shared::databases::piece_begins(2 * settings::longest_piece);
        ErrorData *error = pg::in_transaction(limit_ == Limit::none ? 0 : settings::longest_piece, work);
        pg::forget_session();
        shared::databases::piece_ends();
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
    void rest(long milliseconds) { not_before_ = pg::in_milliseconds(milliseconds); }

    // When there is something to do, by the queue's clock.
    TimestampTz due = DT_NOBEGIN;

    bool is_resting() const { return not_before_ > pg::moment(); }
    // From what it rests, for people; null: it does not, or all is well.
    const char *resting_from() const { return is_resting() ? resting_from_ : nullptr; }
    bool is_time(TimestampTz now) const { return due <= now && !is_resting(); }
    const char *doing() const { return doing_; }
    // In a row; a lock that is waited for is none.
    int failures() const { return failures_; }
    // Milliseconds until it is time.
    long until(TimestampTz now) const;

private:
    void failed(ErrorData *error);

    Report &report_;
    const char *doing_;
    Limit limit_;
    pg::Moment not_before_ = pg::long_ago;
    const char *resting_from_ = nullptr;
    int failures_ = 0;
};

} // namespace worker
