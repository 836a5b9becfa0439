#include "verbs/newest_of_status.hpp"

#include <algorithm>

#include "store/entry_scan.hpp"
#include "store/job_lookup.hpp"
#include "store/lanes.hpp"
#include "store/queue_scan.hpp"

namespace verbs {

namespace {

using logic::Status;
using store::Column;
using store::PrivateTable;

struct Ranks {
    std::int16_t first, last;
};

// Where the jobs of a status stand in the lane of their type.
Ranks ranks_of(Status status)
{
    if (logic::waiting(status))
        return {logic::best_rank, logic::worst_rank};
    return {logic::rank_of_ended(status), logic::rank_of_ended(status)};
}

// Calls `each(job)` for the jobs of a lane, as long as it returns true. False: it did not to the end.
template <class Each>
bool each_of_lane(store::RunScan &run, std::int32_t lane, const Ranks &ranks, Each each)
{
    for (std::int16_t rank = ranks.first; rank <= ranks.last; ++rank) {
        run.start(lane, rank, logic::before_all, DT_NOEND);
        while (const store::Candidate *found = run.next())
            if (!each(found->job))
                return false;
    }
    return true;
}

// Calls `each(lane)` for the lane of the type that is wanted, or for all, as long as it returns true. False: it did not
// to the end, or the lane of the type is not known: another session may have made it a moment ago.
template <class Each>
bool each_lane(store::KeyTable &table, const Wanted &wanted, Each each)
{
    if (wanted.job_type) {
        const std::optional<std::int32_t> lane = store::lanes::find_lane_of(*wanted.job_type);
        return lane && each(*lane);
    }
    for (auto lane = store::next_lane(table, logic::running_lane); lane; lane = store::next_lane(table, *lane))
        if (!each(*lane))
            return false;
    return true;
}

template <class Each>
bool each_named(store::KeyTable &table, const Wanted &wanted, Each each)
{
    const Ranks ranks = ranks_of(wanted.status);
    store::RunScan run(table, GetActiveSnapshot(), store::Hints{});
    return each_lane(table, wanted, [&](std::int32_t lane) { return each_of_lane(run, lane, ranks, each); });
}

// How many entries name jobs that are wanted, by the index alone, of which no heap row is looked at; nothing: more than
// `most`. Those of rows that are gone count, too: under a held snapshot the archive leaves millions.
std::optional<std::int64_t> count_entries(store::KeyTable &table, const Wanted &wanted, std::int64_t most)
{
    const Ranks ranks = ranks_of(wanted.status);
    store::EntryScan entries(table, GetActiveSnapshot());
    std::int64_t count = 0;
    const bool are_all = each_lane(table, wanted, [&](std::int32_t lane) {
        count += entries.count(lane, ranks.first, ranks.last, most - count + 1);
        return count <= most;
    });
    return are_all ? std::optional(count) : std::nullopt;
}

struct Aged {
    TimestampTz created_at;
    pg_uuid_t id;

    bool is_newer(const Aged &other) const
    {
        return created_at != other.created_at ? created_at > other.created_at
                                              : std::memcmp(id.data, other.id.data, UUID_LEN) > 0;
    }
};

bool is_same(pg::Nullable wanted, pg::Nullable value)
{
    return !wanted ||
           (value && std::memcmp(DatumGetUUIDP(wanted.value)->data, DatumGetUUIDP(value.value)->data, UUID_LEN) == 0);
}

// When the job that was looked up was created, if it is wanted.
std::optional<TimestampTz> age_if_wanted(const store::JobLookup &job, const Wanted &wanted)
{
    const std::optional<TimestampTz> created_at = job.time(Column::created_at);
    if (!created_at || job.status() != wanted.status || (wanted.before && *created_at >= *wanted.before))
        return std::nullopt;
    if (wanted.job_type && pg::text_view(job.value(Column::job_type).value) != *wanted.job_type)
        return std::nullopt;
    if (!is_same(wanted.organisation_id, job.value(Column::organisation_id)) ||
        !is_same(wanted.restaurant_id, job.value(Column::restaurant_id)))
        return std::nullopt;
    return created_at;
}

} // namespace

std::optional<std::span<const pg_uuid_t>> named_jobs(const Wanted &wanted, std::int64_t most)
{
    if (!logic::waiting(wanted.status) && !logic::has_ended(wanted.status))
        return std::nullopt;
    store::KeyTable table(logic::waiting(wanted.status) ? PrivateTable::queue : PrivateTable::ended, AccessShareLock);
    table.unlock_when_closed();
    const std::optional<std::int64_t> entries = count_entries(table, wanted, 2 * most);
    if (!entries)
        return std::nullopt;
    // Each row that the snapshot shows has its entry since before, so there are not more of them.
    const auto room = static_cast<std::size_t>(std::min(*entries, most));
    auto list = static_cast<pg_uuid_t *>(pg::allocate(sizeof(pg_uuid_t) * room));
    std::size_t count = 0;
    const bool are_all = each_named(table, wanted, [&](const pg_uuid_t &job) {
        if (count == room)
            return false;
        list[count++] = job;
        return true;
    });
    return are_all ? std::optional(std::span<const pg_uuid_t>(list, count)) : std::nullopt;
}

std::span<const pg_uuid_t> newest_of(std::span<const pg_uuid_t> named, const Wanted &wanted, std::int64_t count)
{
    auto list = static_cast<Aged *>(pg::allocate(sizeof(Aged) * named.size()));
    Aged *end = list;
    store::JobLookup look;
    for (const pg_uuid_t &job : named) {
        CHECK_FOR_INTERRUPTS();
        if (!look.find(job))
            continue;
        if (const auto created_at = age_if_wanted(look, wanted))
            *end++ = {*created_at, job};
    }
    if (count < end - list) {
        std::nth_element(list, list + count, end, [](const Aged &a, const Aged &b) { return a.is_newer(b); });
        end = list + count;
    }
    auto ids = static_cast<pg_uuid_t *>(pg::allocate(sizeof(pg_uuid_t) * static_cast<std::size_t>(end - list)));
    std::transform(list, end, ids, [](const Aged &aged) { return aged.id; });
    return {ids, static_cast<std::size_t>(end - list)};
}

} // namespace verbs
