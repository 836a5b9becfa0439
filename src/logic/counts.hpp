// The counters of upkeep and worker, each described once: job_maintain()'s answer, the view jobs_ext.maintenance, the
// worker's log and all sums go over this list. A new counter is a line in each of the two lists here and, where it is
// shown, a column of the view (sql/parts/45_maintenance.sql).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace logic {

// In the order of the view's columns, which status.cpp sends by position. Counters that share a column stand side by
// side.
enum class Count : std::uint8_t {
    rounds,
    leases,
    timeouts,
    retried,
    failed,
    cancelled,
    expired,
    unblocked,
    archived,
    deleted,
    months_dropped,
    erased,
    set_aside,
    audit_faults,
    woken,
    notified,
    left,
    due,
};

struct CountTraits {
    const char *column;    // of the view; null: not shown. Two with the same one are shown as their sum
    const char *in_answer; // of job_maintain(); null: not there
    const char *in_log;    // after the number; null: not there
    bool is_done;          // whether it counts work done: with none, due work stands still (logic/stall.hpp)
};

inline constexpr auto count_traits = std::to_array<CountTraits>({
    {"rounds", nullptr, nullptr, false},
    {"reaped", "leases_reaped", "leases ran out", true},
    {"reaped", "timeouts_reaped", "run-time limits ran out", true}, // runs longer than the type allows
    {"retried", "retried", "jobs to be tried again", false},        // of those, given another try
    {"failed", "failed", "jobs failed", false},                     // or not
    {"cancelled", "cancelled", "jobs cancelled", false},            // or cancelled, as was asked for
    {"expired", "expired", "jobs expired", true},                   // never started in time
    {"unblocked", "unblocked", "jobs unblocked", true},             // since their children have ended
    {"archived", "archived", "jobs archived", true},
    {"deleted", "deleted", "jobs deleted", true}, // ended, of a type that keeps nothing
    {"months_dropped", "partitions_dropped", "months of the archive dropped", true},
    {nullptr, "erased", "rows erased of organisations", true},
    {"set_aside", "set_aside", "jobs set aside", true}, // made upkeep fail, now or once more
    {"audit_faults", nullptr, nullptr, false},
    {"woken", nullptr, nullptr, false},    // sleepers, for jobs that became due
    {"notified", nullptr, nullptr, false}, // NOTIFY jobs
    {nullptr, "left", nullptr, false},     // could not be done now: locked by somebody, for example
    {nullptr, nullptr, nullptr, false},    // found to be due, whatever became of them
});
inline constexpr std::size_t count_count = count_traits.size();
static_assert(count_count == static_cast<std::size_t>(Count::due) + 1);

constexpr Count count_at(std::size_t position) { return static_cast<Count>(position); }

template <class Number>
struct Sums {
    std::array<Number, count_count> number = {};

    constexpr Number &operator[](Count count) { return number[static_cast<std::size_t>(count)]; }
    constexpr Number operator[](Count count) const { return number[static_cast<std::size_t>(count)]; }

    template <class Other>
    constexpr void add_all(const Sums<Other> &other)
    {
        for (std::size_t i = 0; i < count_count; ++i)
            number[i] += other.number[i];
    }
};

// Whether the counter at this position is shown as one sum with the one before it.
constexpr bool goes_with_previous(std::size_t position)
{
    return position > 0 && count_traits[position].column != nullptr && count_traits[position - 1].column != nullptr &&
           std::string_view(count_traits[position].column) == count_traits[position - 1].column;
}

// Calls `each(column, number)` for the columns of the view, in its order.
template <class Number, class Each>
constexpr void each_shown_count(const Sums<Number> &sums, Each each)
{
    for (std::size_t i = 0; i < count_count; ++i) {
        if (count_traits[i].column == nullptr || goes_with_previous(i))
            continue;
        Number sum = sums.number[i];
        for (std::size_t j = i + 1; j < count_count && goes_with_previous(j); ++j)
            sum += sums.number[j];
        each(count_traits[i].column, sum);
    }
}

constexpr std::size_t shown_counts()
{
    std::size_t columns = 0;
    each_shown_count(Sums<int>{}, [&](const char *, int) { ++columns; });
    return columns;
}

} // namespace logic
