// Reads one run of a derived table in the order of its time: a lane and rank of queue or ended, or all of a table whose
// key is (time, job). Dead rows of jobs that were there before cost as much as others while an old snapshot is held, so
// with hints (shared/hints.hpp) a run begins where its first row may stand, and raises the hint by what it saw.
//
// The race: while a session scans, others take the jobs that it finds, and bring new ones. The scan locks nothing and
// shows the table as of its snapshot, so a Candidate is a proposal: another session may have taken the job since. The
// caller locks the row of `jobs` and compares its key with the candidate's before it acts (verbs/claim.cpp,
// upkeep/reap.cpp). A job that became visible after the snapshot is left to the next look, of which its session tells
// at commit (shared/at_commit.cpp).
#pragma once

#include "store/key_table.hpp"

namespace store {

// A row of a derived table: the job, and the key by which it was found.
struct Candidate {
    logic::QueueKey key;
    pg_uuid_t job;
    ItemPointerData tid; // of the row in the derived table, under the snapshot of the scan
};

// What reading with hints needs: how many lowerings had been counted before the snapshot was taken. 0: without hints.
struct Hints {
    logic::LoweringCount since = 0;
    explicit operator bool() const { return since != 0; }
};
// To be called before the snapshot is taken under which a scan will read. Outside READ COMMITTED nobody uses hints:
// such a snapshot may be older than they are.
Hints note_hints();

// The hints of a lane (0: of a table without lanes), brought down to what this transaction brought itself. False: it
// has none. It gets room for some by who looks at many lanes (shared::hints::find_due), and by a RunScan that meets a
// row of it.
bool read_places(const KeyTable &table, std::int32_t lane, Hints hints, shared::hints::Places &places);
inline logic::Place &place_at(shared::hints::Places &places, std::int16_t rank)
{
    return places[static_cast<std::size_t>(rank - logic::best_rank)];
}

// The scan keys of a run: of a lane and rank, or of a table without (0, 0), what stands from `from` on and not behind
// `upto`; both count. `upto` is of the same time, or the last place of a later one. Points into itself.
class RunKeys {
public:
    RunKeys(const KeyTable &table, std::int32_t lane, std::int16_t rank, const logic::Place &from,
            const logic::Place &upto);
    RunKeys(const RunKeys &) = delete;
    RunKeys &operator=(const RunKeys &) = delete;

    // Lets the scan, which asks with count_of(table) keys, begin. It must not outlive this.
    void begin(IndexScanDesc scan) { index_rescan(scan, keys_.data(), count_, nullptr, 0); }
    static int count_of(const KeyTable &table);

private:
    void add_key(AttrNumber column, StrategyNumber strategy, RegProcedure compare, Datum value);
    void add_keys_within(AttrNumber time);
    void add_keys_across(AttrNumber time);

    logic::Place from_, upto_;
    std::array<ScanKeyData, 2> from_columns_; // (time, job)
    std::array<ScanKeyData, 5> keys_;
    int count_;
};

class RunScan {
public:
    // The caller keeps `snapshot` active or registered as long as the scan, because an index scan does not register it.
    RunScan(const KeyTable &table, Snapshot snapshot, Hints hints);
    // The same, under the active snapshot, and starts one run from its hint or its beginning; of a table whose key is
    // (lane, rank, time, job), or (time, job).
    RunScan(const KeyTable &table, std::int32_t lane, std::int16_t rank, TimestampTz until, Hints hints);
    RunScan(const KeyTable &table, TimestampTz until, Hints hints) : RunScan(table, 0, 0, until, hints) {}
    ~RunScan();
    RunScan(const RunScan &) = delete;
    RunScan &operator=(const RunScan &) = delete;

    // Starts a run: what stands from `from` on, and is not later than `until`; both count. `from` is not behind the
    // hint.
    void start(std::int32_t lane, std::int16_t rank, const logic::Place &from, TimestampTz until);
    // Ends it, which raises its hint; so does the end of the scan, but not an error.
    void leave();

    // From now on a row whose job a claim is just taking counts as going: for claims.
    void heed_takers() { heeds_takers_ = true; }

    // The next row of the run, or null where there is none. Overwritten by the next call. Lets a cancel in.
    const Candidate *next();

    // The caller is going to move the row that next() gave, and tells others to leave it (shared/takers.hpp): the hint
    // goes past it at once, unless it stops before. Or it did not, and has lowered the hint.
    void pass();
    void stay();
    // Whether another transaction is removing that row, or is about to, or has removed it since the snapshot. Known
    // with hints only.
    bool is_going() const { return is_going_; }

private:
    void begin_stretch(const logic::Place &from);
    bool next_row();
    void note_fence();
    logic::Place first_after_run();
    void raise(const logic::Place &end);

    const KeyTable &table_;
    Snapshot snapshot_;
    Hints hints_;
    IndexScanDesc scan_;
    IndexScanDesc tuples_ = nullptr; // reads index tuples without a look at the heap
    pg::Slot slot_;
    bool in_run_ = false;
    std::int32_t lane_ = 0;
    std::int16_t rank_ = 0;
    TimestampTz until_ = DT_NOEND;
    logic::Place upto_ = logic::after_all; // the end of the stretch of the run that the scan reads now
    bool wants_fence_ = false;
    std::optional<RunKeys> keys_;
    logic::Place last_ = logic::before_all;   // the last row that it came to, or where it began
    std::optional<logic::Place> stop_;        // the first row that it saw and that stays: there the hint stops
    logic::Place raised_ = logic::before_all; // how far it has raised the hint, or where that was
    bool is_going_ = false;
    bool heeds_takers_ = false;
    bool wants_room_ = false; // for hints, as soon as it meets a row
    Candidate current_ = {};
};

} // namespace store
