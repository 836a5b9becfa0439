// How many jobs of a type wait, are due and run, without reading all of them: the rows of the queue are counted as long
// as they are few, and beyond that the depth that is added up at each commit (logic::Depth) tells how many there are.
//
// All of it is read under the active snapshot. What is told of a depth is what has committed by now, so of a long queue
// the answer is newer than the snapshot by what others did meanwhile.
#pragma once

#include "logic/job_statistics.hpp"
#include "store/queue_scan.hpp"

namespace store::depth {

struct Waiting {
    std::int64_t waiting = 0, due = 0;
    std::optional<TimestampTz> oldest_due = {};
};

// Of a lane. `told`: by the statistics; nothing: they do not say, so all rows are counted. Else `most` are, and where
// there are more, `waiting` is what is told, and `due` follows from it if not so many are due later: a row for row
// count of the due ones, or of the later ones, whichever ends first, of 100 times `most` at most. If neither ends, it
// is that many: there are no fewer.
Waiting of_lane(KeyTable &queue, std::int32_t lane, TimestampTz now, std::optional<std::int64_t> told,
                std::int64_t most);

// Jobs of any types, counted by type.
class JobsByType {
public:
    // Opens `jobs`, to look under the active snapshot for the types.
    JobsByType();

    // One that is gone is not counted.
    void add(const pg_uuid_t &job);
    std::int64_t of_type(std::string_view type) const;

private:
    pg::OpenRelation jobs_, by_id_;
    AttrNumber type_column_;
    pg::IndexLookup lookup_;
    pg::Slot slot_;
    HTAB *counts_;
};

// The running jobs by type.
class Running {
public:
    // Counts them all, or `most` and no further.
    Running(KeyTable &queue, std::int64_t most);

    bool are_all() const { return all_; }
    std::int64_t of_type(std::string_view type) const { return jobs_.of_type(type); }

private:
    JobsByType jobs_;
    bool all_ = true;
};

constexpr std::int64_t all_there_are = PG_INT64_MAX;

} // namespace store::depth
