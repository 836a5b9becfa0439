#include "store/depth.hpp"

#include "store/types.hpp"

namespace store::depth {

namespace {

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

JobsByType::JobsByType()
    : jobs_(open_table(ApiTable::jobs, AccessShareLock)),
      by_id_(open_index_of_jobs(jobs_, tables(), Column::id, AccessShareLock)),
      type_column_(tables().number[index_of(Column::job_type)]), lookup_(jobs_, by_id_), slot_(jobs_),
      counts_(new_counts())
{
}

void JobsByType::add(const pg_uuid_t &job)
{
    static constexpr RegProcedure equal[] = {F_UUID_EQ};
    const Datum keys[] = {UUIDPGetDatum(&job)};
    bool null = true;
    const Datum type = lookup_.find(keys, equal, slot_) ? slot_getattr(slot_, type_column_, &null) : Datum{0};
    if (null)
        return; // an orphan
    TypeName name;
    copy_name(name, type);
    bool is_there;
    std::int64_t &of_type = count_in(hash_search(counts_, name, HASH_ENTER, &is_there));
    of_type = is_there ? of_type + 1 : 1;
}

std::int64_t JobsByType::of_type(std::string_view type) const
{
    TypeName name = {};
    type.copy(name, sizeof(name) - 1);
    void *entry = hash_search(counts_, name, HASH_FIND, nullptr);
    return entry != nullptr ? count_in(entry) : 0;
}

Running::Running(KeyTable &queue, std::int64_t most)
{
    std::int64_t count = 0;
    each_row(queue, logic::running_lane, DT_NOBEGIN, DT_NOEND, Hints{}, [&](const Candidate &row) {
        all_ = count++ < most;
        if (!all_)
            return Go::no_further;
        jobs_.add(row.job);
        return Go::on;
    });
}

} // namespace store::depth
