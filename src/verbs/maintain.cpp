// job_maintain, and the pieces of which it and the background worker consist.
#include "verbs/maintain.hpp"

#include <algorithm>
#include <functional>

#include "pg/attempt.hpp"
#include "pg/excerpt.hpp"
#include "settings.hpp"
#include "store/owner.hpp"
#include "verbs/maintain_work.hpp"
#include "verbs/privileges.hpp"

namespace verbs {

namespace maintain {

namespace {

using store::Candidate;
using store::Jobs;
using store::SetAside;

constexpr int pieces_per_call = 20; // of a task, in one job_maintain(), as long as it took less than
constexpr int call_ms = 1000;
constexpr int warnings_per_piece = 10;
constexpr int patience_ms = 500;       // with a piece that fails
constexpr long most_set_aside = 10000; // jobs; what fails beside them is tried again and again
constexpr const char *function = "job_maintain()";

int number_of(Task task) { return static_cast<int>(task); }

// What is not the job's fault, and would befall the others as well.
bool ends_the_piece(const ErrorData *error)
{
    return pg::is_out_of_order(error) ||
           (IsolationUsesXactSnapshot() && error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE);
}

Counts do_some(const Work &work, std::span<const Candidate> candidates, TimestampTz now, const SetAside &set_aside)
{
    pg::StatementScope scope(function);
    Batch batch = {Jobs::open(), now};
    if (work.task == Task::archive)
        batch.archive.emplace(batch.jobs.table());
    pg::RowMemory memory;
    for (const Candidate &candidate : candidates) {
        CHECK_FOR_INTERRUPTS();
        pg::RowMemory::Use use(memory);
        const bool done = work.act(batch, candidate);
        batch.counts.left += done ? 0 : 1;
        if (!done || !set_aside.forget(&candidate.job))
            note_held(&candidate.job);
    }
    return batch.counts;
}

// The jobs of one piece: done all at once and, where that fails, in halves down to those that make it fail, which are set
// aside so that they do not keep the others. (A trigger of the user's may refuse a job, a constraint its attempt.)
class Piece {
public:
    Piece(const Work &work, TimestampTz now, const SetAside &set_aside, Counts &counts)
        : work_(work), now_(now), set_aside_(set_aside), counts_(counts)
    {
    }

    void run(std::span<Candidate> candidates)
    {
        // Fewer when a piece takes too long to find what makes it fail, down to one; slowly more again.
        static std::size_t at_once = piece_size;
        const auto fresh = candidates.first(sort(candidates));
        const auto some = fresh.first(std::min(fresh.size(), at_once));
        counts_.more = counts_.more || some.size() < fresh.size();
        attempt(some);
        at_once = gave_up_ ? std::max<std::size_t>(at_once / 4, 1)
                           : std::min<std::size_t>(piece_size, at_once + at_once / 8 + 1);
        for (std::size_t i = fresh.size(); i < candidates.size() && !gave_up_; ++i) {
            attempt(candidates.subspan(i, 1));
            gave_up_ = is_over(began_);
        }
        counts_.more = counts_.more || gave_up_;
        if (told_ > warnings_per_piece)
            ereport(WARNING, (errmsg("%d more jobs were left as they are", told_ - warnings_per_piece),
                              errhint("The view jobs_ext.jobs_set_aside has them all.")));
    }

    // Notes a job that made maintenance fail. Only those that were not known yet are told, and only some of them.
    void put_aside(const pg_uuid_t *job, const ErrorData *error)
    {
        pg::StatementScope scope(function);
        const bool is_room = set_aside_.find(job) != nullptr || set_aside_.count() + told_ < most_set_aside;
        switch (is_room ? set_aside_.note(job, name(work_.task), error, now_) : SetAside::Noted::not_now) {
        case SetAside::Noted::not_now:
            ++counts_.left;
            note_held(job);
            return;
        case SetAside::Noted::again:
            ++counts_.set_aside;
            return;
        case SetAside::Noted::first:
            ++counts_.set_aside;
            if (++told_ > warnings_per_piece)
                return;
            ereport(WARNING,
                    (errcode(error->sqlerrcode),
                     errmsg("job %s was left as it is: %s", store::to_text(job), pg::message_excerpt(error->message)),
                     error->detail != nullptr ? errdetail_internal("%s", pg::message_excerpt(error->detail)) : 0));
        }
    }

private:
    // Rows are locked in the order of their ids, as everywhere; but those that failed before come last, each by itself.
    // Returns how many did not.
    std::size_t sort(std::span<Candidate> candidates) const
    {
        const auto is_known = [this](const Candidate &candidate) { return set_aside_.find(&candidate.job) != nullptr; };
        std::sort(candidates.begin(), candidates.end(), [&](const Candidate &a, const Candidate &b) {
            if (const bool known = is_known(a); known != is_known(b))
                return !known;
            return std::memcmp(a.job.data, b.job.data, UUID_LEN) < 0;
        });
        return static_cast<std::size_t>(std::count_if(candidates.begin(), candidates.end(), std::not_fn(is_known)));
    }

    // Others wait, for the locks or to be woken.
    static bool is_over(TimestampTz since)
    {
        return since != 0 && TimestampDifferenceExceeds(since, GetCurrentTimestamp(), patience_ms);
    }

    void attempt(std::span<const Candidate> candidates)
    {
        gave_up_ = gave_up_ || is_over(failed_at_);
        if (gave_up_ || candidates.empty())
            return;
        Counts done;
        // What never ends is found sooner if many together do not have more time than it takes.
        const int longest_ms = candidates.size() > 1 ? pg::longest_attempt_ms / 5 : pg::longest_attempt_ms;
        ErrorData *error =
            pg::attempt([&] { done = do_some(work_, candidates, now_, set_aside_); }, ends_the_piece, longest_ms);
        if (error == nullptr) {
            counts_ += done;
            return;
        }
        if (failed_at_ == 0)
            failed_at_ = GetCurrentTimestamp();
        if (candidates.size() == 1) {
            put_aside(&candidates.front().job, error);
        } else {
            attempt(candidates.first(candidates.size() / 2));
            attempt(candidates.subspan(candidates.size() / 2));
        }
        FreeErrorData(error);
    }

    const Work &work_;
    TimestampTz now_;
    const SetAside &set_aside_;
    Counts &counts_;
    int told_ = 0;
    TimestampTz began_ = GetCurrentTimestamp();
    TimestampTz failed_at_ = 0; // for the first time
    bool gave_up_ = false;      // there are more
};

// What was set aside, is due again and was not among the candidates may need nothing any more: it ended, changed, is
// gone.
void review(const Work &work, const Candidates &candidates, TimestampTz now, const SetAside &set_aside, Counts &counts)
{
    List *due = NIL;
    set_aside.each([&](const SetAside::Entry &entry) {
        if (entry.retry_at <= now && std::strcmp(entry.task, name(work.task)) == 0 && list_length(due) < piece_size)
            due = lappend(due, const_cast<SetAside::Entry *>(&entry));
    });
    ListCell *cell;
    foreach (cell, due) {
        const pg_uuid_t *job = &static_cast<const SetAside::Entry *>(lfirst(cell))->job;
        bool seen = false;
        for (const Candidate &candidate : candidates.all())
            seen = seen || store::same(&candidate.job, job);
        if (seen)
            continue;
        ErrorData *error = pg::attempt(
            [&] {
                pg::StatementScope scope(function);
                Jobs jobs = Jobs::open();
                const std::optional<store::Row> row = jobs.find(job);
                if ((!row || !work.is_needed(*row, now)) && !set_aside.forget(job))
                    note_held(job);
            },
            ends_the_piece);
        if (error != nullptr)
            Piece(work, now, set_aside, counts).put_aside(job, error);
    }
}

Counts work_on_jobs(const Work &work, TimestampTz now, bool may_alter)
{
    Counts counts;
    Candidates candidates;
    pg::StatementScope scope(function);
    const Skip skip(store::tables(), now);
    {
        Jobs jobs = Jobs::open();
        // Here, so that a table that is locked, or was altered, is no fault of a job.
        for (const Oid table : store::written_with_jobs(jobs.tables()))
            pg::lock_table(table, RowExclusiveLock);
        (void)store::open_table(store::ApiTable::job_attempts, RowExclusiveLock);
        work.find(jobs, skip, now, candidates);
    }
    counts.more = candidates.full();
    if (work.task == Task::archive && !candidates.all().empty()) {
        (void)store::open_table(store::ApiTable::jobs_archive, RowExclusiveLock); // as it is going to be written
        if (prepare_months(candidates, may_alter, now, counts)) {
            counts.more = true;
            return counts;
        }
    }
    Piece(work, now, skip.set_aside, counts).run(candidates.all());
    review(work, candidates, now, skip.set_aside, counts);
    return counts;
}

Counts do_piece(Task task, TimestampTz now, bool may_alter)
{
    switch (task) {
    case Task::reap:
        return work_on_jobs(reaping, now, may_alter);
    case Task::expire:
        return work_on_jobs(expiring, now, may_alter);
    case Task::remove:
        return work_on_jobs(removing, now, may_alter);
    case Task::archive:
        return work_on_jobs(archiving, now, may_alter);
    case Task::months:
        break;
    }
    pg::StatementScope scope(function);
    return keep_months(now, may_alter);
}

// `may_alter`: make and drop partitions, whose locks last until the end of the transaction.
Counts run_piece(Task task, TimestampTz now, bool may_alter)
{
    pg::set_constraints_immediate();
    store::AsOwnerOfJobs owner;
    return do_piece(task, now, may_alter);
}

struct Round {
    Counts counts;
    int errors = 0;
    bool more = false;
    TimestampTz began = GetCurrentTimestamp();
};

// A task that fails keeps what the others did, and what its earlier pieces did.
void run_task(Task task, TimestampTz now, bool may_alter, Round &round)
{
    bool more = true;
    for (int i = 0; more && i < pieces_per_call; ++i) {
        if (i > 0 && TimestampDifferenceExceeds(round.began, GetCurrentTimestamp(), call_ms))
            break;
        Counts piece;
        if (ErrorData *error = pg::attempt([&] { piece = run_piece(task, now, may_alter); }, pg::ends_the_call)) {
            ++round.errors;
            ereport(WARNING,
                    (errcode(error->sqlerrcode),
                     errmsg("maintenance failed at \"%s\": %s", name(task), pg::message_excerpt(error->message)),
                     error->detail != nullptr ? errdetail_internal("%s", pg::message_excerpt(error->detail)) : 0));
            return;
        }
        round.counts += piece;
        more = piece.more;
    }
    round.more = round.more || more;
}

Datum to_json(const Round &round)
{
    const Counts &counts = round.counts;
    const char *text =
        psprintf("{\"leases_reaped\": %d, \"timeouts_reaped\": %d, \"retried\": %d, \"failed\": %d, \"cancelled\": %d, "
                 "\"expired\": %d, \"archived\": %d, \"deleted\": %d, \"partitions_dropped\": %d, \"set_aside\": %d, "
                 "\"left\": %d, \"errors\": %d, \"more\": %s}",
                 counts.leases, counts.timeouts, counts.retried, counts.failed, counts.cancelled, counts.expired,
                 counts.archived, counts.deleted, counts.partitions_dropped, counts.set_aside, counts.left,
                 round.errors, round.more ? "true" : "false");
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
}

} // namespace

const char *name(Task task)
{
    static constexpr const char *names[] = {"reap", "expire", "remove", "archive", "months"};
    return names[number_of(task)];
}

Counts &Counts::operator+=(const Counts &other)
{
    leases += other.leases;
    timeouts += other.timeouts;
    retried += other.retried;
    failed += other.failed;
    cancelled += other.cancelled;
    expired += other.expired;
    archived += other.archived;
    deleted += other.deleted;
    partitions_dropped += other.partitions_dropped;
    set_aside += other.set_aside;
    left += other.left;
    more = more || other.more;
    return *this;
}

Counts run(Task task, TimestampTz now) { return run_piece(task, now, !IsTransactionBlock()); }

} // namespace maintain

JOBS_FUNCTION(job_maintain)
{
    const TimestampTz now = settings::now();
    {
        pg::StatementScope scope("job_maintain()");
        const store::Jobs jobs = store::Jobs::open(); // 42804 is the caller's to know
        require_claim(jobs.tables());
    }
    // What that brings to light is the caller's own.
    pg::set_constraints_immediate();
    maintain::forget_held();
    const bool may_alter = !IsTransactionBlock();
    maintain::Round round;
    for (maintain::Task task : maintain::all_tasks)
        maintain::run_task(task, now, may_alter, round);
    return maintain::to_json(round);
}

} // namespace verbs
