#include "store/depth.hpp"

#include "pg/time.hpp"
#include "settings.hpp"
#include "shared/statistics.hpp"
#include "store/lanes.hpp"

namespace store::depth {

namespace {

using shared::statistics::Statistics;

enum class Go { on, to_next_rank, no_further };

// Calls `each(const Candidate &)` for the rows of a lane that are due from `from` to `until`, both included, rank by
// rank. With hints it begins where these say that the first one may stand, and raises none: it leaves out what others
// are just taking.
template <class Each>
void each_row(KeyTable &queue, std::int32_t lane, TimestampTz from, TimestampTz until, Hints hints, Each each)
{
    shared::hints::Places places;
    if (!read_places(queue, lane, hints, places)) {
        LaneScan rows(queue, GetActiveSnapshot(), lane, until, from);
        while (const Candidate *row = rows.head()) {
            const Go go = each(*row);
            if (go == Go::no_further)
                return;
            go == Go::on ? rows.advance() : rows.skip_rank();
        }
        return;
    }
    RunScan run(queue, GetActiveSnapshot(), Hints{});
    for (std::int16_t rank = logic::best_rank; rank <= logic::worst_rank; ++rank) {
        if (place_at(places, rank) == logic::after_all || place_at(places, rank).due_at > until)
            continue;
        run.start(lane, rank, std::max(place_at(places, rank), logic::first_place(from)), until);
        Go go = Go::on;
        while (const Candidate *row = go == Go::on ? run.next() : nullptr)
            go = each(*row);
        if (go == Go::no_further)
            return;
    }
}

// How many rows there are, counted up to `most`.
std::int64_t count_rows(KeyTable &queue, std::int32_t lane, TimestampTz from, TimestampTz until, Hints hints,
                        std::int64_t most)
{
    std::int64_t count = 0;
    each_row(queue, lane, from, until, hints,
             [&](const Candidate &) { return ++count < most ? Go::on : Go::no_further; });
    return count;
}

// The price is in proportion to the fewer of the two.
std::int64_t count_due(KeyTable &queue, std::int32_t lane, TimestampTz now, std::int64_t waiting, std::int64_t least)
{
    const std::int64_t last = least * 100;
    for (std::int64_t most = least;; most *= 10) {
        const std::int64_t due = count_rows(queue, lane, DT_NOBEGIN, now, note_hints(), most);
        if (due < most)
            return due;
        const std::int64_t later = count_rows(queue, lane, now + 1, DT_NOEND, note_hints(), most);
        if (later < most)
            return std::max(waiting - later, due);
        if (most >= last)
            return due;
    }
}

TimestampTz first_due_time(KeyTable &queue, std::int32_t lane, TimestampTz now)
{
    TimestampTz first = DT_NOEND;
    each_row(queue, lane, DT_NOBEGIN, now, note_hints(), [&](const Candidate &row) {
        first = std::min(first, row.key.due_at);
        return Go::to_next_rank;
    });
    return first;
}

HTAB *new_counts()
{
    HASHCTL control = {};
    control.keysize = sizeof(TypeName);
    control.entrysize = MAXALIGN(sizeof(TypeName)) + sizeof(std::int64_t);
    control.hcxt = CurrentMemoryContext;
    return hash_create("jobs_ext running", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

// What stands behind the name in an entry.
std::int64_t &count_in(void *entry)
{
    return *reinterpret_cast<std::int64_t *>(static_cast<char *>(entry) + MAXALIGN(sizeof(TypeName)));
}

} // namespace

Waiting of_lane(KeyTable &queue, std::int32_t lane, TimestampTz now, std::optional<std::int64_t> told,
                std::int64_t most)
{
    Waiting found;
    TimestampTz oldest = DT_NOEND;
    bool all = true;
    each_row(queue, lane, DT_NOBEGIN, DT_NOEND, note_hints(), [&](const Candidate &row) {
        all = !told || found.waiting < most;
        if (!all)
            return Go::no_further;
        ++found.waiting;
        found.due += row.key.due_at <= now ? 1 : 0;
        oldest = std::min(oldest, row.key.due_at);
        return Go::on;
    });
    if (!all) {
        found.waiting = std::max(found.waiting, *told);
        found.due = count_due(queue, lane, now, found.waiting, most);
        oldest = first_due_time(queue, lane, now);
    }
    if (oldest <= now)
        found.oldest_due = oldest;
    return found;
}

Running::Running(KeyTable &queue, std::int64_t most) : counts_(new_counts())
{
    const pg::OpenRelation jobs = open_table(ApiTable::jobs, AccessShareLock);
    const Tables &known = tables();
    const pg::OpenRelation by_id = open_index_of_jobs(jobs, known, Column::id, AccessShareLock);
    const AttrNumber type_column = known.number[index_of(Column::job_type)];
    pg::IndexLookup lookup(jobs, by_id);
    pg::Slot slot(jobs);
    std::int64_t count = 0;
    each_row(queue, logic::running_lane, DT_NOBEGIN, DT_NOEND, Hints{}, [&](const Candidate &row) {
        if (count++ == most) {
            all_ = false;
            return Go::no_further;
        }
        static constexpr RegProcedure equal[] = {F_UUID_EQ};
        const Datum keys[] = {UUIDPGetDatum(&row.job)};
        bool null = true;
        const Datum type = lookup.find(keys, equal, slot) ? slot_getattr(slot, type_column, &null) : Datum{0};
        if (null)
            return Go::on; // an orphan
        TypeName name;
        copy_name(name, type);
        bool is_there;
        std::int64_t &of_type = count_in(hash_search(counts_, name, HASH_ENTER, &is_there));
        of_type = is_there ? of_type + 1 : 1;
        return Go::on;
    });
}

std::int64_t Running::of_type(std::string_view type) const
{
    TypeName name = {};
    type.copy(name, sizeof(name) - 1);
    void *entry = hash_search(counts_, name, HASH_FIND, nullptr);
    return entry != nullptr ? count_in(entry) : 0;
}

namespace {

struct Unknown {
    std::int32_t lane;
    logic::JobStatistics::DepthCount begun;
};

// Has each type counted of which there is a job in the queue, as far as there is room: also one whose jobs were all
// there when the server started.
void make_records(KeyTable &queue, Oid table)
{
    for (auto lane = next_lane(queue, logic::running_lane); lane; lane = next_lane(queue, *lane))
        shared::statistics::with_lane(table, *lane, [](Statistics &) {});
}

// The types whose depth is not known. To be called as soon as the snapshot is taken.
std::span<Unknown> find_unknown(Oid table)
{
    // No memory can be had under the locks.
    const auto most = static_cast<std::size_t>(settings::max_counted_types);
    auto list = static_cast<Unknown *>(pg::allocate(sizeof(Unknown) * most));
    std::size_t count = 0;
    shared::statistics::each_of_table(table, [&](std::int32_t lane, const Statistics &statistics) {
        if (!statistics.numbers.depth() && count < most)
            list[count++] = {lane, statistics.numbers.begin_count()};
    });
    return {list, count};
}

} // namespace

bool count_unknown(int milliseconds)
{
    const pg::Moment end = pg::in_milliseconds(milliseconds);
    const Oid lanes = lanes::table();
    KeyTable queue(PrivateTable::queue, AccessShareLock);
    PushActiveSnapshot(GetTransactionSnapshot());
    make_records(queue, lanes);
    PopActiveSnapshot();
    PushActiveSnapshot(GetLatestSnapshot());
    const std::span<Unknown> unknown = find_unknown(lanes);
    std::size_t done = 0;
    if (!unknown.empty()) {
        const Running running(queue, all_there_are);
        for (; done < unknown.size() && (done == 0 || pg::moment() < end); ++done) {
            const Unknown &one = unknown[done];
            const std::optional<std::string_view> type = lanes::type_of(one.lane);
            // Without hints, which are newer than the snapshot, and pass what transactions in progress are taking:
            // these tell it when they commit, and nothing where they are rolled back.
            const logic::Depth found = {count_rows(queue, one.lane, DT_NOBEGIN, DT_NOEND, Hints{}, all_there_are),
                                        type ? running.of_type(*type) : 0};
            shared::statistics::with_lane(
                lanes, one.lane, [&](Statistics &statistics) { statistics.numbers.end_count(one.begun, found); });
        }
    }
    PopActiveSnapshot();
    return done < unknown.size();
}

} // namespace store::depth
