#include "worker/chore.hpp"

#include <algorithm>

#include "pg/time.hpp"
#include "settings.hpp"

namespace worker {

namespace {

constexpr long shortest_rest_ms = 1000;
constexpr long longest_rest_ms = 60000;
constexpr int most_failures = 10; // in a row

// Another process begins with fresh memory, and whatever else of this one may be broken.
bool may_be_ours(const ErrorData *error)
{
    const int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
    return category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_SYSTEM_ERROR ||
           category == ERRCODE_INTERNAL_ERROR;
}

} // namespace

long Step::until(TimestampTz now) const
{
    // By a clock that stands nothing becomes due.
    const long until_due = due > now && settings::clock_stands() ? INT_MAX : pg::milliseconds_until(now, due);
    return std::max(until_due, pg::milliseconds_until(not_before_));
}

void Step::failed(ErrorData *error)
{
    // Somebody else is at the tables, for as long as it takes: no failure.
    if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE) {
        resting_from_ = "waiting for a lock on the tables";
        rest(std::min<long>(settings::maintenance_interval, shortest_rest_ms));
    } else {
        report_.failed(doing_, error);
        resting_from_ = "resting after an error";
        rest(std::min(longest_rest_ms, shortest_rest_ms << std::min(failures_, 6)));
        if (++failures_ >= most_failures && may_be_ours(error))
            proc_exit(1);
    }
    FreeErrorData(error);
}

} // namespace worker
