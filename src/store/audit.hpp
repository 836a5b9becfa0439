// The audit: whether the derived tables say what `jobs` says. A difference is a defect of ours, or a superuser
// wrote to a derived table: the audit is the net under all the code that keeps them in step. The worker runs
// it in slices, a session at once in jobs_ext.check().
//
// A session that writes a job writes its keys in the same transaction. So under one MVCC snapshot, whichever, the
// tables agree, whatever other sessions do meanwhile: the audit locks no row, waits for no writer and raises no false
// alarm. What could raise one, and why it does not:
//
//  - A session wrote to `jobs` while a trigger of ours was off. The derived tables then count as not built, until the
//    next writer builds them. The audit asks after it took its snapshot, and compares with the build that the snapshot
//    shows: if the triggers are still those of that build, none of them was off in between (compare_with_build()).
//  - TRUNCATE empties a table under every snapshot at once. The audit locks all tables before it takes the snapshot,
//    which keeps TRUNCATE out until the end.
//  - At REPEATABLE READ the transaction's snapshot may be older than a build in the same transaction. The audit always
//    takes the newest.
//  - A dropped constraint let in a job with nulls, or with an unknown status. Such a job has no key, and no fault.
//
// One false alarm is left: a call from a trigger in the middle of a statement that changes `jobs` sees rows whose keys
// are written after the trigger.
//
// Tables are walked by blocks, so that a slice reads no more than its blocks. A job that is updated between two slices
// may move to a block that was walked already: it is met in the next pass. A fault that matters, a key that no writer
// comes to, stands still.
#pragma once

#include "store/jobs.hpp"

namespace store::audit {

enum class Kind : std::uint8_t {
    missing,     // `jobs` asks for a key that is not there, as far as the index knows
    orphan,      // a key without a job
    wrong_key,   // the job asks for another key, or for none
    not_indexed, // a row that its index does not know
};

struct Fault {
    Kind kind;
    DerivedTable table;
    const pg_uuid_t *job;
    Key key;
    ItemPointerData place; // of the row of the derived table, unless it is missing
};

// The parts of a walk, by number: 0 is `jobs`, read for keys that are missing; the others are the derived tables, read
// for keys that should not be there.
constexpr int part_count = 1 + static_cast<int>(derived_tables.size());

// All tables, open and locked in ACCESS SHARE, under one snapshot, which is the active one as long as this lives.
class Comparison {
public:
    // Raises 42P01 and 42804 as open_table() and open_private() do.
    Comparison();
    ~Comparison();
    Comparison(const Comparison &) = delete;
    Comparison &operator=(const Comparison &) = delete;

    // Whether there is anything to compare: no trigger of ours was off since the tables were built. If false, walk()
    // would report differences that the next build repairs.
    bool is_built() const { return is_built_; }

    BlockNumber blocks(int part) const;

    // Calls `found(const Fault &)` for each fault in `count` blocks of a part from block `first` on; fewer where the
    // table ends. `found` may call mend(), whose snapshot is its own. The fault lives until `found` returns.
    template <class Found>
    void walk(int part, BlockNumber first, BlockNumber count, Found found)
    {
        walk(
            part, first, count, [](void *argument, const Fault &fault) { (*static_cast<Found *>(argument))(fault); },
            &found);
    }

    // The fault for a message: "queue: missing (lane 1, rank 0, due_at 2030-01-01 00:00:00+00)".
    char *describe(const Fault &fault);

private:
    using FoundIt = void (*)(void *argument, const Fault &fault);
    void walk(int part, BlockNumber first, BlockNumber count, FoundIt found, void *argument);
    void look_at_job(TupleTableSlot *slot, FoundIt found, void *argument);
    void look_at_key(DerivedTable table, TupleTableSlot *slot, FoundIt found, void *argument);
    KeyTable &open(DerivedTable table) { return *derived_[static_cast<std::size_t>(table)]; }
    Relation relation_of(int part) const;

    pg::OpenRelation jobs_;
    Tables tables_; // as they are under that lock
    pg::OpenRelation by_id_index_;
    std::optional<pg::IndexLookup> by_id_;
    std::optional<pg::Slot> job_;
    std::array<std::optional<KeyTable>, derived_tables.size()> derived_;
    pg::RowMemory memory_;
    bool is_built_;
};

enum class Mended : std::uint8_t {
    yes,
    busy, // another session holds the job, or changed it in between: to be looked at again
    gone, // there is no such fault any more
};

// Looks again, with a snapshot of its own and the job locked as any writer locks it, and mends what is still wrong. The
// race: a session changes the job between the walk and this. Safe because the lock is on the newest version of the job,
// and its key under the same snapshot is then the newest as well (key_table.hpp). Waits for no job. To be called at
// READ COMMITTED only, because at REPEATABLE READ the snapshot may be older than what is to be mended. Raises 42P01 and
// 42804 as Jobs::open() does; to be called in a subtransaction, so that one fault that raises leaves the others.
Mended mend(const Fault &fault);

} // namespace store::audit
