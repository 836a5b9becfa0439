// Reads jobs by their ids, straight from the table: for callers whom no policy and no missing privilege keeps from any
// row. Under the active snapshot.
#pragma once

#include "store/row.hpp"
#include "store/tables.hpp"

namespace store {

class JobLookup {
public:
    // Opens `jobs`, before any derived table.
    JobLookup()
        : jobs_(open_table(ApiTable::jobs, AccessShareLock)), tables_(tables()),
          by_id_(open_index_of_jobs(jobs_, tables_, Column::id, AccessShareLock)), lookup_(jobs_, by_id_), slot_(jobs_)
    {
    }

    // False: no such job is visible.
    bool find(const pg_uuid_t &id)
    {
        static constexpr RegProcedure equal[] = {F_UUID_EQ};
        const Datum keys[] = {UUIDPGetDatum(&id)};
        return lookup_.find(keys, equal, slot_);
    }

    // A column of the job that find() found, valid until the next one.
    pg::Nullable value(Column column) const
    {
        bool null;
        const Datum value = slot_getattr(slot_, tables_.number[index_of(column)], &null);
        return {value, null};
    }
    std::optional<TimestampTz> time(Column column) const
    {
        const pg::Nullable found = value(column);
        return found ? std::optional(as_time(found.value)) : std::nullopt;
    }
    std::optional<logic::Status> status() const
    {
        const pg::Nullable found = value(Column::status);
        return found ? logic::parse_status(pg::text_view(found.value)) : std::nullopt;
    }

private:
    pg::OpenRelation jobs_;
    Tables tables_;
    pg::OpenRelation by_id_;
    pg::IndexLookup lookup_;
    pg::Slot slot_;
};

} // namespace store
