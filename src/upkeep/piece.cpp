// One piece of a task: reads a list of jobs that are due, works on them in subtransactions, and sets aside the jobs
// whose code fails. Users put code on `jobs` (triggers, constraints, foreign keys that cascade), so any job can fail,
// be slow, or never end, and no job may keep the others waiting for that.
//
//   What happens at a job                       What the piece does
//   another session holds its row               leaves it, notes it as contended, and comes again within a second
//   another session changed it since the scan   leaves it, or removes its stale key: Work::act compares under the lock
//   its code raises an error                    does the jobs before it again, then tries it alone, then sets it aside
//   its code takes too long, in a worker        does fewer jobs at once; sets it aside if it is slow by itself
//   an error that may be the server's           suspects it and tries others; raises the error if no job passes
//   a cancel of the session's caller            raises it; after three calls the next one sets the job aside untried
//   its code catches the cancel and goes on     the launcher ends the worker, the next one sets the job aside first
//   a crash, a rollback                         the transaction is undone, the job is due as before
//
// The worker and any number of sessions may do pieces of one task at once. They find the same jobs, but each job's row
// is locked, without waiting, before it is written, and its newest version compared with the key that was found; so one
// process does the job and the others leave it. No piece waits for a job's row, so two pieces never wait for each
// other's. What a process remembers outside of its transaction (Pace, contended, suspects) are hints, which survive a
// rollback on purpose: they say how to do better next time.
//
// ALTER and DROP: the tables are locked and compared with their shape before the first job (work_on_jobs), and again in
// each subtransaction by Jobs::open().
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
#include "upkeep/erase.hpp"
#include "upkeep/work.hpp"

namespace upkeep {

namespace {

using store::Candidate;
using store::Jobs;

constexpr int warnings_per_piece = 10; // a trigger that refuses all jobs would else write 500 warnings a piece
// Then sessions that wait for the piece's locks, and sleepers that the worker is to wake, have their turn.
constexpr int longest_piece_ms = 500;
// Jobs in a row that meet what may be the server's fault. Were it one job's, others had passed by then.
constexpr int most_doubts = 100;
constexpr int unfinished_rest_ms = 600000; // ten minutes: each further try may cost a worker
// Jobs. Each piece reads the whole list, so it is bounded; jobs that fail beside these are tried again and again.
constexpr long most_set_aside = 10000;
constexpr const char *function = "job_maintain()";

// Whether the other jobs would meet the error as well. Outside READ COMMITTED 40001 is such an error, because the
// transaction keeps the snapshot that is too old.
bool may_be_of_server(const ErrorData *error)
{
    return pg::is_out_of_order(error) ||
           (IsolationUsesXactSnapshot() && error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE);
}

// In a session, such an error is raised at once, and undoes the piece. A worker has no caller: it goes on as far as it
// can. Workers are told by their time limit, which no session has.
bool is_for_the_caller(const ErrorData *error) { return pg::longest_attempt_ms == 0 && pg::ends_the_call(error); }

bool is_piece_over(pg::Moment began) { return pg::is_over(began, longest_piece_ms); }

// Does the jobs from the first on, one at least, until half a second is over: what it has done by then stays done.
// `done` counts them and is right after an error too, when it is the index of the job that failed; it is the caller's
// variable and not a result, because an error skips the return.
//
// Each job may run user code that writes to any table, hence a StatementScope of its own here: its snapshot is newer
// than the scan of the candidates, and Work::act compares each candidate's key with the row that this snapshot shows.
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
        // Before any code of the user's can run: if the worker is ended in it, this names the job to its successor.
        shared::databases::works_on(name_of_task(work.task), &candidate.job);
        pg::RowMemory::Use use(memory);
        const bool acted = work.act(batch, candidate);
        batch.counts[Count::left] += acted ? 0 : 1;
        // A job that passed while the list was locked keeps its row there; review() removes the row later.
        if (!acted || !set_aside.forget(&candidate.job))
            note_contended(&candidate.job);
        if (acted)
            suspects::acquit(&candidate.job);
    }
    shared::databases::works_on("", nullptr);
    return batch.counts;
}

// The jobs of one piece, in order: first the fresh ones, many in a subtransaction, then the known ones (set aside
// before, or suspected), each in a subtransaction of its own.
//
// Invariant: a piece that returns has done or set aside one of its jobs at least, or found all of them held by other
// sessions. So no job, however slow, keeps the jobs behind it for ever. A job that met what may be the server's fault
// counts as neither: it is suspected, and others are tried. Where most_doubts jobs in a row fail so, the piece ends;
// where nothing passed, it raises the last of these errors.
class Piece {
public:
    Piece(const Work &work, Pace &pace, TimestampTz now, const SetAside &set_aside, Counts &counts)
        : work_(work), pace_(pace), now_(now), set_aside_(set_aside), counts_(counts)
    {
    }

    void do_work(std::span<Candidate> candidates)
    {
        const auto fresh = candidates.first(sort(candidates));
        auto rest = fresh.first(std::min(fresh.size(), static_cast<std::size_t>(pace_.most_jobs)));
        while (!rest.empty() && !ends())
            rest = rest.subspan(attempt(rest));
        // Only a piece that did its fresh jobs in time makes the next one larger. A piece without fresh jobs says
        // nothing of how slow they are.
        if (!fresh.empty() && !ran_out_ && !ends())
            pace_.most_jobs = std::min(piece_size, pace_.most_jobs * 2);
        auto known = candidates.subspan(fresh.size());
        // Ends after the first known job at the earliest, even if the fresh ones took all the time: else one that is
        // suspected would never be tried while there is more to do.
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

    // Sets aside a job at which upkeep failed. Warns of jobs that were not set aside before, and of ten a piece at
    // most. A job that cannot be noted now, since another process writes to the list or the list is full, stays
    // suspected if it was. Writes after the subtransaction that failed, in the transaction of the piece: if the piece
    // is raised later, this is undone too, and the job fails and is set aside once more.
    void put_aside(const pg_uuid_t *job, const ErrorData *error)
    {
        pg::StatementScope scope(function);
        const bool is_room = set_aside_.find(job) != nullptr || set_aside_.size() + told_ < most_set_aside;
        switch (is_room ? set_aside_.note_failure(job, name_of_task(work_.task), error, now_)
                        : SetAside::Noted::not_now) {
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

    // Sorts by id, because several jobs are locked in that order everywhere, and puts the known jobs last. Returns how
    // many fresh ones there are.
    std::size_t sort(std::span<Candidate> candidates) const
    {
        // Parted first, where each is looked at once: a suspicion may lapse in the middle of a sort.
        const auto known = std::partition(candidates.begin(), candidates.end(), [this](const Candidate &candidate) {
            return set_aside_.find(&candidate.job) == nullptr && !suspects::is_one(&candidate.job);
        });
        const auto by_id = [](const Candidate &a, const Candidate &b) {
            return std::memcmp(a.job.data, b.job.data, UUID_LEN) < 0;
        };
        std::sort(candidates.begin(), known, by_id);
        std::sort(known, candidates.end(), by_id);
        return static_cast<std::size_t>(known - candidates.begin());
    }

    // Does the jobs from the first on. Returns how many of them were done, set aside or suspected: one at least, so the
    // loops in run() end.
    //
    // An error undoes the subtransaction, and with it the jobs that passed before. `done` names the job that failed:
    // the jobs before it are attempted again without it, and the next call begins with it. Each recursion has fewer
    // jobs, and ends with one alone. Errors are all returned, not raised, because what the job did must be undone
    // first.
    std::size_t attempt(std::span<const Candidate> candidates)
    {
        Counts counts;
        std::size_t done = 0;
        // 5 s for one job, 1 s for several (jobs_ext.longest_piece / 6, and a fifth of that). If several take too long,
        // one of them does not end, and the sooner they are cancelled the sooner it is tried alone. 0 in sessions:
        // none.
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
            // As many as were done in the time, so that the next piece does not run out of it.
            pace_.most_jobs = std::max(1, static_cast<int>(std::min(done, candidates.size() - 1)));
        }
        // The index of the job that failed. The last one, if the error came after it, at the end of the subtransaction.
        const std::size_t before = std::min(done, candidates.size() - 1);
        if (is_for_the_caller(failure.error) && is_in_doubt(&candidates[before].job, failure))
            raise_doubt();
        std::size_t dealt_with = 1;
        if (before > 0) {
            dealt_with = attempt(candidates.first(before));
        } else if (failure.took_too_long && candidates.size() > 1) {
            // The first of several was too slow in 1 s: alone it has 5 s.
            dealt_with = attempt(candidates.first(1));
        } else {
            meet(&candidates.front().job, failure);
        }
        return dealt_with;
    }

    // Whether each of the last calls of this session was cancelled at this job. It is then set aside without being
    // tried: a cancel is always raised to the caller, so no call would ever get past the job.
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

    // A job failed alone, or as the first of several: it is at fault itself, or the server is.
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

    // Whether the failure may be the server's: then the job is suspected, and not set aside. False for a time limit,
    // which is the job's own; for a job that has failed again since others passed (suspects.hpp); and for one that is
    // set aside already, whose rest gets longer: else each piece with nothing else to do would fail at it and be
    // raised.
    bool is_in_doubt(const pg_uuid_t *job, const pg::Failure &failure)
    {
        const bool is_raised = is_for_the_caller(failure.error);
        // By where Postgres raises it, since a trigger may raise 57014 as well; a trigger's is judged like other
        // errors.
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

    // Tells the caller by Pace that suspects were the reason: job_maintain() then tries again, the others first.
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

// Removes from the list the jobs that were set aside, are due again, and need nothing any more: a session ended or
// deleted them, or a type got other settings. Nothing else removes such a row: the job is no candidate, so no piece
// comes to it. Takes no lock on the job, because a row that is removed too early does no harm: the job fails again and
// is set aside again.
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
    const store::Hints hints = store::note_hints();
    pg::StatementScope scope(function);
    const Skip skip(now);
    {
        Jobs jobs = Jobs::open();
        // Lock the tables before the first job, and compare them with their shapes: a lock conflict (55P03) or an
        // altered table (42804) then ends the piece; in the middle of a job it would count as the job's fault. The
        // locks stay until the end of the transaction, while the tables are closed at the end of this block.
        for (const store::PrivateTable table : store::derived_tables)
            (void)store::open_private(table, RowExclusiveLock);
        (void)store::open_table(store::ApiTable::job_attempts, RowExclusiveLock);
        (void)store::open_table(store::ApiTable::job_steps, RowExclusiveLock);
        (void)store::open_table(store::ApiTable::job_types, AccessShareLock);
        store::types::load_all_types();
        work.find({jobs, skip, now, hints}, pace, candidates);
    }
    counts.more = candidates.full() || candidates.has_left_out();
    counts[Count::due] = candidates.due(); // for the worker, which tells when nothing of what is due is done
    if (work.prepare != nullptr && !candidates.all().empty() && work.prepare(candidates, may_alter, counts)) {
        counts.more = true;
        return counts;
    }
    Piece(work, pace, now, skip.set_aside, counts).do_work(candidates.all());
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
    case Task::unblock:
        return work_on_jobs(unblocking, pace, now, may_alter);
    case Task::remove:
        return work_on_jobs(removing, pace, now, may_alter);
    case Task::archive:
        return work_on_jobs(archiving, pace, now, may_alter);
    case Task::months:
    case Task::erase:
        break;
    }
    pg::StatementScope scope(function);
    return task == Task::months ? keep_months(now, may_alter) : erase_organisations(pace);
}

} // namespace

Counts run_piece(Task task, Pace &pace, TimestampTz now, Months months)
{
    pace.in_doubt = false;
    // Deferred constraints cannot fire in a security-restricted context, and at the commit they would fail the whole
    // piece for one job.
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
    if (SetAside().note_failure(job, task, &error, now, unfinished_rest_ms) == SetAside::Noted::not_now)
        return false;
    ereport(WARNING,
            (errcode(error.sqlerrcode), errmsg("job %s was left as it is: %s", store::to_text(job), error.message)));
    return true;
}

} // namespace upkeep
