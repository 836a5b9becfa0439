// What becomes of jobs that have ended: they go to the archive, or nowhere; and the months of the archive.
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
#include "upkeep/work.hpp"

namespace upkeep {

namespace {

using store::Candidate;
using store::Jobs;
using store::Row;

constexpr store::Microseconds minute = USECS_PER_MINUTE;
constexpr int months_ahead = 2; // beside the current one

constexpr std::int16_t ranks[] = {logic::completed_rank, logic::failed_rank};

void find_ended(Task task, Jobs &jobs, const Skip &skip, TimestampTz now, Pace &pace, Candidates &found)
{
    store::KeyTable &table = jobs.derived().ended();
    std::int32_t lane = pace.last_lane;
    for (int left = store::lanes::count_lanes(); left > 0; --left) {
        lane = store::lanes::after(lane);
        for (const std::int16_t rank : ranks) {
            const Keep keep = keep_of(lane, rank);
            if (keep.task != task || !keep.span)
                continue;
            store::RunScan run(table, lane, rank, now - *keep.span);
            for (const Candidate *next = run.next(); next != nullptr; next = run.next()) {
                found.add(*next, skip);
                if (found.full()) {
                    pace.last_lane = lane;
                    return;
                }
            }
        }
    }
}

void find_to_remove(Jobs &jobs, const Skip &skip, TimestampTz now, Pace &pace, Candidates &found)
{
    find_ended(Task::remove, jobs, skip, now, pace, found);
}

void find_to_archive(Jobs &jobs, const Skip &skip, TimestampTz now, Pace &pace, Candidates &found)
{
    find_ended(Task::archive, jobs, skip, now, pace, found);
}

bool take_away(Batch &batch, const Candidate &candidate, bool keeps)
{
    Jobs &jobs = batch.jobs;
    const std::optional<Row> job = jobs.find(&candidate.job);
    const store::Key found = store::queue_key_of(candidate.key, &candidate.job);
    if (!job) {
        jobs.derived().remove_orphan(jobs.derived().ended(), found);
        return true;
    }
    // As a DELETE would lock it: nobody may begin to refer to it meanwhile.
    if (jobs.try_lock(LockTupleExclusive) != Jobs::Lock::taken)
        return false;
    if (store::ended_key(*job) != candidate.key) {
        jobs.derived().ended().remove(found); // it was retried
        return true;
    }
    if (keeps)
        batch.archive->add(jobs, *job, batch.now, store::attempts::as_json(*job));
    switch (jobs.remove(*job)) {
    case store::Written::yes:
        break;
    case store::Written::suppressed:
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
                        errmsg("a trigger or rule on jobs kept it from being deleted")));
    case store::Written::changed_meanwhile:
        // Locked by us: a trigger of the user's on the archive changed it. Nothing of it may stay in there.
        ereport(ERROR, (errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION), errmsg("it changed while it was archived")));
    }
    ++(keeps ? batch.counts[Count::archived] : batch.counts[Count::deleted]);
    return true;
}

bool remove_job(Batch &batch, const Candidate &candidate) { return take_away(batch, candidate, false); }

bool archive(Batch &batch, const Candidate &candidate) { return take_away(batch, candidate, true); }

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

// What keeps months from being made, or from being dropped. The archive works on without the partition, or with one too
// many: once an hour is enough for the log, and once for the record, until it went well for an hour. Errors are told
// apart by SQLSTATE alone: the message names the month, and several months meet the same.
class Trouble {
public:
    void note(const ErrorData *error)
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

    Kind kinds_[8];
};

Trouble making, dropping;

bool is_month_missing(TimestampTz instant) { return store::archive::Months(AccessShareLock).lacks(instant); }

// Whether it is there now and was not. Where it can't be made the default partition serves; not so where another
// partition is locked and this process waits for no table: it can be made in a moment.
enum class Made { yes, no, failed, busy };
Made make_month(TimestampTz month, Counts &counts)
{
    bool made = false;
    ErrorData *error = pg::in_subtransaction(
        [&] { made = store::archive::create_month(month); },
        [](const ErrorData *raised) { return pg::is_of_server(raised) && !pg::is_refused_table(raised); });
    if (error == nullptr) {
        CommandCounterIncrement();
        return made ? Made::yes : Made::no;
    }
    ++counts[Count::left];
    if (pg::is_refused_table(error))
        return Made::busy;
    making.note(error);
    return Made::failed;
}

// The months of the jobs of one piece, each looked at once; they are few.
struct Preparation {
    bool may_alter;
    Counts &counts;
    bool made = false;
    int count = 0;
    TimestampTz months[Candidates::most] = {};
    bool ready[Candidates::most] = {};

    // Whether there is a partition for it, as far as there can be one.
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
        // A partition that somebody has to himself is no fault of the jobs that go there, nor in the way of the others.
        return ready[count++] = has_month(month) && store::archive::lock_partition_for(month);
    }
};

// Makes the months that archived jobs will go to. Jobs whose month may not be made now are taken out of the list.
bool prepare_archive(Candidates &candidates, bool may_alter, Counts &counts)
{
    (void)store::open_table(store::ApiTable::jobs_archive, RowExclusiveLock); // as it is going to be written
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

// One a piece, since its locks last until the end of the transaction. Where somebody reads one, or something of the
// user's depends on it, the next one may go.
void drop_one(List *months, Counts &counts)
{
    ErrorData *first = nullptr; // of those that stay
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
        dropping.note(first);
    counts[Count::left] += list_length(months);
}

// Nothing: for ever.
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
