// job_get, job_list, job_children, and the functions under the views jobs_active, jobs_running and jobs_failed. Every
// row that they show comes from `jobs` by a statement of the caller's, so that row security and privileges hold. The
// derived tables only say which ids to ask for.
//
// They take no lock on a row and run beside all writers, because the ids and the rows are read under one snapshot. What
// may come between, and what the code does about it:
//   - ALTER TABLE with a rewrite commits while we wait for its lock: FreshLook.
//   - The derived tables are not built, or were built after our snapshot: derived_are_readable() is false, and `jobs`
//     alone is read, more slowly.
//   - An orphan or a wrong key: its id finds no job, or a job of another status. Each statement asks for the status
//     again, so the job does not show.
//   - A caller under row security who sees few jobs of many: the caller's own are read instead (verbs/own_jobs.hpp).
//   - DROP or ALTER by code of the user's in one of our statements: Postgres refuses it (55006), since Select and
//     Walker hold their tables open.
// `jobs` is opened before a derived table, which is the lock order of the writers.
//
// They run on a standby as well: nothing here writes or takes an id.
#include "verbs/list.hpp"

#include "job/refusal.hpp"
#include "pg/excerpt.hpp"
#include "pg/plan.hpp"
#include "pg/sqlstate.hpp"
#include "store/built.hpp"
#include "store/queue_scan.hpp"
#include "verbs/fresh_look.hpp"
#include "verbs/newest_of_status.hpp"
#include "verbs/own_jobs.hpp"

namespace verbs {

namespace {

// The columns of ours by name, in the order of the type `job`: the user may have added columns, or reordered them.
const char *column_list()
{
    StringInfoData list;
    initStringInfo(&list);
    for (const store::ColumnDefinition &column : store::columns)
        appendStringInfo(&list, "%s%s", list.len == 0 ? "" : ", ", column.name);
    return list.data;
}

// own_jobs: the caller sees so few rows that all of them are read, by their index, and then sorted. The planner is not
// asked for the first ones of an order: it would walk the index of all jobs in that order, hoping for the caller's.
// newest_jobs: the caller sees so many that this walk is what is wanted. newest_part: the same, and no further than
// newest_part_size.
enum class Reading { as_planned, own_jobs, newest_jobs, newest_part };
constexpr int newest_part_size = 100'000;

// A SELECT that grows by conditions and their parameters, run as the caller. The table stays open meanwhile, so that it
// keeps the columns that open_table() has compared (42804). No value goes into the text, which is the name of a saved
// plan (pg/plan.hpp): a combination of conditions is planned once in a session. Every operator is qualified, because
// the statement runs under the caller's search_path.
class Select {
public:
    explicit Select(store::ApiTable table, Reading reading = Reading::as_planned)
        : look_(table), table_(store::open_table(table, AccessShareLock)), reading_(reading)
    {
        initStringInfo(&text_);
        const char *columns = column_list();
        if (reading == Reading::own_jobs)
            appendStringInfo(&text_, "select %s from (", columns);
        if (reading == Reading::newest_part)
            appendStringInfo(&text_, "select %s from (", columns);
        // A text of its own for each reading, since it names the plan.
        appendStringInfo(&text_, "select %s from public.%s where %s", columns, store::name_of_table(table),
                         reading == Reading::newest_jobs ? "true and true" : "true");
    }

    // Adds a condition, which has one %d for the number of its parameter; a null value adds none.
    void where(const char *condition, Oid type, pg::Nullable value)
    {
        if (!value)
            return;
        parameters_[count_++] = {type, value};
        appendStringInfoString(&text_, " and ");
        appendStringInfo(&text_, condition, count_);
    }

    // After the conditions on what is in the newest part, and before the others.
    void end_part()
    {
        appendStringInfo(&text_, " order by created_at desc, id desc limit %d) as newest where true", newest_part_size);
    }

    // After all conditions.
    void newest_first()
    {
        if (reading_ == Reading::own_jobs)
            appendStringInfoString(&text_, " offset 0) as own"); // keeps order and limit out
        appendStringInfoString(&text_, " order by created_at desc, id desc");
    }

    void page(std::int32_t rows, std::int32_t skip)
    {
        parameters_[count_++] = {INT4OID, Int32GetDatum(rows)};
        parameters_[count_++] = {INT4OID, Int32GetDatum(skip)};
        appendStringInfo(&text_, " limit $%d offset $%d", count_ - 1, count_);
    }

    // Calls `each(HeapTuple)` for every row until it returns false. Returns how many rows there were. Read only: the
    // statement runs under the active snapshot, the one under which the ids were read, and takes none of its own
    // (SPI_execute_plan).
    template <class Each>
    std::uint64_t execute(Each each)
    {
        pg::SpiScope spi;
        const pg::Rows rows = query();
        for (std::uint64_t i = 0; i < rows.count(); ++i)
            if (!each(rows.whole(i)))
                break;
        return rows.count();
    }

    // Puts the rows if there are so many. False: there are not.
    bool execute_if_full(pg::RowSink &sink, std::int32_t count)
    {
        pg::SpiScope spi;
        const pg::Rows rows = query();
        if (rows.count() < static_cast<std::uint64_t>(count))
            return false;
        for (std::uint64_t i = 0; i < rows.count(); ++i)
            sink.put(rows.whole(i));
        return true;
    }

    std::uint64_t execute(pg::RowSink &sink)
    {
        return execute([&](HeapTuple row) {
            sink.put(row);
            return true;
        });
    }

private:
    pg::Rows query()
    {
        std::optional<pg::ByIndex> by_index;
        if (reading_ != Reading::as_planned)
            by_index.emplace(reading_ == Reading::own_jobs ? pg::ByIndex::Order::as_planned
                                                           : pg::ByIndex::Order::in_order);
        return pg::query(text_.data, std::span(parameters_, count_), store::row_type(), 0, true);
    }

    FreshLook look_;
    pg::OpenRelation table_;
    Reading reading_;
    StringInfoData text_;
    pg::Parameter parameters_[16];
    int count_ = 0;
};

// Ids, as an array for a statement. A chunk of them at a time: one statement for each id would cost its start a
// thousand times, one for all would hold a million rows in memory (SPI keeps what it gives until the end).
class Ids {
public:
    static constexpr int chunk = 1000;

    void add(Datum id)
    {
        list_ = accumArrayResult(list_, id, false, UUIDOID, CurrentMemoryContext); // copies it
    }
    bool is_full() const { return list_ != nullptr && list_->nelems >= chunk; }
    bool is_empty() const { return list_ == nullptr; }
    Datum array() const { return makeArrayResult(list_, CurrentMemoryContext); }

private:
    ArrayBuildState *list_ = nullptr;
};

constexpr const char *among_ids = "id operator(pg_catalog.=) any ($%d)";
constexpr const char *of_status = "status::pg_catalog.text operator(pg_catalog.=) any ($%d)";

// Which derived table is read from one end to the other, and which part of it.
enum class Walk { waiting_and_running, waiting, running, failed, blocked, paused };

store::PrivateTable table_of(Walk walk)
{
    switch (walk) {
    case Walk::failed:
        return store::PrivateTable::failed;
    case Walk::blocked:
        return store::PrivateTable::blocked;
    case Walk::paused:
        return store::PrivateTable::paused;
    default:
        return store::PrivateTable::queue;
    }
}

// Whether the table has its jobs by the time of their creation, which is the order of a page.
bool is_by_age(Walk walk) { return table_of(walk) != store::PrivateTable::queue; }

// Reads the ids of a derived table in the order of its index: those that have an age the newest first. Under the
// snapshot that is active when it is made.
class Walker {
public:
    // `before`: the jobs created before that time; null: all. For jobs that have no age it has no meaning.
    Walker(Walk walk, pg::Nullable before)
        : table_(table_of(walk), AccessShareLock), slot_(table_.table()), job_column_(is_by_age(walk) ? 2 : 4),
          direction_(is_by_age(walk) ? BackwardScanDirection : ForwardScanDirection)
    {
        table_.unlock_when_closed();
        ScanKeyData key = {};
        AttrNumber keys = 0;
        if (walk == Walk::running)
            ScanKeyInit(&key, ++keys, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(logic::running_lane));
        if (walk == Walk::waiting)
            ScanKeyInit(&key, ++keys, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(logic::running_lane));
        if (is_by_age(walk) && before)
            ScanKeyInit(&key, ++keys, BTLessStrategyNumber, F_TIMESTAMPTZ_LT, before.value);
        scan_ = pg::begin_index_scan(table_.table(), table_.index(), GetActiveSnapshot(), keys);
        index_rescan(scan_, &key, keys, nullptr, 0);
    }
    ~Walker() { index_endscan(scan_); }
    Walker(const Walker &) = delete;
    Walker &operator=(const Walker &) = delete;

    // The next ids, at most a chunk unless all are wanted at once.
    Ids next(bool all)
    {
        Ids ids;
        while ((all || !ids.is_full()) && advance()) {
            CHECK_FOR_INTERRUPTS();
            bool null;
            ids.add(slot_getattr(slot_, job_column_, &null));
        }
        return ids;
    }

    // Goes on by so many ids; returns how many were there.
    std::int64_t skip(std::int64_t most)
    {
        std::int64_t count = 0;
        while (count < most && advance()) {
            CHECK_FOR_INTERRUPTS();
            ++count;
        }
        return count;
    }

private:
    bool advance()
    {
        pg::InMemory long_lived(memory_); // an index scan keeps what it allocates on the way
        // index_getnext_slot() that is called again after it said "no more" starts the scan anew.
        ended_ = ended_ || !index_getnext_slot(scan_, direction_, slot_);
        return !ended_;
    }

    store::KeyTable table_;
    pg::Slot slot_;
    int job_column_;
    ScanDirection direction_;
    MemoryContext memory_ = CurrentMemoryContext;
    IndexScanDesc scan_;
    bool ended_ = false;
};

bool names_more_than(std::span<const Walk> walks, pg::Nullable before, std::int64_t count)
{
    std::int64_t named = 0;
    for (const Walk walk : walks) {
        if (named > count)
            break;
        named += Walker(walk, before).skip(count + 1 - named);
    }
    return named > count;
}

// Whether the caller sees so few jobs that reading all of these costs less than asking for each id that the derived
// tables name, which are those of all callers. Both are counted up to a bound, which grows until one of them ends: the
// price of the answer is in proportion to the cheaper of the two. To ask for an id costs about four times as much as to
// read a job of one's own. Beyond the last bound either is long, and the walk goes on by chunks.
//
// No walks: there is no derived table to ask, and a member of few is spared the plan for many.
bool reads_own_jobs(std::span<const Walk> walks, pg::Nullable before)
{
    if (!is_under_row_security())
        return false;
    if (walks.empty())
        return sees_at_most(few_own);
    for (std::int64_t ids = 250; ids <= 64000; ids *= 4) {
        if (!names_more_than(walks, before, ids))
            return false;
        if (sees_at_most(4 * ids))
            return true;
    }
    return false;
}

Datum text_array(std::span<const char *const> texts)
{
    Datum list[8];
    for (std::size_t i = 0; i < texts.size(); ++i)
        list[i] = CStringGetTextDatum(texts[i]);
    return PointerGetDatum(construct_array(list, static_cast<int>(texts.size()), TEXTOID, -1, false, TYPALIGN_INT));
}

// All jobs of these states, by chunks of the ids that derived tables name; by the caller's own where these are few; by
// a scan of `jobs` while the derived tables cannot be read. The status is asked for in each case: a view shows nothing
// else, whatever the derived table says.
Datum show(FunctionCallInfo fcinfo, const char *function, std::span<const Walk> walks,
           std::span<const char *const> states)
{
    PreventCommandIfParallelMode(function);
    pg::RowSink sink(fcinfo, store::row_type());
    const FreshLook look(store::ApiTable::jobs);
    if (!store::derived_are_readable())
        walks = {};
    const pg::OpenRelation jobs = store::open_table(store::ApiTable::jobs, AccessShareLock); // before what is derived
    const bool own_jobs = reads_own_jobs(walks, {});
    if (own_jobs || walks.empty()) {
        Select select(store::ApiTable::jobs, own_jobs ? Reading::own_jobs : Reading::as_planned);
        select.where(of_status, TEXTARRAYOID, text_array(states));
        select.newest_first();
        select.execute(sink);
        return Datum{0};
    }
    for (const Walk walk : walks) {
        Walker walker(walk, {});
        pg::RowMemory memory;
        for (;;) {
            pg::RowMemory::Use use(memory);
            const Ids ids = walker.next(false);
            if (ids.is_empty())
                break;
            Select select(store::ApiTable::jobs);
            select.where(among_ids, UUIDARRAYOID, ids.array());
            select.where(of_status, TEXTARRAYOID, text_array(states));
            select.newest_first();
            select.execute(sink);
        }
    }
    return Datum{0};
}

void known_status(pg::Nullable &status, const char *)
{
    if (status)
        call::status_argument(TextDatumGetCString(status.value));
}

struct Filter {
    pg::Nullable status, job_type, organisation_id, restaurant_id, before;
    std::int32_t max_rows, skip_rows;

    // What an index of `jobs` has, with the order.
    void apply_to_index(Select &select) const
    {
        select.where("job_type::pg_catalog.text operator(pg_catalog.=) $%d", TEXTOID, job_type);
        select.where("organisation_id operator(pg_catalog.=) $%d", UUIDOID, organisation_id);
        select.where("restaurant_id operator(pg_catalog.=) $%d", UUIDOID, restaurant_id);
        select.where("created_at operator(pg_catalog.<) $%d", TIMESTAMPTZOID, before);
    }

    void apply(Select &select) const
    {
        select.where("status::pg_catalog.text operator(pg_catalog.=) $%d", TEXTOID, status);
        apply_to_index(select);
        select.newest_first();
    }

    // Of a status.
    Wanted wanted() const
    {
        return {*logic::parse_status(pg::text_view(status.value)),
                job_type ? std::optional(pg::text_view(job_type.value)) : std::nullopt, organisation_id, restaurant_id,
                before ? std::optional(DatumGetTimestampTz(before.value)) : std::nullopt};
    }
};

constexpr call::Field<Filter> list_fields[] = {
    {"status", TEXTOID, &Filter::status, known_status},
    {"job_type", TEXTOID, &Filter::job_type},
    {"organisation_id", UUIDOID, &Filter::organisation_id},
    {"restaurant_id", UUIDOID, &Filter::restaurant_id},
    {"max_rows", INT4OID, &Filter::max_rows, call::in_range<0, 10000>},
    {"skip_rows", INT4OID, &Filter::skip_rows, call::in_range<0, PG_INT32_MAX>},
    {"before", TIMESTAMPTZOID, &Filter::before},
};

// Whether an organisation or a restaurant is asked for that has so few jobs that they are read by its index.
bool are_of_few(const Filter &filter)
{
    static constexpr Oid types[] = {INT8OID};
    pg::Parameter parameters[2];
    std::size_t count = 0;
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfoString(&text, "select pg_catalog.count(*) from (select from public.jobs where true");
    for (const auto &[column, value] :
         {std::pair{"organisation_id", filter.organisation_id}, {"restaurant_id", filter.restaurant_id}})
        if (value) {
            parameters[count++] = {UUIDOID, value};
            appendStringInfo(&text, " and %s operator(pg_catalog.=) $%zu", column, count);
        }
    if (count == 0)
        return false;
    appendStringInfo(&text, " limit %d) as found", static_cast<int>(few_own) + 1);
    const pg::SpiScope spi;
    const pg::ByIndex by_index;
    const pg::Rows rows = pg::query(text.data, std::span(parameters, count), types, 0, true);
    return DatumGetInt64(rows.at(0, 0).value) <= few_own;
}

// The last `wanted` rows of a page. Under one snapshot the others come first, in this order as in that of a derived
// table.
void list_rest_by_index(const Filter &filter, std::int32_t wanted, pg::RowSink &sink)
{
    Select select(store::ApiTable::jobs, Reading::own_jobs);
    filter.apply(select);
    select.page(wanted, filter.skip_rows + (filter.max_rows - wanted));
    select.execute(sink);
}

// So many chunks are read before that is asked.
constexpr int chunks_before_index = 4;

// A page of jobs that a derived table has by time of creation and id, which is the order of the answer: so chunk after
// chunk is read until the page is full, and a page at the beginning costs no more where a million jobs have failed.
// Skipped rows are counted here, after the filters and the policies of the caller. Where that goes on for long, the
// rest may cost less by the index of an organisation or a restaurant: of 20 000 failed jobs 16 000 buffers, not 94 000.
void list_by_age(Walk walk, const Filter &filter, pg::RowSink &sink)
{
    const pg::OpenRelation jobs = store::open_table(store::ApiTable::jobs, AccessShareLock); // before what is derived
    Walker walker(walk, filter.before);
    pg::RowMemory memory;
    std::int64_t to_skip = filter.skip_rows;
    std::int64_t wanted = filter.max_rows;
    for (int chunks = 0; wanted > 0; ++chunks) {
        CHECK_FOR_INTERRUPTS();
        pg::RowMemory::Use use(memory);
        if (chunks == chunks_before_index && are_of_few(filter)) {
            list_rest_by_index(filter, static_cast<std::int32_t>(wanted), sink);
            return;
        }
        const Ids ids = walker.next(false);
        if (ids.is_empty())
            return;
        Select select(store::ApiTable::jobs);
        select.where(among_ids, UUIDARRAYOID, ids.array());
        filter.apply(select);
        select.execute([&](HeapTuple row) {
            if (to_skip > 0) {
                --to_skip;
                return true;
            }
            sink.put(row);
            return --wanted > 0;
        });
    }
}

// The derived table that has the jobs of the state that is asked for; nothing: none has.
std::optional<Walk> walk_of(const Filter &filter)
{
    if (!filter.status || !store::derived_are_readable())
        return std::nullopt;
    const std::string_view status = pg::text_view(filter.status.value);
    for (const auto &[wanted, walk] : {std::pair{logic::Status::failed, Walk::failed},
                                       {logic::Status::in_progress, Walk::running},
                                       {logic::Status::blocked, Walk::blocked},
                                       {logic::Status::paused, Walk::paused}})
        if (status == logic::name_of_status(wanted))
            return walk;
    return std::nullopt;
}

// How a page is read that no derived table names. The planner takes a caller under row security for a member of an
// average organisation, of few jobs, and so would have all that a caller of many sees read and sorted. Where that is a
// sixteenth of all or more, reading the newest of all until the page is full costs less, or at most a few times as
// much; to count up to there costs some milliseconds for a million.
Reading reading_of_page(const Filter &filter, bool own_jobs)
{
    if (own_jobs)
        return Reading::own_jobs;
    if (!filter.status || !is_under_row_security())
        return Reading::as_planned;
    const float jobs = store::open_table(store::ApiTable::jobs, AccessShareLock)->rd_rel->reltuples;
    return jobs > 0 && !sees_at_most(static_cast<std::int64_t>(jobs / 16)) ? Reading::newest_jobs : Reading::as_planned;
}

// A page, if it is full within the newest part of all jobs, or of those of a type.
bool list_newest_part(const Filter &filter, pg::RowSink &sink)
{
    Select select(store::ApiTable::jobs, Reading::newest_part);
    filter.apply_to_index(select);
    select.end_part();
    filter.apply(select);
    select.page(filter.max_rows, filter.skip_rows);
    return select.execute_if_full(sink, filter.max_rows);
}

void list_ids(std::span<const pg_uuid_t> jobs, const Filter &filter, pg::RowSink &sink)
{
    Ids ids;
    for (const pg_uuid_t &id : jobs)
        ids.add(UUIDPGetDatum(&id));
    if (ids.is_empty())
        return;
    Select select(store::ApiTable::jobs);
    select.where(among_ids, UUIDARRAYOID, ids.array());
    filter.apply(select);
    select.page(filter.max_rows, filter.skip_rows);
    select.execute(sink);
}

// Of so many jobs each is looked at, or asked for by a statement, before others are tried; and of so many at last.
constexpr std::int64_t few_named = 5000, many_named = 100'000;

// A page of a status for a caller who sees every job: by a look at all that may have it, where these are few, else
// among the newest, else by a look at each that may have it. False: it is not known which may, or many may, and few of
// the newest have it; or those of an organisation or a restaurant are wanted, whose index is read then.
bool list_of_status(const Wanted &wanted, const Filter &filter, pg::RowSink &sink)
{
    const std::int64_t count = std::int64_t{filter.max_rows} + filter.skip_rows;
    auto named = named_jobs(wanted, few_named);
    if (!named && (wanted.organisation_id || wanted.restaurant_id))
        return false;
    if (!named && list_newest_part(filter, sink))
        return true;
    if (!named)
        named = named_jobs(wanted, many_named);
    if (named)
        list_ids(newest_of(*named, wanted, count), filter, sink);
    return named.has_value();
}

// A page of a status, by what the queue or `ended` names. False: there it is not to be had.
bool list_named(const Filter &filter, pg::RowSink &sink)
{
    // What a table has by age needs no more, unless a type has few of it.
    if (!filter.status || (walk_of(filter) && !filter.job_type))
        return false;
    const pg::OpenRelation jobs = store::open_table(store::ApiTable::jobs, AccessShareLock); // before what is derived
    if (!store::derived_are_readable())
        return false;
    const Wanted wanted = filter.wanted();
    if (sees_all_jobs() && !walk_of(filter))
        return list_of_status(wanted, filter, sink);
    if (is_under_row_security() && sees_at_most(few_own))
        return false; // the own jobs are read
    auto named = named_jobs(wanted, few_named);
    if (named && sees_all_jobs())
        named = newest_of(*named, wanted, std::int64_t{filter.max_rows} + filter.skip_rows);
    if (named)
        list_ids(*named, filter, sink);
    return named.has_value();
}

void list_jobs(const Filter &filter, pg::RowSink &sink)
{
    const FreshLook look(store::ApiTable::jobs);
    if (list_named(filter, sink))
        return;
    const std::optional<Walk> walk = walk_of(filter);
    const bool own_jobs = reads_own_jobs(walk ? std::span(&*walk, 1) : std::span<const Walk>(), filter.before);
    if (walk && is_by_age(*walk) && !own_jobs) {
        list_by_age(*walk, filter, sink);
        return;
    }
    const bool by_walk = walk && !own_jobs;
    Select select(store::ApiTable::jobs, by_walk ? Reading::as_planned : reading_of_page(filter, own_jobs));
    if (by_walk) {
        Walker walker(*walk, {});
        const Ids ids = walker.next(true);
        if (ids.is_empty())
            return;
        select.where(among_ids, UUIDARRAYOID, ids.array());
    }
    filter.apply(select);
    select.page(filter.max_rows, filter.skip_rows);
    select.execute(sink);
}

// The newest row of that name in a table with the columns of a job, in the caller's memory context; null: there is
// none.
HeapTuple find_in(store::ApiTable table, const call::JobName &name)
{
    HeapTuple found = nullptr;
    MemoryContext caller = CurrentMemoryContext;
    Select select(table);
    select.where("id operator(pg_catalog.=) $%d", UUIDOID, name.id);
    select.where("job_id operator(pg_catalog.=) $%d", VARCHAROID, name.job_id);
    select.newest_first();
    select.page(1, 0);
    select.execute([&](HeapTuple row) {
        pg::InMemory long_lived(caller);
        found = heap_copytuple(row);
        return true;
    });
    return found;
}

// The ids of the children of a job, in `jobs` and in the archive, in the order in which they were created.
struct ChildIds {
    struct Id {
        pg_uuid_t id;
        bool is_archived;
    };
    std::span<Id> list;

    explicit ChildIds(const pg_uuid_t *parent)
    {
        static constexpr const char *text =
            "select c.id, c.archived "
            "from (select id, created_at, false as archived from public.jobs "
            "where parent_job_id operator(pg_catalog.=) $1 "
            "union all select id, created_at, true from public.jobs_archive "
            "where parent_job_id operator(pg_catalog.=) $1) as c order by c.created_at, c.id";
        static constexpr Oid types[] = {UUIDOID, BOOLOID};
        MemoryContext caller = CurrentMemoryContext;
        pg::SpiScope spi;
        const pg::Parameter parameters[] = {{UUIDOID, UUIDPGetDatum(parent)}};
        const pg::Rows rows = pg::query(text, parameters, types, 0, true);
        pg::InMemory long_lived(caller);
        list = {static_cast<Id *>(pg::allocate(sizeof(Id) * rows.count())), rows.count()};
        for (std::uint64_t i = 0; i < rows.count(); ++i)
            list[i] = {*DatumGetUUIDP(rows.at(i, 0).value), DatumGetBool(rows.at(i, 1).value)};
    }
};

Datum id_array(std::span<const ChildIds::Id> ids, bool archived)
{
    ArrayBuildState *list = initArrayResult(UUIDOID, CurrentMemoryContext, false);
    for (const ChildIds::Id &id : ids)
        if (id.is_archived == archived)
            accumArrayResult(list, UUIDPGetDatum(&id.id), false, UUIDOID, CurrentMemoryContext);
    return makeArrayResult(list, CurrentMemoryContext);
}

// All statements run under one snapshot, which is taken when both tables are locked: a child that goes to the archive
// meanwhile is in one of them.
void list_children(const pg_uuid_t *parent, pg::RowSink &sink)
{
    const FreshLook look(store::ApiTable::jobs), look_in_archive(store::ApiTable::jobs_archive);
    const pg::OpenRelation jobs = store::open_table(store::ApiTable::jobs, AccessShareLock),
                           archive = store::open_table(store::ApiTable::jobs_archive, AccessShareLock);
    const char *columns = column_list();
    const char *text = psprintf("select %s from (select %s from public.jobs where id operator(pg_catalog.=) any ($1) "
                                "union all select %s from public.jobs_archive "
                                "where id operator(pg_catalog.=) any ($2)) as c order by c.created_at, c.id",
                                columns, columns, columns);
    std::span<const ChildIds::Id> ids = ChildIds(parent).list;
    pg::RowMemory memory;
    while (!ids.empty()) {
        CHECK_FOR_INTERRUPTS();
        pg::RowMemory::Use use(memory);
        const auto chunk = ids.first(std::min(ids.size(), static_cast<std::size_t>(Ids::chunk)));
        ids = ids.subspan(chunk.size());
        const pg::Parameter parameters[] = {{UUIDARRAYOID, id_array(chunk, false)},
                                            {UUIDARRAYOID, id_array(chunk, true)}};
        pg::SpiScope spi;
        const pg::Rows rows = pg::query(text, parameters, store::row_type(), 0, true);
        for (std::uint64_t i = 0; i < rows.count(); ++i)
            sink.put(rows.whole(i));
    }
}

struct ChildrenOf {
    pg::Nullable id;
};
constexpr call::Field<ChildrenOf> children_fields[] = {
    {"id", UUIDOID, &ChildrenOf::id, call::anything, call::required},
};

} // namespace

HeapTuple find_job(const call::JobName &name)
{
    HeapTuple found = find_in(store::ApiTable::jobs, name);
    if (found != nullptr)
        return found;
    // Not under an older snapshot than the first look, which takes a newer one where it had to wait: a job that went to
    // the archive in between would be in neither.
    PushActiveSnapshot(GetTransactionSnapshot());
    found = find_in(store::ApiTable::jobs_archive, name);
    PopActiveSnapshot();
    return found;
}

JOBS_FUNCTION(job_get)
{
    PreventCommandIfParallelMode("job_get()");
    const call::JobName name = call::read_arguments<call::job_name_fields>(fcinfo);
    pg::RowSink sink(fcinfo, store::row_type());
    if (HeapTuple job = find_job(name))
        sink.put(job);
    return Datum{0};
}

JOBS_FUNCTION(job_list)
{
    PreventCommandIfParallelMode("job_list()");
    const Filter filter = call::read_arguments<list_fields>(fcinfo);
    pg::RowSink sink(fcinfo, store::row_type());
    list_jobs(filter, sink);
    return Datum{0};
}

JOBS_FUNCTION(job_children)
{
    PreventCommandIfParallelMode("job_children()");
    const ChildrenOf asked = call::read_arguments<children_fields>(fcinfo);
    pg::RowSink sink(fcinfo, store::row_type());
    list_children(DatumGetUUIDP(asked.id.value), sink);
    return Datum{0};
}

JOBS_FUNCTION(active_jobs)
{
    static constexpr Walk walks[] = {Walk::waiting_and_running, Walk::blocked};
    static constexpr const char *states[] = {"pending", "queued", "in_progress", "blocked"};
    return show(fcinfo, "jobs_ext.active_jobs()", walks, states);
}

JOBS_FUNCTION(running_jobs)
{
    static constexpr Walk walks[] = {Walk::running};
    static constexpr const char *states[] = {"in_progress"};
    return show(fcinfo, "jobs_ext.running_jobs()", walks, states);
}

JOBS_FUNCTION(failed_jobs)
{
    static constexpr Walk walks[] = {Walk::failed};
    static constexpr const char *states[] = {"failed"};
    return show(fcinfo, "jobs_ext.failed_jobs()", walks, states);
}

} // namespace verbs
