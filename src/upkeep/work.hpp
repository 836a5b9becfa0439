// What the tasks of upkeep do to single jobs. reap.cpp, unblock.cpp and archive.cpp fill in a Work for each task,
// piece.cpp runs it.
//
// Every Work follows one protocol, which keeps it safe beside sessions and other processes at upkeep:
//   1. `find` reads keys from a derived table under the snapshot of the piece. It locks no job.
//   2. `act` looks at the job again, under the newer snapshot of its subtransaction, locks the newest version without
//      waiting, and compares it with the key of 1. If they differ the job has changed, and only a stale key is removed.
//   3. `act` writes; what follows from the change is written too (store/transition.hpp).
#pragma once

#include "store/archive.hpp"
#include "store/queue_scan.hpp"
#include "store/types.hpp"
#include "upkeep/contended.hpp"
#include "upkeep/set_aside.hpp"
#include "upkeep/suspects.hpp"
#include "upkeep/task.hpp"

namespace upkeep {

// Whether a job is not to be tried now: it is set aside and rests, or another session held it a moment ago.
class Skip {
public:
    explicit Skip(TimestampTz now) : now_(now) {}
    bool operator()(const pg_uuid_t *job) const;

    const SetAside set_aside;

private:
    TimestampTz now_;
};

// The jobs that a piece is to try, read before it does anything: piece_size of them, and 50 suspects besides. Suspects
// have places of their own because they stay due: with 500 of them in front of the scan no other job would be read, and
// none could pass that tells whose fault it is.
class Candidates {
    static constexpr int most_suspects = 50;

public:
    static constexpr int most = piece_size + most_suspects;

    void add(const store::Candidate &candidate, const Skip &skip)
    {
        if (contended_for(&candidate.job) > 0) {
            ++contended_;
            return;
        }
        if (skip(&candidate.job))
            return;
        const bool is_suspect = suspects::is_one(&candidate.job);
        has_left_out_ = has_left_out_ || (is_suspect && suspects_ == most_suspects);
        if (is_suspect && suspects_ == most_suspects)
            return;
        suspects_ += is_suspect ? 1 : 0;
        list_[count_++] = candidate;
    }
    bool full() const { return count_ - suspects_ == piece_size; }
    bool has_left_out() const { return has_left_out_; }
    std::span<store::Candidate> all() const { return {list_, static_cast<std::size_t>(count_)}; }
    void truncate(int count) { count_ = count; }
    // How many jobs were found to be due, those included that are left since another session held them a moment ago.
    int due() const { return count_ + contended_; }

private:
    store::Candidate *list_ = static_cast<store::Candidate *>(palloc(sizeof(store::Candidate) * most));
    int count_ = 0;
    int suspects_ = 0;          // of count_
    bool has_left_out_ = false; // whether there were more suspects than places
    int contended_ = 0;         // found, but not in the list
};

// The jobs that are worked on in one (sub)transaction.
struct Batch {
    store::Jobs jobs;
    TimestampTz now;
    Counts counts = {};
    std::optional<store::archive::Writer> archive = {};
};

// What a task looks for jobs by.
struct Search {
    store::Jobs &jobs;
    const Skip &skip;
    TimestampTz now;
    store::Hints hints;
};

struct Work {
    Task task;
    void (*find)(const Search &, Pace &, Candidates &);
    // Called once, before the first job: locks and makes what the jobs need, and takes those out of the list that
    // cannot be done now. True: it has done enough for one piece. Null: the jobs need nothing.
    bool (*prepare)(Candidates &, bool may_alter, Counts &);
    // Called in each subtransaction: opens what its jobs need beside `jobs`. May be null.
    void (*open)(Batch &);
    // Does the work on one job. False: another session holds it or has changed it, and it is left. Raises what the
    // user's code raises, and 09000 if that prevents the write.
    bool (*act)(Batch &, const store::Candidate &);
    // Whether a job that was set aside still needs this work.
    bool (*is_needed)(const store::Row &, TimestampTz now);
};

extern const Work reaping, expiring, unblocking, removing, archiving;

// Writes the move of a job that is locked. False: a user's trigger changed the row between our lock and the write; the
// job is left. Raises 09000 if a user's trigger or rule suppressed the write: the job would stay due, so it is to be
// set aside. `queue_row` as for Jobs::update().
bool write_move(store::Jobs &jobs, const store::Row &before, store::Row &after, ItemPointer queue_row = nullptr);

// How a job that ended in this lane and rank leaves `jobs`, and how long after its finished_at: by the settings of its
// type (keep_completed, keep_failed; 0 removes it), else archived after jobs_ext.archive_after.
struct Keep {
    Task task = Task::archive;
    std::optional<store::Microseconds> span; // nothing: it stays for ever
};
Keep keep_of(std::int32_t lane, std::int16_t rank);
// The instant at which it leaves; DT_NOEND: never.
TimestampTz end_of(const Keep &keep, TimestampTz ended_at);

// The task `months`: makes the partitions of the current month and the next ones, or drops one that is older than
// jobs_ext.archive_keep; never both in one transaction. Does nothing if `may_alter` is false, or while another process
// does it. Months that could not be made or dropped are counted as `left`.
Counts keep_months(TimestampTz now, bool may_alter);

} // namespace upkeep
