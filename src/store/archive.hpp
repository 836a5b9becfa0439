// The table `jobs_archive`: a partition for each month in which jobs finished, made ahead; the default partition takes
// what no month takes. Triggers, constraints and expressions that the user put on it run as the table's owner.
//
// Upkeep meets here, which moves jobs in and makes and drops months (a worker, or sessions in job_maintain()), with
// owners, who attach, detach and alter partitions; readers. What can happen between two steps, and why it does no harm:
//
//   - A month is made or attached while the Writer waits for the default partition's lock. ATTACH and CREATE TABLE …
//     PARTITION OF take ACCESS EXCLUSIVE on the default partition, because its implicit constraint changes. So once the
//     Writer has that lock it looks again at what partitions there are (Writer::target_for()), and nobody can add one
//     until its transaction ends. Without that, a job could stand in the default partition where a query for its month,
//     which is pruned to the month's partition, never looks.
//   - DETACH and DROP of a partition take ACCESS EXCLUSIVE on the parent first: they wait for the Writer, which holds
//     the parent. ALTER of a partition waits for the Writer's lock on that.
//   - Two processes make or drop months at once: lock_months() lets one.
//   - Code of the user's, run in the middle by an insert, makes a trigger, rule or constraint on the archive. It cannot
//     alter what is open here (55006), but what it made must be met: the Writer looks again (Writer::look()).
//   - ROLLBACK or a crash: the copy and the DELETE of the job are one transaction, so a job is in one of the two
//     tables. An archived job that was brought back to `jobs` by hand is archived again: the older copy stays
//     (Writer::add()).
#pragma once

#include "store/jobs.hpp"

namespace store::archive {

// The month, in UTC, of this time: its first instant. Nothing for infinity and for years before 1970 or after 9999:
// no job ends then unless its time was written by hand, and names of partitions have four digits for the year. The
// default partition takes such jobs.
std::optional<TimestampTz> month_of(TimestampTz instant);
// The first instant of the month after the one that begins then.
TimestampTz next_month(TimestampTz month);

// The partitions of `jobs_archive`. An archive that its owner partitions otherwise, or not at all, is left alone.
class Months {
public:
    // Locks `jobs_archive` until the end of the transaction and looks. Raises 42P01, 42804 and 42501 as open_table()
    // does.
    explicit Months(LOCKMODE lock);

    // Reads the list of partitions anew. The lock on the parent does not keep it as it is: ATTACH takes SHARE UPDATE
    // EXCLUSIVE there, which lets writers go on.
    void look_at_months();

    // Whether no partition but the default one takes a job that finished at this time.
    bool lacks(TimestampTz instant) const;

    // Calls `each(Oid, TimestampTz month)` for the months that we made, oldest first, until it says false. Those that
    // the owner attached are the owner's to drop.
    template <class Each>
    void each_of_ours(Each each) const
    {
        if (bounds_ == nullptr)
            return;
        for (int i = 1; i < bounds_->ndatums; ++i) {
            const std::optional<TimestampTz> month = month_of_ours(i);
            if (month && !each(partitions_->oids[bounds_->indexes[i]], *month))
                return;
        }
    }

    // The partition for a job that finished at this time; InvalidOid: there is none, or only Postgres can tell, because
    // the archive is not partitioned as we do it. Not locked: it may be gone before the caller opens it.
    Oid partition_for(TimestampTz instant) const;

private:
    bool is_by_time() const;
    int position_of_month(TimestampTz instant) const;
    std::optional<TimestampTz> month_of_ours(int bound) const;

    pg::OpenRelation table_;
    // Both point into the relcache, which keeps a descriptor that was replaced until the table is closed.
    PartitionDesc partitions_ = nullptr;
    PartitionBoundInfo bounds_ = nullptr; // null: it is not partitioned as we do it
};

// Raises 42501 unless all partitions, and their partitions, belong to the owner of `jobs`: an INSERT into the archive
// and the making of a month run what stands on them, and run it as the archive's owner. It locks them all in ACCESS
// SHARE until the end of the transaction, because ALTER … OWNER has to wait for that.
void require_one_owner();

// Makes the partition of a month, given by its first instant. False: it cannot be made, because the default partition
// holds jobs of that month already, another partition takes a part of it, or the name is taken. Raises 55P03 when
// another session holds the archive or its default partition for more than 100 ms: so long a reader of the archive may
// wait behind us, and no longer. Raises 42501 as require_one_owner() does. To be called under lock_months().
bool create_month(TimestampTz month);

// Until the end of the transaction no other process makes or drops months. Two that did could deadlock, each with
// locks on a part of the archive. False: another process does, and is not waited for, because it does
// what this one came for. A lock of our own, not one on the table, so that no VACUUM or reader is in the way.
bool lock_months();

// Locks the partition for jobs that finished at this time, to be written, until the end of the transaction. Called for
// the whole piece before its first job: a lock that is not to be had then holds those jobs back; met in the middle it
// would look like a fault of the job, which would be set aside. False: another session has the partition to itself,
// and this process waits for no table. A hint only: target_for() looks again.
bool lock_partition_for(TimestampTz instant);

// Drops the partition of a month with its jobs. Raises 55P03 as create_month() does, 42501 where the partition belongs
// to another role than `jobs`, and what DROP TABLE raises where an object depends on it (2BP01). The caller has held
// the archive since it looked the partition up, so that nobody dropped it meanwhile.
void drop_month(Oid partition);

// What a job leaves in other tables, as jsonb: attempts::as_json(), steps::as_json().
struct Left {
    pg::Nullable attempts, steps;
};

// Copies jobs into the archive, the many of one piece. It keeps one partition open, because most jobs of a piece
// finished in the same month.
class Writer {
public:
    // `jobs` must stay open as long as this. Raises 42P01, 42804 and 42501 as open_table() does.
    explicit Writer(Relation jobs);
    Writer(const Writer &) = delete;
    Writer &operator=(const Writer &) = delete;

    // Copies the job that `jobs` just found and locked: the columns that both tables have by name and type, the user's
    // own too; `now` becomes archived_at. Where the archive has a row with its
    // id and finished_at already, that row stays as it is. Raises 09000 where a trigger or rule kept the row out,
    // because the caller is about to delete the job; 42804 for an archive of more than 100 columns to be written by
    // SQL; 42501 as require_one_owner() does; and whatever code of the user's raises.
    void add(Jobs &jobs, const Row &job, TimestampTz now, const Left &left);

private:
    // Where a column's value comes from: the number of a column of `jobs`, or one of these. `nowhere`: its default.
    static constexpr AttrNumber nowhere = 0, archived_at = -1, attempts_json = -2, steps_json = -3;

    struct Target {
        explicit Target(Oid oid) : table(oid, RowExclusiveLock), slot(table), writer(table) {}
        pg::OpenRelation table;
        pg::Slot slot;
        pg::TableWriter writer;
        AttrNumber *source = nullptr;  // by column
        std::array<AttrNumber, 2> key; // id, finished_at
        bool has_key = false;          // an index that keeps it unique
        bool direct = false;
    };

    // Describes archive and partitions anew: what was known may be stale since code of the user's ran.
    void look();
    AttrNumber *sources(Relation table) const;
    bool is_plain(Relation table, const AttrNumber *source) const;
    Target *target_for(TimestampTz finished_at);
    void open_target(Oid oid);
    pg::Nullable column_value(TupleTableSlot *found, AttrNumber source, Datum now, const Left &left) const;
    void add_directly(Target &target, TupleTableSlot *found, TimestampTz now, const Left &left);
    void add_by_statement(TupleTableSlot *found, const Row &job, TimestampTz now, const Left &left);

    Relation jobs_;
    MemoryContext memory_ = CurrentMemoryContext;
    Months months_;
    pg::OpenRelation table_;
    std::uint64_t looked_at_; // changes_of_relations() before the last look(): any relation, a partition's counts
    AttrNumber *source_ = nullptr;
    bool in_the_way_;
    bool has_one_owner_ = false; // require_one_owner() passed since the last look()
    bool has_key_;               // a unique constraint on (id, finished_at) that ON CONFLICT may name
    Oid target_oid_ = InvalidOid;
    std::optional<Target> target_;
};

} // namespace store::archive
