#include "upkeep/piece.hpp"

#include <algorithm>
#include <functional>

#include "pg/excerpt.hpp"
#include "pg/plan.hpp"
#include "pg/subtransaction.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/databases.hpp"
#include "store/owner.hpp"
#include "upkeep/work.hpp"

namespace upkeep {

namespace {

using store::Candidate;
using store::Jobs;

constexpr int warnings_per_piece = 10;
constexpr int longest_piece_ms = 500;      // then others have their turn: those who wait for its locks, or to be woken
constexpr int most_doubts = 100;           // jobs in a row, in a piece
constexpr int unfinished_rest_ms = 600000; // each further try may cost a worker
constexpr long most_set_aside = 10000;     // jobs; what fails beside them is tried again and again
constexpr const char *function = "job_maintain()";

// What looks as if it were not the job's fault, and would befall the others as well.
bool may_be_of_server(const ErrorData *error)
{
    return pg::is_out_of_order(error) ||
           (IsolationUsesXactSnapshot() && error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE);
}

// A session's caller is to know it at once, and to undo all. The worker goes on, as far as it can.
bool is_for_the_caller(const ErrorData *error) { return pg::longest_attempt_ms == 0 && pg::ends_the_call(error); }

bool is_piece_over(pg::Moment began) { return pg::is_over(began, longest_piece_ms); }

// Does the jobs from the first on until its time is over: what it has done by then stays done. `done` says how many it
// has done, also when it ends by an error.
Counts do_some(const Work &work, std::span<const Candidate> candidates, TimestampTz now, const SetAside &set_aside,
               std::size_t &done)
{
    const pg::Moment began = pg::moment();
    pg::StatementScope scope(function);
    Batch batch = {Jobs::open(), now};
    if (work.open != nullptr)
        work.open(batch);
    pg::RowMemory memory;
    for (done = 0; done < candidates.size() && (done == 0 || !is_piece_over(began)); ++done) {
        CHECK_FOR_INTERRUPTS();
        const Candidate &candidate = candidates[done];
        shared::databases::works_on(name_of_task(work.task), &candidate.job);
        pg::RowMemory::Use use(memory);
        const bool acted = work.act(batch, candidate);
        batch.counts[Count::left] += acted ? 0 : 1;
        if (!acted || !set_aside.forget(&candidate.job))
            note_contended(&candidate.job);
        if (acted)
            suspects::acquit(&candidate.job);
    }
    shared::databases::works_on("", nullptr);
    return batch.counts;
}

// The jobs of one piece, in order. A job that makes it fail is set aside, so that it does not keep the others: a
// trigger of the user's may refuse a job, a constraint its attempt, a cascade may take too long.
//
// Each piece does at least one of its jobs or sets it aside. So no job, however slow, keeps those behind it for ever.
// But where a job met what looks like the server's fault, it is suspected at first, and others are tried; when several
// fail so in a row, the piece ends, and is raised if nothing passed.
class Piece {
public:
    Piece(const Work &work, Pace &pace, TimestampTz now, const SetAside &set_aside, Counts &counts)
        : work_(work), pace_(pace), now_(now), set_aside_(set_aside), counts_(counts)
    {
    }

    void run(std::span<Candidate> candidates)
    {
        const auto fresh = candidates.first(sort(candidates));
        auto rest = fresh.first(std::min(fresh.size(), static_cast<std::size_t>(pace_.most_jobs)));
        while (!rest.empty() && !ends())
            rest = rest.subspan(attempt(rest));
        // Only work that passed makes the next piece larger: one that found nothing says nothing.
        if (!fresh.empty() && !ran_out_ && !ends())
            pace_.most_jobs = std::min(piece_size, pace_.most_jobs * 2);
        auto known = candidates.subspan(fresh.size());
        while (!known.empty() && doubts_ < most_doubts) {
            known = known.subspan(leave_slow(&known.front().job) ? 1 : attempt(known.first(1)));
            if (ends())
                break;
        }
        if (attempted_ == 0)
            raise_doubt();
        counts_.more = counts_.more || attempted_ < candidates.size();
        if (told_ > warnings_per_piece)
            ereport(WARNING, (errmsg("%d more jobs were left as they are", told_ - warnings_per_piece),
                              errhint("The view jobs_ext.jobs_set_aside has them all.")));
    }

    // Notes a job that made maintenance fail. Only those that were not known yet are told, and only some of them. One
    // that can't be noted now stays suspected, if it was.
    void put_aside(const pg_uuid_t *job, const ErrorData *error)
    {
        pg::StatementScope scope(function);
        const bool is_room = set_aside_.find(job) != nullptr || set_aside_.count() + told_ < most_set_aside;
        switch (is_room ? set_aside_.note(job, name_of_task(work_.task), error, now_) : SetAside::Noted::not_now) {
        case SetAside::Noted::not_now:
            ++counts_[Count::left];
            note_contended(job);
            return;
        case SetAside::Noted::again:
            ++counts_[Count::set_aside];
            suspects::acquit(job);
            return;
        case SetAside::Noted::first:
            ++counts_[Count::set_aside];
            suspects::acquit(job);
            if (++told_ > warnings_per_piece)
                return;
            ereport(WARNING,
                    (errcode(error->sqlerrcode),
                     errmsg("job %s was left as it is: %s", store::to_text(job), pg::message_excerpt(error->message)),
                     error->detail != nullptr ? errdetail_internal("%s", pg::message_excerpt(error->detail)) : 0));
        }
    }

private:
    bool ends() const { return doubts_ == most_doubts || is_piece_over(began_); }

    // Rows are locked in the order of their ids, as everywhere; but those that failed before come last, each by itself.
    // Returns how many did not.
    std::size_t sort(std::span<Candidate> candidates) const
    {
        const auto is_known = [this](const Candidate &candidate) {
            return set_aside_.find(&candidate.job) != nullptr || suspects::is_one(&candidate.job);
        };
        std::sort(candidates.begin(), candidates.end(), [&](const Candidate &a, const Candidate &b) {
            if (const bool known = is_known(a); known != is_known(b))
                return !known;
            return std::memcmp(a.job.data, b.job.data, UUID_LEN) < 0;
        });
        return static_cast<std::size_t>(std::count_if(candidates.begin(), candidates.end(), std::not_fn(is_known)));
    }

    // Returns how many jobs, from the first on, were done, set aside or suspected: one at least.
    std::size_t attempt(std::span<const Candidate> candidates)
    {
        Counts counts;
        std::size_t done = 0;
        // One job may take all the time there is. Of many, whichever does not end is found sooner.
        const int longest_ms = candidates.size() > 1 ? pg::longest_attempt_ms / 5 : pg::longest_attempt_ms;
        const pg::Failure failure =
            pg::in_subtransaction([&] { counts = do_some(work_, candidates, now_, set_aside_, done); },
                                  [](const ErrorData *) { return false; }, longest_ms);
        if (failure.error == nullptr) {
            counts_ += counts;
            attempted_ += done;
            const int passed = static_cast<int>(done) - counts[Count::left];
            pace_.passed += passed;
            doubts_ = passed > 0 ? 0 : doubts_;
            return done;
        }
        shared::databases::works_on("", nullptr);
        if (failure.took_too_long) {
            ran_out_ = true;
            pace_.most_jobs = std::max(1, static_cast<int>(std::min(done, candidates.size() - 1)));
        }
        const std::size_t before = std::min(done, candidates.size() - 1); // the one at which it failed
        if (is_for_the_caller(failure.error) && is_in_doubt(&candidates[before].job, failure))
            raise_doubt();
        std::size_t dealt_with = 1;
        if (before > 0) {
            dealt_with = attempt(candidates.first(before));
        } else if (failure.took_too_long && candidates.size() > 1) {
            dealt_with = attempt(candidates.first(1));
        } else {
            meet(&candidates.front().job, failure);
        }
        return dealt_with;
    }

    // Whether the caller's calls were canceled at this job, one after the other: it is set aside, and not tried.
    bool leave_slow(const pg_uuid_t *job)
    {
        if (!suspects::is_too_slow(job, work_.task))
            return false;
        ErrorData error = {};
        error.sqlerrcode = ERRCODE_QUERY_CANCELED;
        error.message = pstrdup("each of the last calls was canceled at it");
        put_aside(job, &error);
        ++attempted_;
        return true;
    }

    // A job failed, alone or as the first.
    void meet(const pg_uuid_t *job, const pg::Failure &failure)
    {
        if (is_in_doubt(job, failure)) {
            ++doubts_;
            return;
        }
        put_aside(job, failure.error);
        FreeErrorData(failure.error);
        ++attempted_;
    }

    // Whether its failure may be the server's: the job is suspected, and no more. One that is set aside rests longer:
    // else it would let each piece fail in which nothing else is to do.
    bool is_in_doubt(const pg_uuid_t *job, const pg::Failure &failure)
    {
        const bool is_raised = is_for_the_caller(failure.error);
        if (is_raised && pg::is_cancel(failure.error)) {
            suspects::note_cancel(job, work_.task, pace_.passed);
            doubt_ = failure.error;
            return true;
        }
        if (failure.took_too_long || !may_be_of_server(failure.error) ||
            (set_aside_.find(job) != nullptr && !is_raised) ||
            suspects::is_at_fault(job, work_.task, pace_.passed, is_raised))
            return false;
        doubt_ = failure.error;
        return true;
    }

    void raise_doubt()
    {
        pace_.in_doubt = doubt_ != nullptr;
        if (doubt_ != nullptr)
            ReThrowError(doubt_);
    }

    const Work &work_;
    Pace &pace_;
    TimestampTz now_;
    const SetAside &set_aside_;
    Counts &counts_;
    int told_ = 0;
    pg::Moment began_ = pg::moment();
    std::size_t attempted_ = 0;  // jobs that were done or set aside
    bool ran_out_ = false;       // of time
    ErrorData *doubt_ = nullptr; // the last one that may be the server's
    int doubts_ = 0;             // so many in a row
};

// What was set aside, is due again and was not among the candidates may need nothing any more: it ended, changed, is
// gone.
void review(const Work &work, Pace &pace, const Candidates &candidates, TimestampTz now, const SetAside &set_aside,
            Counts &counts)
{
    List *due = NIL;
    set_aside.each([&](const SetAside::Entry &entry) {
        if (entry.retry_at <= now && std::strcmp(entry.task, name_of_task(work.task)) == 0 &&
            list_length(due) < piece_size)
            due = lappend(due, const_cast<SetAside::Entry *>(&entry));
    });
    ListCell *cell;
    foreach (cell, due) {
        const pg_uuid_t *job = &static_cast<const SetAside::Entry *>(lfirst(cell))->job;
        bool seen = false;
        for (const Candidate &candidate : candidates.all())
            seen = seen || store::same_id(&candidate.job, job);
        if (seen)
            continue;
        shared::databases::works_on(name_of_task(work.task), job);
        ErrorData *error = pg::in_subtransaction(
            [&] {
                pg::StatementScope scope(function);
                Jobs jobs = Jobs::open();
                const std::optional<store::Row> row = jobs.find(job);
                if ((!row || !work.is_needed(*row, now)) && !set_aside.forget(job))
                    note_contended(job);
            },
            may_be_of_server);
        shared::databases::works_on("", nullptr);
        if (error != nullptr)
            Piece(work, pace, now, set_aside, counts).put_aside(job, error);
    }
}

Counts work_on_jobs(const Work &work, Pace &pace, TimestampTz now, bool may_alter)
{
    Counts counts;
    Candidates candidates;
    pg::StatementScope scope(function);
    const Skip skip(now);
    {
        Jobs jobs = Jobs::open();
        // Here, so that a table that is locked, or was altered, is no fault of a job.
        for (const store::PrivateTable table : store::derived_tables)
            (void)store::open_private(table, RowExclusiveLock);
        (void)store::open_table(store::ApiTable::job_attempts, RowExclusiveLock);
        (void)store::open_table(store::ApiTable::job_types, AccessShareLock);
        store::types::load();
        work.find(jobs, skip, now, pace, candidates);
    }
    counts.more = candidates.full() || candidates.has_left_out();
    counts[Count::due] = candidates.due();
    if (work.prepare != nullptr && !candidates.all().empty() && work.prepare(candidates, may_alter, counts)) {
        counts.more = true;
        return counts;
    }
    Piece(work, pace, now, skip.set_aside, counts).run(candidates.all());
    review(work, pace, candidates, now, skip.set_aside, counts);
    return counts;
}

Counts do_piece(Task task, Pace &pace, TimestampTz now, bool may_alter)
{
    switch (task) {
    case Task::reap:
        return work_on_jobs(reaping, pace, now, may_alter);
    case Task::expire:
        return work_on_jobs(expiring, pace, now, may_alter);
    case Task::remove:
        return work_on_jobs(removing, pace, now, may_alter);
    case Task::archive:
        return work_on_jobs(archiving, pace, now, may_alter);
    case Task::months:
        break;
    }
    pg::StatementScope scope(function);
    return keep_months(now, may_alter);
}

} // namespace

Counts run_piece(Task task, Pace &pace, TimestampTz now, Months months)
{
    pace.in_doubt = false;
    pg::set_constraints_immediate();
    store::AsOwnerOfJobs owner;
    return do_piece(task, pace, now, months == Months::may_change);
}

bool set_unfinished_aside(const char *task, const pg_uuid_t *job, TimestampTz now)
{
    store::AsOwnerOfJobs owner;
    pg::StatementScope scope(function);
    ErrorData error = {};
    error.sqlerrcode = ERRCODE_QUERY_CANCELED;
    error.message = pstrdup("it did not end, not even when it was canceled: the worker had to be ended");
    if (SetAside().note(job, task, &error, now, unfinished_rest_ms) == SetAside::Noted::not_now)
        return false;
    ereport(WARNING,
            (errcode(error.sqlerrcode), errmsg("job %s was left as it is: %s", store::to_text(job), error.message)));
    return true;
}

} // namespace upkeep
