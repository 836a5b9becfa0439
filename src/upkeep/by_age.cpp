#include "upkeep/by_age.hpp"

#include "logic/id_time.hpp"
#include "pg/time.hpp"
#include "settings.hpp"
#include "store/ended_listed.hpp"

namespace upkeep::by_age {

namespace {

using store::Candidate;
using store::Row;

constexpr int most_looks = 10000; // jobs, in one piece
constexpr std::int64_t rest_for_work = 300, shortest_rest_ms = 1000;
// Jobs that come before the first one of the last walk (a restore, an import) are met within that time.
constexpr long from_the_beginning_ms = SECS_PER_HOUR * 1000;

constexpr logic::Id first_id = {};
constexpr ItemPointerData unlisted = {{InvalidBlockNumber >> 16, InvalidBlockNumber & 0xffff}, InvalidOffsetNumber};

struct Walk {
    bool is_under_way = false;
    logic::Id from = first_id;       // where the next piece goes on
    logic::Id first_seen = first_id; // the first job of this walk, or of the last
    pg::Moment began_at_first = pg::long_ago;
    TimestampTz began = DT_NOBEGIN;    // when it began
    TimestampTz earliest = DT_NOBEGIN; // when the first of the jobs that it left is due, or may be
    pg::Moment rests_until = pg::unset;
    std::int64_t took_us = 0;
    std::uint64_t own_times = 0; // when it began
    int archive_after = -1;      // likewise
};
// Over all jobs, for those that are to be listed; over the old ones, for those that are to leave.
Walk listing, leaving;

store::Microseconds span() { return settings::archive_after * USECS_PER_MINUTE; }

void begin(Walk &walk, TimestampTz now)
{
    const bool is_from_first = &walk == &listing || pg::is_over(walk.began_at_first, from_the_beginning_ms);
    walk.is_under_way = true;
    walk.from = is_from_first ? first_id : walk.first_seen;
    if (is_from_first)
        walk.began_at_first = pg::moment();
    walk.first_seen = first_id;
    walk.own_times = store::types::own_times();
    walk.archive_after = settings::archive_after;
    walk.began = now;
    walk.earliest = DT_NOEND;
    walk.took_us = 0;
}

void end(Walk &walk)
{
    walk.is_under_way = false;
    walk.rests_until = pg::moment() + std::max(walk.took_us * rest_for_work, shortest_rest_ms * 1000);
    if (&walk == &listing)
        store::note_ended_listed(walk.own_times);
    // What ends from now on is due no earlier than that.
    if (walk.archive_after >= 0)
        walk.earliest = std::min(walk.earliest, walk.began + span());
}

const logic::Id &id_of(const pg_uuid_t *job) { return *reinterpret_cast<const logic::Id *>(job->data); }

pg_uuid_t as_uuid(const logic::Id &id)
{
    pg_uuid_t result;
    std::copy(id.begin(), id.end(), result.data);
    return result;
}

// The jobs by id, from one on.
class JobsById {
public:
    JobsById(store::Jobs &jobs, const logic::Id &from)
        : from_(as_uuid(from)), numbers_(jobs.tables().number),
          index_(store::open_index_of_jobs(jobs.table(), jobs.tables(), store::Column::id, RowExclusiveLock)),
          slot_(jobs.table()), scan_(pg::begin_index_scan(jobs.table(), index_, GetActiveSnapshot(), 1))
    {
        ScanKeyData key;
        ScanKeyInit(&key, 1, BTGreaterEqualStrategyNumber, F_UUID_GE, UUIDPGetDatum(&from_));
        index_rescan(scan_, &key, 1, nullptr, 0);
    }
    ~JobsById() { index_endscan(scan_); }
    JobsById(const JobsById &) = delete;
    JobsById &operator=(const JobsById &) = delete;

    bool next()
    {
        CHECK_FOR_INTERRUPTS();
        return index_getnext_slot(scan_, ForwardScanDirection, slot_);
    }
    const logic::Id &id()
    {
        bool null;
        return id_of(DatumGetUUIDP(slot_getattr(slot_, numbers_[static_cast<std::size_t>(store::Column::id)], &null)));
    }
    // Nothing: the audit tells of it.
    std::optional<Row> row() { return store::read_complete_row(numbers_, slot_); }

private:
    pg_uuid_t from_;
    const store::ColumnNumbers &numbers_;
    pg::OpenRelation index_;
    pg::Slot slot_;
    IndexScanDesc scan_;
};

// Whether there is something to do for the job now: then `candidate` proposes it; else when there may be.
struct Standing {
    bool is_due = false;
    TimestampTz due_at = DT_NOEND;
    Candidate candidate = {};
};

Standing look_at(const Search &search, const Row &row)
{
    Standing standing;
    const auto key = store::ended_key(row);
    if (!key) {
        // It may end from now on.
        if (!logic::has_ended(row.status()) && settings::archive_after >= 0)
            standing.due_at = search.now + span();
        return standing;
    }
    standing.candidate = {*key, *row.id(), unlisted};
    const bool is_found_by_age = store::is_found_by_age(row);
    if (is_found_by_age)
        standing.due_at = end_of(keep_of(key->lane, key->rank), key->due_at);
    // What `ended` lists is found there. What it ought to, and does not, is listed.
    standing.is_due = (!is_found_by_age || standing.due_at <= search.now) &&
                      !search.jobs.derived().ended().contains(store::queue_key_of(*key, row.id()));
    return standing;
}

// Jobs that upkeep left, and whose rest is over: the walk may have passed them.
void find_rested(const Search &search, Candidates &found)
{
    auto add = [&](const pg_uuid_t *job) {
        if (found.full() || found.has(job))
            return;
        const std::optional<Row> row = search.jobs.find(job);
        if (!row)
            return;
        if (const Standing standing = look_at(search, *row); standing.is_due)
            found.add(standing.candidate, search.skip);
    };
    search.skip.set_aside.each([&](const SetAside::Entry &entry) {
        if (entry.retry_at <= search.now && std::strcmp(entry.task, name_of_task(Task::archive)) == 0)
            add(&entry.job);
    });
    each_rested(add);
}

// Whether the walk is to look no further than this job: it is too young, as are all behind it.
bool is_behind(Walk &walk, const logic::Id &id, const logic::Id &upto, TimestampTz now)
{
    if (&walk == &listing || id <= upto)
        return false;
    const auto made = logic::time_of_id(id);
    walk.earliest = std::min(walk.earliest, made ? *made + span() : now);
    return true;
}

// Goes on behind what it has looked at, but not past a job that it proposes: the piece may be rolled back.
void go_on(Walk &walk, const Search &search, Candidates &found)
{
    const logic::Id upto = logic::last_id_of(search.now - span());
    JobsById jobs(search.jobs, walk.from);
    bool proposes = false;
    for (int looks = 0; jobs.next(); ++looks) {
        const logic::Id id = jobs.id();
        if (walk.first_seen == first_id)
            walk.first_seen = id;
        if (!proposes)
            walk.from = id;
        if (is_behind(walk, id, upto, search.now))
            break;
        if (found.full() || looks == most_looks) {
            found.leave_more();
            return;
        }
        const std::optional<Row> row = jobs.row();
        if (!row)
            continue;
        const Standing standing = look_at(search, *row);
        if (&walk == &listing && store::is_found_by_age(*row))
            continue;
        if (!standing.is_due) {
            walk.earliest = std::min(walk.earliest, standing.due_at);
        } else if (!found.has(row->id())) {
            found.add(standing.candidate, search.skip);
            proposes = proposes || !search.skip(row->id());
        }
    }
    if (!proposes)
        end(walk);
    else if (&walk == &listing)
        found.leave_more(); // what is listed may be due, and the next piece looks there first
}

} // namespace

namespace {

void walk_on(Walk &walk, TimestampTz next, const Search &search, Candidates &found)
{
    if (!walk.is_under_way && next <= search.now)
        begin(walk, search.now);
    if (!walk.is_under_way || found.full())
        return;
    const pg::Moment began = pg::moment();
    go_on(walk, search, found);
    walk.took_us += pg::moment().microseconds - began.microseconds;
}

} // namespace

void find_unlisted(const Search &search, Candidates &found)
{
    walk_on(listing, next_listing(search.now), search, found);
}

void find_old(const Search &search, Candidates &found)
{
    if (!found.full())
        find_rested(search, found);
    walk_on(leaving, next_leaving(search.now), search, found);
}

TimestampTz next_listing(TimestampTz now)
{
    return listing.is_under_way || (store::types::own_times() != 0 && !store::is_ended_listed()) ? now : DT_NOEND;
}

TimestampTz next_leaving(TimestampTz now)
{
    if (settings::archive_after < 0)
        return DT_NOEND;
    if (leaving.is_under_way || leaving.archive_after != settings::archive_after)
        return now;
    const std::int64_t rest = leaving.rests_until.microseconds - pg::moment().microseconds;
    return std::max(leaving.earliest, rest > 0 ? now + rest : DT_NOBEGIN);
}

void begin_anew() { listing = leaving = {}; }

bool is_unlisted(const Candidate &candidate) { return !ItemPointerIsValid(&candidate.tid); }

} // namespace upkeep::by_age
