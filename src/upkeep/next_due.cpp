#include "upkeep/next_due.hpp"

#include "pg/time.hpp"
#include "store/run_scan.hpp"
#include "upkeep/ended_lanes.hpp"
#include "upkeep/work.hpp"

namespace upkeep {

namespace {

class Earliest {
public:
    Earliest() { dues_.fill(DT_NOEND); }
    void add(Task task, TimestampTz instant)
    {
        TimestampTz &due = dues_[static_cast<std::size_t>(task)];
        due = std::min(due, instant);
    }
    TimestampTz of(Task task) const { return dues_[static_cast<std::size_t>(task)]; }
    Dues dues() const { return dues_; }

private:
    Dues dues_;
};

// The scan is in the order of time, so the first job that upkeep would try has the earliest time. The loop is bounded
// by the jobs that rest, not by the length of the table.
TimestampTz first_of(store::RunScan &&run, const Skip &skip)
{
    while (const store::Candidate *next = run.next())
        if (!skip(&next->job))
            return next->key.due_at;
    return DT_NOEND;
}

// The oldest job of a run leaves first, because all jobs of a run are kept for the same span.
void add_ended(const Skip &skip, store::Hints hints, Earliest &earliest)
{
    const store::KeyTable table(store::PrivateTable::ended, AccessShareLock);
    const auto may = [&](const Keep &keep, TimestampTz ended_at) {
        return keep.span && end_of(keep, ended_at) < earliest.of(keep.task);
    };
    each_ended_run(table, hints, 0, may, [&](std::int32_t lane, std::int16_t rank, const Keep &keep) {
        earliest.add(keep.task, end_of(keep, first_of(store::RunScan(table, lane, rank, DT_NOEND, hints), skip)));
        return true;
    });
}

} // namespace

bool Skip::operator()(const pg_uuid_t *job) const { return set_aside.is_waiting(job, now_) || contended_for(job) > 0; }

Dues next_due(TimestampTz now)
{
    const store::Hints hints = store::note_hints();
    PushActiveSnapshot(GetTransactionSnapshot());
    const store::Tables tables = store::tables();
    Earliest earliest;
    if (!tables.is_queue_built()) {
        // A piece opens `jobs` for writing, which builds the derived tables. Until then there is nothing to read here.
        earliest.add(Task::reap, now);
    } else {
        const Skip skip(now);
        const store::KeyTable queue(store::PrivateTable::queue, AccessShareLock),
            expiring(store::PrivateTable::expiring, AccessShareLock);
        earliest.add(Task::reap, first_of(store::RunScan(queue, logic::running_lane, 0, DT_NOEND, hints), skip));
        earliest.add(Task::expire, first_of(store::RunScan(expiring, DT_NOEND, hints), skip));
        add_ended(skip, hints, earliest);
        // Also those whose job is gone or needs nothing any more: review() removes their rows, once they are due.
        skip.set_aside.each([&](const SetAside::Entry &entry) {
            for (const Task task : all_tasks)
                if (std::strcmp(entry.task, name_of_task(task)) == 0)
                    earliest.add(task, std::max(entry.retry_at, now + contended_for(&entry.job)));
        });
        // The list does not say which task met the job, so all of them look.
        if (const auto in = next_contended())
            for (const Task task : all_tasks)
                earliest.add(task, now + *in);
    }
    PopActiveSnapshot();
    return earliest.dues();
}

} // namespace upkeep
