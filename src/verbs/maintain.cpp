// job_maintain, and the pieces of which it and the background worker consist.
#include "verbs/maintain.hpp"

#include "pg/attempt.hpp"
#include "pg/plan.hpp"
#include "settings.hpp"
#include "store/queue_state.hpp"
#include "verbs/maintain_work.hpp"
#include "verbs/privileges.hpp"

namespace verbs {

namespace maintain {

namespace {

using store::Candidate;
using store::Jobs;
using store::SetAside;

constexpr int pieces_per_round = 20; // of a task, in one job_maintain()
constexpr int warnings_per_piece = 10;
constexpr int patience_ms = 500; // with jobs that are done one by one
constexpr const char *function = "job_maintain()";

std::array<TimestampTz, all_tasks.size()> may_begin = {}; // see not_before()

int number_of(Task task) { return static_cast<int>(task); }

// In the worker, where nothing else is cancelled, what takes too long is something of the user's that does not end.
bool is_not_of_jobs(const ErrorData *error)
{
    if (pg::longest_attempt_ms > 0 && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
        return false;
    return pg::is_of_server(error);
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
            note_held(&candidate.job, now);
    }
    return batch.counts;
}

// Notes a job that made maintenance fail. `first` counts those that were not known yet: only they are told, and only
// some of them.
void put_aside(const Work &work, const pg_uuid_t *job, const ErrorData *error, TimestampTz now, Counts &counts,
               int &first)
{
    pg::StatementScope scope(function);
    const SetAside set_aside(store::tables());
    switch (set_aside.note(job, name(work.task), error, now)) {
    case SetAside::Noted::not_now:
        ++counts.left;
        note_held(job, now);
        return;
    case SetAside::Noted::again:
        ++counts.set_aside;
        return;
    case SetAside::Noted::first:
        ++counts.set_aside;
        if (++first > warnings_per_piece)
            return;
        ereport(WARNING, (errcode(error->sqlerrcode),
                          errmsg("job %s was left as it is: %s", store::to_text(job), error->message),
                          error->detail != nullptr ? errdetail_internal("%s", error->detail) : 0));
    }
}

// All at once; if one of them fails, one by one, so that it does not keep the others from it. (A trigger of the user's
// may refuse a job, a constraint its attempt.)
void do_all(const Work &work, std::span<const Candidate> candidates, TimestampTz now, const SetAside &set_aside,
            Counts &counts)
{
    // In the worker fewer after a failure, which may have taken all the time that there is; more again when all is well.
    static std::size_t at_once = piece_size;
    const bool limited = pg::longest_attempt_ms > 0;
    counts.more = counts.more || candidates.size() > at_once;
    candidates = candidates.first(std::min(candidates.size(), at_once));
    Counts all;
    if (candidates.empty() ||
        pg::attempt([&] { all = do_some(work, candidates, now, set_aside); }, is_not_of_jobs) == nullptr) {
        counts += all;
        at_once = std::min<std::size_t>(piece_size, at_once * 2);
        return;
    }
    if (limited)
        at_once = std::max<std::size_t>(at_once / 4, 1);
    int first = 0;
    const TimestampTz began = GetCurrentTimestamp();
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        // Those who wait to be woken are not to wait for all of them.
        if (limited && TimestampDifferenceExceeds(began, GetCurrentTimestamp(), patience_ms)) {
            counts.more = true;
            break;
        }
        Counts one;
        if (ErrorData *error =
                pg::attempt([&] { one = do_some(work, candidates.subspan(i, 1), now, set_aside); }, is_not_of_jobs))
            put_aside(work, &candidates[i].job, error, now, counts, first);
        else
            counts += one;
    }
    if (first > warnings_per_piece)
        ereport(WARNING, (errmsg("%d more jobs were left as they are", first - warnings_per_piece),
                          errhint("The view jobs_ext.jobs_set_aside has them all.")));
}

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
        int first = warnings_per_piece;
        ErrorData *error = pg::attempt([&] {
            pg::StatementScope scope(function);
            Jobs jobs = Jobs::open();
            const std::optional<store::Row> row = jobs.find(job);
            if ((!row || !work.is_needed(*row, now)) && !set_aside.forget(job))
                note_held(job, now);
        });
        if (error != nullptr)
            put_aside(work, job, error, now, counts, first);
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
        work.find(jobs, skip, now, candidates);
    }
    counts.more = candidates.full();
    if (work.task == Task::archive && !candidates.all().empty()) {
        store::archive::require_usable();
        if (prepare_months(candidates, may_alter, now, counts)) {
            counts.more = true;
            return counts;
        }
    }
    do_all(work, candidates.all(), now, skip.set_aside, counts);
    review(work, candidates, now, skip.set_aside, counts);
    return counts;
}

// The lock keeps `jobs` from changing hands: what the next owner puts on it must not run as this one.
Oid lock_jobs()
{
    pg::StatementScope scope(function);
    store::queue_state::ensure_built(); // takes a stronger lock, and so comes first
    for (;;) {
        const Oid jobs = store::tables().jobs;
        LockRelationOid(jobs, RowExclusiveLock);
        if (store::tables().jobs == jobs)
            return jobs;
        UnlockRelationOid(jobs, RowExclusiveLock);
    }
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
    may_begin[number_of(task)] = now + moment; // stays so if it fails
    pg::set_constraints_immediate();
    Counts counts;
    {
        pg::AsConfinedOwner owner(lock_jobs());
        counts = do_piece(task, now, may_alter);
    }
    // A month that can't be made, or not be dropped, is no reason to try all the time.
    may_begin[number_of(task)] = task == Task::months && !counts.more ? now + 60 * moment : DT_NOBEGIN;
    return counts;
}

struct Round {
    Counts counts;
    int errors = 0;
    bool more = false;
};

// A task that fails keeps what the others did, and what its earlier pieces did.
void run_task(Task task, TimestampTz now, bool may_alter, Round &round)
{
    bool more = true;
    for (int i = 0; more && i < pieces_per_round; ++i) {
        Counts piece;
        if (ErrorData *error = pg::attempt([&] { piece = run_piece(task, now, may_alter); }, pg::ends_the_call)) {
            ++round.errors;
            ereport(WARNING,
                    (errcode(error->sqlerrcode), errmsg("maintenance failed at \"%s\": %s", name(task), error->message),
                     error->detail != nullptr ? errdetail_internal("%s", error->detail) : 0));
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

TimestampTz not_before(Task task) { return may_begin[number_of(task)]; }

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
