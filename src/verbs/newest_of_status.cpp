#include "verbs/newest_of_status.hpp"

#include <algorithm>

#include "store/queue_scan.hpp"
#include "store/tables.hpp"

namespace verbs {

namespace {

using logic::Status;
using store::PrivateTable;

// Whether the queue names the jobs of the status. No derived table names all of those that ended.
bool is_in_queue(Status status) { return logic::waiting(status); }

// Calls `each(job)` for the jobs that wait, as long as it returns true. False: it did not to the end.
template <class Each>
bool each_waiting(Each each)
{
    store::KeyTable queue(PrivateTable::queue, AccessShareLock);
    queue.unlock_when_closed();
    store::RunScan run(queue, GetActiveSnapshot(), store::Hints{});
    for (auto lane = store::next_lane(queue, logic::running_lane); lane; lane = store::next_lane(queue, *lane))
        for (std::int16_t rank = logic::best_rank; rank <= logic::worst_rank; ++rank) {
            run.start(*lane, rank, logic::before_all, DT_NOEND);
            while (const store::Candidate *found = run.next())
                if (!each(found->job))
                    return false;
        }
    return true;
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

// Looks jobs up by their ids.
class Look {
public:
    Look()
        : jobs_(store::open_table(store::ApiTable::jobs, AccessShareLock)), tables_(store::tables()),
          by_id_(store::open_index_of_jobs(jobs_, tables_, store::Column::id, AccessShareLock)), lookup_(jobs_, by_id_),
          slot_(jobs_)
    {
    }

    // When the job was created, if it has the status.
    std::optional<TimestampTz> age_of(const pg_uuid_t &id, Status status)
    {
        static constexpr RegProcedure equal[] = {F_UUID_EQ};
        const Datum keys[] = {UUIDPGetDatum(&id)};
        if (!lookup_.find(keys, equal, slot_))
            return std::nullopt;
        const pg::Nullable is = value_of(store::Column::status), created_at = value_of(store::Column::created_at);
        if (!is || !created_at || pg::text_view(is.value) != logic::name_of_status(status))
            return std::nullopt;
        return store::as_time(created_at.value);
    }

private:
    pg::Nullable value_of(store::Column column)
    {
        bool null;
        const Datum value = slot_getattr(slot_, tables_.number[store::index_of(column)], &null);
        return {value, null};
    }

    pg::OpenRelation jobs_;
    store::Tables tables_;
    pg::OpenRelation by_id_;
    pg::IndexLookup lookup_;
    pg::Slot slot_;
};

} // namespace

std::optional<std::span<const pg_uuid_t>> newest_of_status(Status status, std::optional<TimestampTz> before,
                                                           std::int64_t count, std::int64_t most)
{
    std::int64_t all = 0;
    if (!is_in_queue(status) || !each_waiting([&](const pg_uuid_t &) { return ++all <= most; }))
        return std::nullopt;
    auto list = static_cast<Aged *>(pg::allocate(sizeof(Aged) * static_cast<std::size_t>(all)));
    Aged *end = list;
    Look look;
    each_waiting([&](const pg_uuid_t &job) {
        if (const auto created_at = look.age_of(job, status); created_at && (!before || *created_at < *before))
            *end++ = {*created_at, job};
        return end < list + all; // under one snapshot they are as many as before
    });
    if (count < end - list) {
        std::nth_element(list, list + count, end, [](const Aged &a, const Aged &b) { return a.is_newer(b); });
        end = list + count;
    }
    auto ids = static_cast<pg_uuid_t *>(pg::allocate(sizeof(pg_uuid_t) * static_cast<std::size_t>(end - list)));
    std::transform(list, end, ids, [](const Aged &aged) { return aged.id; });
    return std::span<const pg_uuid_t>(ids, static_cast<std::size_t>(end - list));
}

} // namespace verbs
