// The audit: whether queue, failed, expiring and ended say what `jobs` says. A difference is a defect of ours, or the
// work of a superuser's hands: this is the net under all the code that keeps them in step.
//
// Who writes a job writes its keys in the same transaction. So under one MVCC snapshot, whichever, the tables agree,
// whatever other sessions are doing meanwhile: the audit locks no row, waits for nobody's transaction and raises no
// false alarm. What could, and why it does not:
//
//  - Triggers of ours that were off while somebody wrote to `jobs`. The tables then count as not built, until the next
//    writer builds them. The question is asked after the snapshot was taken, and answered by the build that the
//    snapshot sees: if the triggers are still those of that build, none of them was off in between
//    (compare_with_build).
//  - TRUNCATE, which empties tables under every snapshot at once. All tables are locked before the snapshot is taken,
//    which keeps it out until the end.
//  - REPEATABLE READ, whose snapshot may be older than a build in the same transaction. The audit always takes the
//    newest.
//  - A row that a dropped constraint let in with nulls, or with an unknown status. It stands in no table; it has no
//    faults.
//
// One is left: a call from a trigger in the middle of a statement that changes `jobs` sees rows whose keys are yet to
// come.
//
// Tables are walked by blocks, so that a slice of them is all that is read. A job that is updated between two slices
// may move to a block that was walked already: it is met again in the next pass. A fault that matters stands still.
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

// What is walked: `jobs`, for what is missing; then each derived table, for what is there and should not be.
constexpr int part_count = 1 + static_cast<int>(derived_tables.size());

// All of them, open and locked against TRUNCATE, under one snapshot, which is the active one meanwhile.
class Comparison {
public:
    Comparison();
    ~Comparison();
    Comparison(const Comparison &) = delete;
    Comparison &operator=(const Comparison &) = delete;

    // Whether there is anything to compare: triggers of ours were not off since the tables were built.
    bool is_built() const { return is_built_; }

    BlockNumber blocks(int part) const;

    // Calls `found(const Fault &)` for each fault in these blocks of a part; it may mend it.
    template <class Found>
    void walk(int part, BlockNumber first, BlockNumber count, Found found)
    {
        walk(
            part, first, count, [](void *argument, const Fault &fault) { (*static_cast<Found *>(argument))(fault); },
            &found);
    }

    // For people: "queue: missing (lane 1, rank 0, due_at 2030-01-01 00:00:00+00)".
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
    busy, // somebody holds the job, or changed it in between: to be looked at again
    gone, // there is no such fault any more
};

// Looks again, by a snapshot of its own and with the job locked as any writer locks it, and mends what is still wrong.
// In READ COMMITTED only: elsewhere the snapshot may be older than what is to be mended.
Mended mend(const Fault &fault);

} // namespace store::audit
