// The table `jobs_archive`: a partition for each month in which jobs finished, made ahead; what no month takes goes to
// the default partition. Whatever is the user's here runs as the table's owner.
#pragma once

#include "store/jobs.hpp"

namespace store::archive {

// A month of UTC by its first instant; nothing before 1970 and for what is no time: the default partition takes it.
std::optional<TimestampTz> month_of(TimestampTz instant);
TimestampTz next_month(TimestampTz month);

// Its partitions, as they are now.
class Months {
public:
    explicit Months(LOCKMODE lock);

    // Again, as they are now: others may attach one as long as they have no partition that it takes jobs from locked.
    void look();

    // Whether no partition but the default one takes a job that finished at this time.
    bool lacks(TimestampTz instant) const;

    // Calls `each(Oid, TimestampTz month)` for the months that we made, oldest first, until it says false.
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

    // Where such a job goes; InvalidOid: nowhere, or nobody knows without asking Postgres.
    Oid partition_for(TimestampTz instant) const;

private:
    bool is_by_time() const;
    int position_of(TimestampTz instant) const;
    std::optional<TimestampTz> month_of_ours(int bound) const;

    pg::OpenRelation table_;
    PartitionDesc partitions_ = nullptr;
    PartitionBoundInfo bounds_ = nullptr; // null: it is not partitioned as we do it
};

// 42501 unless all partitions, and theirs, belong to the owner of `jobs`: who writes to the archive by SQL, or makes a
// month of it, runs what stands on them. They stay so until the end of the transaction.
void require_one_owner();

// Makes the partition of a month. False: it can't be, since the default partition holds jobs of that month already, or
// another one of the user's takes a part of it. 55P03 when somebody reads the archive for long.
bool create_month(TimestampTz month);

// Until the end of the transaction nobody else makes or drops months: two that do would each wait for what the other
// has of the archive. False: somebody does, and is not waited for.
bool lock_months();

// Locks the partition to which such a job goes, to be written, until the end of the transaction. False: somebody has it
// to himself, and this process waits for no table.
bool lock_partition_for(TimestampTz instant);

// Drops a month with its jobs. 55P03 as well.
void drop_month(Oid partition);

// Puts jobs into it, many of them.
class Writer {
public:
    explicit Writer(Relation jobs);
    Writer(const Writer &) = delete;
    Writer &operator=(const Writer &) = delete;

    // Copies the job that `jobs` just found: the columns that both tables have, also those of the user's. One that is
    // in the archive already stays as it is there.
    void add(Jobs &jobs, const Row &job, TimestampTz now, pg::Nullable attempts);

private:
    // Where a column's value comes from: a column of `jobs`, or one of these.
    static constexpr AttrNumber nowhere = 0, archived_at = -1, attempts_json = -2;

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

    // Looks again, where code of the user's may have made something of his since it was looked at.
    void look();
    AttrNumber *sources(Relation table) const;
    bool is_plain(Relation table, const AttrNumber *source) const;
    Target *target_for(TimestampTz finished_at);
    void open_target(Oid oid);
    pg::Nullable value(TupleTableSlot *found, AttrNumber source, Datum now, pg::Nullable attempts) const;
    void add_directly(Target &target, TupleTableSlot *found, TimestampTz now, pg::Nullable attempts);
    void add_by_statement(TupleTableSlot *found, const Row &job, TimestampTz now, pg::Nullable attempts);

    Relation jobs_;
    MemoryContext memory_ = CurrentMemoryContext;
    Months months_;
    pg::OpenRelation table_;
    std::uint64_t looked_at_; // changes_of_relations() at that time
    AttrNumber *source_ = nullptr;
    bool in_the_way_;
    bool has_one_owner_ = false; // as far as that was asked
    bool has_key_;               // a unique constraint on (id, finished_at) that ON CONFLICT may name
    Oid target_oid_ = InvalidOid;
    std::optional<Target> target_;
};

} // namespace store::archive
