// Jobs that have ended leave `jobs`. The task `remove` deletes them; the task `archive` copies them to jobs_archive and
// then deletes them; the task `months` makes and drops the monthly partitions of jobs_archive.
//
//   Who meets the archiving process            Why both may work at once
//   a session that retries or deletes the job  take_away() locks the jobs row before it copies anything, and does not
//                                              wait: it leaves a job that the session holds or has changed. A session
//                                              that comes second waits, and then finds no job
//   another process at upkeep                  the same lock: one of the two archives the job
//   a session that inserts a reference to the  a foreign key locks the jobs row FOR KEY SHARE, which conflicts with the
//   job                                        lock of take_away()
//   another process that makes or drops months store::archive::lock_months() lets one of them do it
//   a session that has locked a partition      prepare_archive() asks for the partition's lock before the first job
//   a crash, a rollback, a savepoint undone    the copy and the deletion are in one subtransaction: the job is either
//                                              in `jobs` or in jobs_archive
// The tests are test/isolation/specs/archive-*.spec.
#include <algorithm>
#include <utility>

#include "pg/excerpt.hpp"
#include "pg/lock.hpp"
#include "pg/subtransaction.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "store/attempts.hpp"
#include "store/lanes.hpp"
#include "store/run_scan.hpp"
#include "store/steps.hpp"
#include "upkeep/ended_lanes.hpp"
#include "upkeep/work.hpp"

namespace upkeep {

namespace {

using store::Candidate;
using store::Jobs;
using store::Row;

constexpr store::Microseconds minute = USECS_PER_MINUTE;
// Beside the current one: a lock that keeps months from being made for some weeks then does no harm.
constexpr int months_ahead = 2;

// Reads `ended` lane by lane and rank by rank; within one, rows are in the order of finished_at, so that each scan ends
// at the first job that is too young. The next piece begins behind the lane at which this one became full: else one
// type with many ended jobs would keep the jobs of all others in `jobs`.
void find_ended(Task task, const Search &search, Pace &pace, Candidates &found)
{
    store::KeyTable &table = search.jobs.derived().ended();
    const auto may = [&](const Keep &keep, TimestampTz ended_at) {
        return keep.task == task && keep.span && ended_at <= search.now - *keep.span;
    };
    each_ended_run(table, search.hints, pace.last_lane, may,
                   [&](std::int32_t lane, std::int16_t rank, const Keep &keep) {
                       store::RunScan run(table, lane, rank, search.now - *keep.span, search.hints);
                       const Candidate *next = nullptr;
                       while (!found.full() && (next = run.next()) != nullptr)
                           found.add(*next, search.skip);
                       if (found.full())
                           pace.last_lane = lane;
                       return !found.full();
                   });
}

void find_to_remove(const Search &search, Pace &pace, Candidates &found)
{
    find_ended(Task::remove, search, pace, found);
}

void find_to_archive(const Search &search, Pace &pace, Candidates &found)
{
    find_ended(Task::archive, search, pace, found);
}

// Deletes one job, which it archives first if `keeps`. False: another session holds the job, or changed it after the
// snapshot was taken. Raises 09000 if a user's trigger or rule prevents the deletion, 27000 if one changes the job.
bool take_away(Batch &batch, const Candidate &candidate, bool keeps)
{
    Jobs &jobs = batch.jobs;
    const std::optional<Row> job = jobs.find(&candidate.job);
    const store::Key found = store::queue_key_of(candidate.key, &candidate.job);
    if (!job) {
        jobs.derived().remove_orphan(jobs.derived().ended(), found);
        return true;
    }
    // The lock of a DELETE, not that of an UPDATE: it conflicts with FOR KEY SHARE, which foreign keys take
    // (RI_FKey_check), so no session begins to refer to the job between here and its deletion.
    if (jobs.try_lock(LockTupleExclusive) != Jobs::Lock::taken)
        return false;
    if (store::ended_key(*job) != candidate.key) {
        // A session retried the job after the scan: by our lock this version is the newest, so the key is stale.
        jobs.derived().ended().remove(found);
        return true;
    }
    if (keeps)
        batch.archive->add(jobs, *job, batch.now, {store::attempts::as_json(*job), store::steps::as_json(*job)});
    switch (jobs.remove(*job)) {
    case store::Written::yes:
        break;
    case store::Written::suppressed:
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                        errmsg("a trigger or rule on jobs kept it from being deleted")));
    case store::Written::changed_meanwhile:
        // We hold the row, so a user's trigger in this very transaction changed it. Raise: that undoes the copy, which
        // has the job as it was before.
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION), errmsg("it changed while it was archived")));
    }
    ++(keeps ? batch.counts[Count::archived] : batch.counts[Count::deleted]);
    return true;
}

bool remove_job(Batch &batch, const Candidate &candidate) { return take_away(batch, candidate, false); }

bool archive(Batch &batch, const Candidate &candidate) { return take_away(batch, candidate, true); }

// Asks of the jobs row alone what find_ended() asks of `ended`: review() has an id and no key.
bool is_due(Task task, const Row &job, TimestampTz now)
{
    const auto key = store::ended_key(job);
    if (!key)
        return false;
    const Keep keep = keep_of(key->lane, key->rank);
    return keep.task == task && end_of(keep, key->due_at) <= now;
}

bool is_to_remove(const Row &job, TimestampTz now) { return is_due(Task::remove, job, now); }

bool is_to_archive(const Row &job, TimestampTz now) { return is_due(Task::archive, job, now); }

// The errors that keep this process from making months, or from dropping them. Archiving goes on without the partition
// (the default partition takes the jobs), or with one too many. So each kind of error is logged once an hour at most,
// and goes on record once, until it has not come for an hour. Kinds are told apart by SQLSTATE alone: messages name the
// month, and several months meet the same error. All of it is this process's memory: a rollback does not undo it.
class Trouble {
public:
    void note_error(const ErrorData *error)
    {
        Kind &kind = kind_of(error);
        const bool was_over = pg::is_over(std::exchange(kind.noted_at, pg::moment()), SECS_PER_HOUR * 1000);
        kind.was_told = kind.was_told && !was_over;
        kind.is_news = !kind.was_told;
        if (!pg::is_over(kind.logged_at, SECS_PER_HOUR * 1000))
            return;
        kind.logged_at = pg::moment();
        ereport(WARNING,
                (errcode(kind.sqlstate), errmsg("the partitions of jobs_archive could not be brought up to date: %s",
                                                pg::message_excerpt(error->message))));
    }
    // `message` points into this object: valid until the next note().
    bool take_news(int &sqlstate, const char *&message)
    {
        for (Kind &kind : kinds_)
            if (std::exchange(kind.is_news, false)) {
                kind.was_told = true;
                sqlstate = kind.sqlstate;
                message = kind.message;
                return true;
            }
        return false;
    }

private:
    struct Kind {
        int sqlstate = 0;
        char message[512] = "";
        bool is_news = false;
        bool was_told = false;
        pg::Moment noted_at = pg::long_ago;
        pg::Moment logged_at = pg::long_ago;
    };

    Kind &kind_of(const ErrorData *error)
    {
        for (Kind &kind : kinds_)
            if (kind.sqlstate == error->sqlerrcode)
                return kind;
        Kind &oldest = *std::min_element(std::begin(kinds_), std::end(kinds_),
                                         [](const Kind &a, const Kind &b) { return a.noted_at < b.noted_at; });
        oldest = {.sqlstate = error->sqlerrcode};
        strlcpy(oldest.message, pg::excerpt(error->message), sizeof(oldest.message));
        return oldest;
    }

    // A ninth kind of error replaces the one that has not come for the longest time.
    Kind kinds_[8];
};

Trouble making, dropping;

bool is_month_missing(TimestampTz instant) { return store::archive::Months(AccessShareLock).lacks(instant); }

// What became of a month that is missing:
//   yes     it is there now
//   no      create_month() declined: the default partition, or one of the user's, already holds a part of the month
//   failed  an error, which is noted; the default partition takes the jobs
//   busy    somebody has a table locked: the month can be made once the lock is gone, so jobs wait for it
enum class Made { yes, no, failed, busy };

// In a subtransaction, because what stands on the archive may raise anything. Raises what may be the server's fault.
// Busy is any 55P03, also that of make_archive_month()'s lock_timeout: a session that reads the archive for long, as
// pg_dump does, must not keep the jobs of other months from it.
Made make_month(TimestampTz month, Counts &counts)
{
    bool made = false;
    ErrorData *error =
        pg::in_subtransaction([&] { made = store::archive::create_month(month); },
                              [](const ErrorData *raised) {
                                  return pg::is_of_server(raised) && raised->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE;
                              });
    if (error == nullptr) {
        CommandCounterIncrement(); // is_month_missing() and the Writer are to see the new partition
        return made ? Made::yes : Made::no;
    }
    ++counts[Count::left];
    if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
        return Made::busy;
    making.note_error(error);
    return Made::failed;
}

// The months of the jobs of one piece. Each is looked at once; a list is enough, because a piece has jobs of few.
struct Preparation {
    bool may_alter;
    Counts &counts;
    bool made = false;
    int count = 0;
    TimestampTz months[Candidates::most] = {};
    bool ready[Candidates::most] = {};

    // False: the partition may yet be made, so the job waits for it. It waits also where this call may not alter the
    // archive (a transaction block, whose locks would last), and while another process makes or drops months.
    bool has_month(TimestampTz month)
    {
        if (!is_month_missing(month))
            return true;
        if (!may_alter || !store::archive::lock_months())
            return false;
        const Made outcome = make_month(month, counts);
        made = made || outcome == Made::yes;
        return outcome != Made::busy;
    }

    bool is_ready(TimestampTz month)
    {
        for (int i = 0; i < count; ++i)
            if (months[i] == month)
                return ready[i];
        months[count] = month;
        // Lock the partition here: if another session has it in ACCESS EXCLUSIVE mode, its jobs are left. In the middle
        // of the work the refused lock would make suspects of these jobs (upkeep/suspects.hpp).
        return ready[count++] = has_month(month) && store::archive::lock_partition_for(month);
    }
};

// Makes the months that archived jobs will go to. Jobs whose month may not be made now are taken out of the list, and
// noted as contended: they come again in a moment. True, if it made a month: the piece then ends, because attaching a
// partition locks the default partition in ACCESS EXCLUSIVE mode until the end of the transaction.
bool prepare_archive(Candidates &candidates, bool may_alter, Counts &counts)
{
    // First with the lock of the writes that follow: to look with a weaker one and ask for this later would be a lock
    // upgrade, which can deadlock.
    (void)store::open_table(store::ApiTable::jobs_archive, RowExclusiveLock);
    Preparation preparation = {may_alter, counts};
    int kept = 0;
    for (const Candidate &candidate : candidates.all()) {
        const auto month = store::archive::month_of(candidate.key.due_at);
        if (!month || preparation.is_ready(*month)) {
            candidates.all()[kept++] = candidate;
        } else {
            note_contended(&candidate.job);
            ++counts[Count::left];
        }
    }
    candidates.truncate(kept);
    return preparation.made;
}

void open_archive(Batch &batch) { batch.archive.emplace(batch.jobs.table()); }

// Returns whether it made any. Stops at the last month that a timestamp of the archive can have (month_of()).
bool make_months_ahead(TimestampTz now, Counts &counts)
{
    bool has_made = false;
    std::optional<TimestampTz> month = store::archive::month_of(now);
    for (int i = 0; month && i <= months_ahead; ++i, month = store::archive::next_month(*month)) {
        const Made made = is_month_missing(*month) ? make_month(*month, counts) : Made::no;
        has_made = has_made || made == Made::yes;
    }
    return has_made;
}

// Drops the oldest month that can be dropped. One a piece, because DROP holds its locks until the end of the
// transaction. A month that a session reads (55P03), or on which a user object depends (2BP01), does not keep the next
// one: each is tried in a subtransaction of its own. An error that ends the call is raised.
void drop_one(List *months, Counts &counts)
{
    ErrorData *first = nullptr; // the error of the oldest month that stays
    ListCell *cell;
    foreach (cell, months) {
        const Oid partition = lfirst_oid(cell);
        ErrorData *error = pg::in_subtransaction([&] { store::archive::drop_month(partition); }, pg::ends_the_call);
        if (error == nullptr) {
            counts[Count::months_dropped] = 1;
            counts.more = list_length(months) > 1;
            return;
        }
        first = first != nullptr ? first : error;
    }
    if (first != nullptr)
        dropping.note_error(first);
    counts[Count::left] += list_length(months);
}

// Months that end at this instant or before it are dropped. Nothing: months are kept for ever.
std::optional<TimestampTz> kept_since(TimestampTz now)
{
    if (settings::archive_keep < 0)
        return std::nullopt;
    return now - settings::archive_keep * minute;
}

} // namespace

const Work removing = {Task::remove, find_to_remove, nullptr, nullptr, remove_job, is_to_remove};
const Work archiving = {Task::archive, find_to_archive, prepare_archive, open_archive, archive, is_to_archive};

Keep keep_of(std::int32_t lane, std::int16_t rank)
{
    // A lane whose type has no row in job_types keeps jobs as the defaults say.
    const auto type = store::lanes::type_of(lane);
    const store::Type settings = store::types::settings_of(type.value_or(""));
    const auto span = rank == logic::completed_rank ? settings.keep_completed : settings.keep_failed;
    if (span)
        return {*span == 0 ? Task::remove : Task::archive, span};
    if (settings::archive_after < 0)
        return {};
    return {Task::archive, settings::archive_after * minute};
}

TimestampTz end_of(const Keep &keep, TimestampTz ended_at)
{
    TimestampTz end;
    // A job that finished at -infinity is due at once. A sum past the last timestamp is never due.
    if (!keep.span || TIMESTAMP_NOT_FINITE(ended_at) || pg_add_s64_overflow(ended_at, *keep.span, &end))
        return ended_at == DT_NOBEGIN ? DT_NOBEGIN : DT_NOEND;
    return end;
}

bool take_trouble_with_months(int &sqlstate, const char *&message)
{
    return making.take_news(sqlstate, message) || dropping.take_news(sqlstate, message);
}

Counts keep_months(TimestampTz now, bool may_alter)
{
    Counts counts;
    if (!may_alter || !store::archive::lock_months())
        return counts;
    if (make_months_ahead(now, counts)) {
        counts.more = true; // dropping locks more: in a transaction of its own
        return counts;
    }
    const std::optional<TimestampTz> since = kept_since(now);
    if (!since)
        return counts;
    List *old = NIL;
    store::archive::Months(AccessShareLock).each_of_ours([&](Oid partition, TimestampTz month) {
        if (store::archive::next_month(month) > *since)
            return false;
        old = lappend_oid(old, partition);
        return true;
    });
    drop_one(old, counts);
    return counts;
}

} // namespace upkeep
