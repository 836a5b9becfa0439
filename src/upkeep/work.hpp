// What maintenance does to single jobs: how they are found, what is done to each, whether it is still to be done.
#pragma once

#include "store/archive.hpp"
#include "store/queue_scan.hpp"
#include "store/types.hpp"
#include "upkeep/contended.hpp"
#include "upkeep/set_aside.hpp"
#include "upkeep/suspects.hpp"
#include "upkeep/task.hpp"

namespace upkeep {

// Which jobs are not to be tried now: those that are set aside, and those that somebody else held a moment ago.
class Skip {
public:
    explicit Skip(TimestampTz now) : now_(now) {}
    bool operator()(const pg_uuid_t *job) const;

    const SetAside set_aside;

private:
    TimestampTz now_;
};

// What a piece has to do, read before anything is done: so many jobs, and some suspects, however many of them are in
// front.
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
    // With those that are left alone since somebody held them a moment ago.
    int due() const { return count_ + contended_; }

private:
    store::Candidate *list_ = static_cast<store::Candidate *>(palloc(sizeof(store::Candidate) * most));
    int count_ = 0;
    int suspects_ = 0;          // of these
    bool has_left_out_ = false; // further ones
    int contended_ = 0;
};

// The jobs that are worked on in one (sub)transaction.
struct Batch {
    store::Jobs jobs;
    TimestampTz now;
    Counts counts = {};
    std::optional<store::archive::Writer> archive = {};
};

struct Work {
    Task task;
    void (*find)(store::Jobs &, const Skip &, TimestampTz now, Pace &, Candidates &);
    // Before the first of them is worked on: locks and makes what they need. True: that is enough for one piece. Null:
    // they need nothing.
    bool (*prepare)(Candidates &, bool may_alter, Counts &);
    // Opens what the jobs of a batch need beside `jobs`; may be null.
    void (*open)(Batch &);
    // False: somebody else holds the job.
    bool (*act)(Batch &, const store::Candidate &);
    bool (*is_needed)(const store::Row &, TimestampTz now);
};

extern const Work reaping, expiring, removing, archiving;

// When a job that ended in this lane and rank leaves `jobs`, and how.
struct Keep {
    Task task = Task::archive;
    std::optional<store::Microseconds> span; // nothing: never
};
Keep keep_of(std::int32_t lane, std::int16_t rank);
TimestampTz end_of(const Keep &keep, TimestampTz ended_at);

Counts keep_months(TimestampTz now, bool may_alter);

} // namespace upkeep
