// job_stats(): what the queue does, a row for each type. What is counted comes from shared memory
// (shared/statistics.hpp), how many jobs wait and run from the queue, as far as that is short, and else from there too
// (store/depth.hpp).
//
// No policy covers either, so a caller under row security gets nothing of them, but what a statement of its own sees of
// `jobs`. The same statement serves where the derived tables cannot be read, until the next writer builds them.
//
// It locks no row and writes none, so it runs on a standby as well, where nothing is counted. Others go on meanwhile:
// each type is read at its own moment, and numbers of one row are of one moment as far as they are counted.
#include <algorithm>

#include "call/fields.hpp"
#include "pg/plan.hpp"
#include "settings.hpp"
#include "shared/statistics.hpp"
#include "store/built.hpp"
#include "store/depth.hpp"
#include "store/lanes.hpp"
#include "verbs/fresh_look.hpp"
#include "verbs/own_jobs.hpp"

namespace verbs {

namespace {

using logic::Event;
using shared::statistics::Statistics;

// The columns of public.job_type_stats.
constexpr auto all_types()
{
    std::array<Oid, 29> types = {};
    types.fill(INT8OID);
    types[0] = VARCHAROID;
    types[4] = types.back() = TIMESTAMPTZOID;
    std::fill(types.end() - 7, types.end() - 1, INTERVALOID);
    return types;
}
constexpr auto row_types = all_types();
static_assert(row_types.size() == 5 + logic::event_count + 2 * logic::recent_event_count + 6 + 1);

// A type of which there is a row: registered, or one that has a lane all the same.
struct Shown {
    const char *name;
    std::optional<std::int32_t> lane;
    bool is_registered;
};

// How many jobs wait, are due and run.
struct Depth : store::depth::Waiting {
    std::int64_t running = 0;
};

// By name, each once. Copied, because the lists of types and lanes may be read anew meanwhile.
std::span<Shown> find_types()
{
    const int lanes = store::lanes::count_lanes();
    int count = 0, room = lanes + 64;
    auto list = static_cast<Shown *>(pg::allocate(sizeof(Shown) * static_cast<std::size_t>(room)));
    const auto add = [&](const Shown &shown) {
        if (count == room)
            list = static_cast<Shown *>(repalloc_huge(list, sizeof(Shown) * static_cast<std::size_t>(room *= 2)));
        list[count++] = shown;
    };
    std::int32_t lane = logic::running_lane;
    for (int i = 0; i < lanes; ++i) {
        lane = store::lanes::after(lane);
        if (const auto type = store::lanes::type_of(lane))
            add({pnstrdup(type->data(), type->size()), lane, false});
    }
    store::types::each_type([&](const store::Type &type) { add({pstrdup(type.name), std::nullopt, true}); });
    std::sort(list, list + count, [](const Shown &a, const Shown &b) { return std::strcmp(a.name, b.name) < 0; });
    int kept = 0;
    for (int i = 0; i < count; ++i)
        if (kept > 0 && std::strcmp(list[kept - 1].name, list[i].name) == 0) {
            if (list[i].lane)
                list[kept - 1].lane = list[i].lane;
            list[kept - 1].is_registered |= list[i].is_registered;
        } else
            list[kept++] = list[i];
    return {list, static_cast<std::size_t>(kept)};
}

pg::Nullable span_of(std::optional<logic::Histogram::Span> span)
{
    if (!span)
        return {};
    auto interval = static_cast<Interval *>(palloc0(sizeof(Interval)));
    interval->time = *span;
    return IntervalPGetDatum(interval);
}

void add_quantiles(pg::RowBuilder &row, const logic::Histogram &histogram)
{
    for (const double q : {0.5, 0.95, 0.99})
        row.add(span_of(histogram.quantile(q)));
}

void add_statistics(pg::RowBuilder &row, const Statistics &statistics)
{
    const std::int64_t now = pg::moment().microseconds;
    const logic::JobStatistics &numbers = statistics.numbers;
    for (int event = 0; event < logic::event_count; ++event)
        row.add(numbers.count(static_cast<Event>(event)));
    for (int event = 0; event < logic::recent_event_count; ++event)
        row.add(numbers.in_last_minute(static_cast<Event>(event), now));
    for (int event = 0; event < logic::recent_event_count; ++event)
        row.add(numbers.in_last_hour(static_cast<Event>(event), now));
    add_quantiles(row, numbers.waits());
    add_quantiles(row, numbers.runs());
    row.add(std::optional(statistics.since));
}

void put_type(pg::RowSink &sink, const char *type, const Depth &depth, const Statistics *statistics)
{
    pg::RowBuilder row(row_types);
    row.add(type).add(depth.waiting).add(depth.due).add(depth.running).add(depth.oldest_due);
    if (statistics != nullptr)
        add_statistics(row, *statistics);
    sink.put(row);
}

// Where nothing is counted there is nobody to ask how many there are, and all rows of the queue are.
class Queue {
public:
    explicit Queue(std::size_t types)
        : queue_(store::PrivateTable::queue, AccessShareLock),
          most_(std::clamp<std::int64_t>(most_of_all / static_cast<std::int64_t>(types + 1), 20, most_of_type))
    {
        queue_.unlock_when_closed();
    }

    Depth of_type(const Shown &type, const Statistics *statistics)
    {
        const std::optional<logic::Depth> told =
            statistics != nullptr ? statistics->numbers.depth().shown() : std::nullopt;
        Depth found;
        if (type.lane)
            static_cast<store::depth::Waiting &>(found) = store::depth::of_lane(
                queue_, *type.lane, now_, told ? std::optional(told->waiting) : std::nullopt, most_);
        found.running = running(told).of_type(type.name);
        if (!running_->are_all() && told)
            found.running = std::max<std::int64_t>(told->running, 0);
        return found;
    }

private:
    static constexpr std::int64_t most_of_type = 1000, most_of_all = 100'000;

    // Those of all types, counted when they are first asked for, and once more where that was not enough for a type.
    const store::depth::Running &running(const std::optional<logic::Depth> &told)
    {
        if (!running_)
            running_.emplace(queue_, most_of_type);
        if (!running_->are_all() && !told)
            running_.emplace(queue_, store::depth::all_there_are);
        return *running_;
    }

    store::KeyTable queue_;
    const std::int64_t most_;
    const TimestampTz now_ = settings::now();
    std::optional<store::depth::Running> running_;
};

// The unfinished jobs that the caller sees, by type, as a statement gives them.
class OwnJobs {
public:
    struct OfType {
        const char *name;
        Depth depth;
    };

    OwnJobs();

    std::span<const OfType> all() const { return list_; }
    Depth of_type(const char *name) const
    {
        const auto found = std::lower_bound(list_.begin(), list_.end(), name,
                                            [](const OfType &a, const char *b) { return std::strcmp(a.name, b) < 0; });
        return found != list_.end() && std::strcmp(found->name, name) == 0 ? found->depth : Depth{};
    }

private:
    std::span<OfType> list_;
};

OwnJobs::OwnJobs()
{
    static constexpr const char *statement =
        "select type, pg_catalog.count(*) filter (where waits), pg_catalog.count(*) filter (where waits and is_due), "
        "pg_catalog.count(*) filter (where not waits), pg_catalog.min(run_at) filter (where waits and is_due) "
        "from (select job_type::pg_catalog.text collate pg_catalog.\"C\" as type, run_at, "
        "status::pg_catalog.text operator(pg_catalog.<>) 'in_progress' as waits, "
        "run_at operator(pg_catalog.<=) $1 as is_due from public.jobs "
        "where status::pg_catalog.text operator(pg_catalog.=) any ('{pending,queued,in_progress}')) as own "
        "group by type order by type";
    static constexpr Oid types[] = {TEXTOID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID};
    MemoryContext caller = CurrentMemoryContext;
    const pg::SpiScope spi;
    const pg::Parameter parameters[] = {{TIMESTAMPTZOID, TimestampTzGetDatum(settings::now())}};
    const pg::Rows rows = pg::query(statement, parameters, types, 0, true);
    pg::InMemory long_lived(caller);
    list_ = {static_cast<OfType *>(pg::allocate(sizeof(OfType) * rows.count())), rows.count()};
    for (std::uint64_t i = 0; i < rows.count(); ++i) {
        OfType &of = list_[i];
        of = OfType{};
        of.name = TextDatumGetCString(rows.at(i, 0).value);
        of.depth.waiting = DatumGetInt64(rows.at(i, 1).value);
        of.depth.due = DatumGetInt64(rows.at(i, 2).value);
        of.depth.running = DatumGetInt64(rows.at(i, 3).value);
        if (const pg::Nullable oldest = rows.at(i, 4); oldest)
            of.depth.oldest_due = DatumGetTimestampTz(oldest.value);
    }
}

// The type that is asked for; nothing: all.
struct Asked {
    pg::Nullable job_type;

    bool matches(const char *name) const { return !job_type || pg::text_view(job_type.value) == name; }
};
constexpr call::Field<Asked> stats_fields[] = {{"job_type", TEXTOID, &Asked::job_type}};

void put_own(pg::RowSink &sink, const Asked &asked)
{
    const OwnJobs own;
    for (const OwnJobs::OfType &of : own.all())
        if (asked.matches(of.name))
            put_type(sink, of.name, of.depth, nullptr);
}

// The statistics of a type; null: it is not counted. One that nothing has happened to since the server started has
// none yet, and there is room for it: all is 0.
const Statistics *read_statistics(Oid table, const Shown &type, Statistics &copy)
{
    if (RecoveryInProgress())
        return nullptr; // its server counts
    if (type.lane && shared::statistics::read(table, *type.lane, copy))
        return &copy;
    if (shared::statistics::are_full())
        return nullptr;
    copy = {};
    copy.since = shared::statistics::begun();
    return &copy;
}

void say_what_is_not_counted()
{
    if (RecoveryInProgress())
        ereport(NOTICE, (errmsg("the statistics of job types are not counted"),
                         errdetail_internal("This server is a standby."), errhint("Ask the primary.")));
    else if (!settings::preloaded)
        ereport(NOTICE, (errmsg("the statistics of job types are not counted"),
                         errdetail_internal("The library jobs_ext is not in shared_preload_libraries."),
                         errhint("Add it, and restart the server.")));
    else
        ereport(NOTICE, (errmsg("the statistics of some job types are not counted"),
                         errdetail("The server counts %d types.", settings::max_counted_types),
                         errhint("Raise jobs_ext.max_counted_types.")));
}

// `own`: where the queue cannot be read.
void put_all(pg::RowSink &sink, const Asked &asked, const OwnJobs *own)
{
    const Oid table = store::lanes::table();
    const std::span<Shown> types = find_types();
    std::optional<Queue> queue;
    if (own == nullptr)
        queue.emplace(asked.job_type ? 1 : types.size());
    auto copy = static_cast<Statistics *>(palloc(sizeof(Statistics)));
    bool is_any_left_out = false;
    pg::RowMemory memory;
    for (const Shown &type : types) {
        if (!asked.matches(type.name))
            continue;
        CHECK_FOR_INTERRUPTS();
        const Statistics *statistics = read_statistics(table, type, *copy);
        const Depth depth = own != nullptr ? own->of_type(type.name) : queue->of_type(type, statistics);
        if (!type.is_registered && (statistics == nullptr || statistics->changes == 0) &&
            depth.waiting + depth.running == 0)
            continue; // it was once
        is_any_left_out = is_any_left_out || statistics == nullptr;
        pg::RowMemory::Use use(memory);
        put_type(sink, type.name, depth, statistics);
    }
    if (is_any_left_out)
        say_what_is_not_counted();
}

} // namespace

JOBS_FUNCTION(job_stats)
{
    PreventCommandIfParallelMode("job_stats()");
    const Asked asked = call::read_arguments<stats_fields>(fcinfo);
    pg::RowSink sink(fcinfo, row_types);
    const FreshLook look(store::ApiTable::jobs);
    const pg::OpenRelation jobs = store::open_table(store::ApiTable::jobs, AccessShareLock);
    if (is_under_row_security()) {
        put_own(sink, asked);
        return Datum{0};
    }
    call::require_select(*store::find_table(store::ApiTable::jobs));
    if (store::derived_are_readable()) {
        put_all(sink, asked, nullptr);
    } else {
        const OwnJobs own;
        put_all(sink, asked, &own);
    }
    return Datum{0};
}

} // namespace verbs
