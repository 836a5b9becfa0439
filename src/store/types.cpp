#include "store/types.hpp"

#include <algorithm>

#include "pg/excerpt.hpp"
#include "pg/heap.hpp"
#include "pg/lock.hpp"
#include "pg/plan.hpp"
#include "pg/sqlstate.hpp"
#include "pg/subtransaction.hpp"
#include "settings.hpp"

namespace store {

namespace {

struct Lane {
    std::int32_t number;
    char type[type_name_bytes];
};

std::string_view key(const Type &type) { return type.name; }
std::int32_t key(const Lane &lane) { return lane.number; }

// A table that is read whole and sorted by its key: types are few. Each for itself: a job must be able to end where `job_types` was altered.
template <class Element>
struct Cache {
    MemoryContext memory = nullptr;
    Element *list = nullptr;
    int count = 0;
    bool valid = false;
    Oid table = InvalidOid;
    std::uint64_t changes = 0;

    void relation_changed(Oid oid)
    {
        if (!OidIsValid(oid) || oid == table || !valid)
            forget();
    }
    void forget()
    {
        valid = false;
        ++changes;
    }
    Element &add()
    {
        // Doubles at powers of two.
        if (count == 0)
            list = static_cast<Element *>(MemoryContextAlloc(memory, sizeof(Element)));
        else if ((count & (count - 1)) == 0)
            list = static_cast<Element *>(repalloc(list, sizeof(Element) * count * 2));
        return list[count++];
    }
    template <class Key>
    const Element *find(Key wanted) const
    {
        const Element *end = list + count;
        const Element *found = std::lower_bound(static_cast<const Element *>(list), end, wanted,
                                                [](const Element &a, Key b) { return key(a) < b; });
        return found != end && key(*found) == wanted ? found : nullptr;
    }
    // `read()` adds the rows and returns which table they are of.
    template <class Read>
    void load(Read read)
    {
        // Bounded, since debug_discard_caches makes every look a change.
        for (int tries = 0; !valid && tries < 10; ++tries) {
            if (memory == nullptr)
                memory = AllocSetContextCreate(TopMemoryContext, "jobs_ext types", ALLOCSET_SMALL_SIZES);
            MemoryContextReset(memory);
            list = nullptr;
            count = 0;
            const std::uint64_t before = changes;
            table = read();
            std::sort(list, list + count, [](const Element &a, const Element &b) { return key(a) < key(b); });
            valid = changes == before;
        }
    }
};

Cache<Type> known_types;
Cache<Lane> known_lanes;

void types_may_have_changed(Datum, Oid oid)
{
    known_types.relation_changed(oid);
    known_lanes.relation_changed(oid);
}

void copy_name(char *to, Datum text)
{
    auto packed = PG_DETOAST_DATUM_PACKED(text);
    const int size =
        pg_mbcliplen(VARDATA_ANY(packed), static_cast<int>(VARSIZE_ANY_EXHDR(packed)), type_name_bytes - 1);
    std::memcpy(to, VARDATA_ANY(packed), size);
    to[size] = '\0';
}

constexpr Microseconds longest_span = 200LL * 366 * USECS_PER_DAY;

// Nothing for an interval that is infinite, or longer than a clock can count.
std::optional<Microseconds> measure(const Interval *interval)
{
    const std::int64_t days = static_cast<std::int64_t>(interval->month) * DAYS_PER_MONTH + interval->day;
    Microseconds span = 0;
    if (!pg::finite(interval) || __builtin_mul_overflow(days, USECS_PER_DAY, &span) ||
        __builtin_add_overflow(span, interval->time, &span))
        return std::nullopt;
    return span;
}

std::optional<Microseconds> optional_span(pg::Nullable value)
{
    if (!value)
        return std::nullopt;
    // The table's owner may write what job_type_set refuses: one such type must not stop the others.
    return std::clamp<Microseconds>(measure(DatumGetIntervalP(value.value)).value_or(longest_span), 0, longest_span);
}

// Reads the columns of job_types by name: its owner may have added some.
class TypeReader {
public:
    explicit TypeReader(Relation table)
    {
        for (std::size_t i = 0; i < std::size(types_columns); ++i)
            numbers_[i] = number_of(table, types_columns[i].name);
    }

    Type read(TupleTableSlot *slot)
    {
        Type type = {};
        copy_name(type.name, required(slot, "job_type"));
        if (pg::Nullable category = column(slot, "job_category")) {
            copy_name(type.category, category.value);
            // As long as that of a job can be: the owner may have made this column wider.
            type.category[pg_mbcharcliplen(type.category, static_cast<int>(std::strlen(type.category)), 50)] = '\0';
            type.has_category = true;
        }
        char backoff[type_name_bytes];
        copy_name(backoff, required(slot, "backoff"));
        type.backoff = logic::parse_backoff(backoff).value_or(logic::Backoff::exponential);
        // As with spans below: what a job takes from its type must not break a check of `jobs`.
        type.max_retries = std::clamp(DatumGetInt32(required(slot, "max_retries")), 0, most_retries);
        type.retry_delay_ms = std::max(DatumGetInt32(required(slot, "retry_delay_ms")), 0);
        type.retry_delay_max = *optional_span(required(slot, "retry_delay_max"));
        type.lease = optional_span(column(slot, "lease"));
        type.timeout = optional_span(column(slot, "timeout"));
        type.keep_completed = optional_span(column(slot, "keep_completed"));
        type.keep_failed = optional_span(column(slot, "keep_failed"));
        type.paused = DatumGetBool(required(slot, "paused"));
        return type;
    }

    bool is_usable(TupleTableSlot *slot)
    {
        return VARSIZE_ANY_EXHDR(PG_DETOAST_DATUM_PACKED(required(slot, "job_type"))) < type_name_bytes;
    }

private:
    pg::Nullable column(TupleTableSlot *slot, const char *name)
    {
        std::size_t i = 0;
        while (std::strcmp(types_columns[i].name, name) != 0)
            ++i;
        bool null;
        const Datum value = slot_getattr(slot, numbers_[i], &null);
        return {value, null};
    }

    Datum required(TupleTableSlot *slot, const char *name)
    {
        pg::Nullable value = column(slot, name);
        if (!value)
            ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                            errmsg("column \"%s\" of table \"job_types\" is null", name)));
        return value.value;
    }

    AttrNumber numbers_[std::size(types_columns)]; // by position in there
};

// Calls `each` with a slot for every row that is committed now, whatever the transaction's isolation.
template <class Each>
void scan_all(Relation table, Each each)
{
    pg::Slot slot(table);
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
        each(static_cast<TupleTableSlot *>(slot));
    table_endscan(scan);
    UnregisterSnapshot(snapshot);
}

Oid read_types()
{
    pg::OpenRelation table = open_table_briefly(ApiTable::job_types);
    TypeReader reader(table);
    scan_all(table, [&](TupleTableSlot *slot) {
        // An owner may have made the column wider than the name of a job's type can be.
        if (!reader.is_usable(slot))
            return;
        const Type type = reader.read(slot);
        known_types.add() = type;
    });
    return RelationGetRelid(table);
}

Oid read_lanes()
{
    pg::OpenRelation table = open_private(PrivateTable::lanes, AccessShareLock);
    table.unlock_when_closed(AccessShareLock);
    scan_all(table, [&](TupleTableSlot *slot) {
        bool null;
        Lane &lane = known_lanes.add();
        lane.number = DatumGetInt32(slot_getattr(slot, 1, &null));
        copy_name(lane.type, slot_getattr(slot, 2, &null));
    });
    return RelationGetRelid(table);
}

void load_types() { known_types.load(read_types); }

void load_lanes() { known_lanes.load(read_lanes); }

const Type *find_type(std::string_view name)
{
    load_types();
    return known_types.find(name);
}

std::optional<std::int32_t> find_lane(std::string_view type)
{
    load_lanes();
    for (int i = 0; i < known_lanes.count; ++i)
        if (type == known_lanes.list[i].type)
            return known_lanes.list[i].number;
    return std::nullopt;
}

Type defaults()
{
    Type type = {};
    type.max_retries = 3;
    type.backoff = logic::Backoff::exponential;
    type.retry_delay_ms = 1000;
    type.retry_delay_max = USECS_PER_HOUR;
    return type;
}

[[noreturn]] void raise_unknown_type(std::string_view name)
{
    struct Near {
        int distance;
        const char *name;
    };
    std::array<Near, 3> nearest;
    nearest.fill({INT_MAX, nullptr});
    for (int i = 0; i < known_types.count; ++i) {
        const char *candidate = known_types.list[i].name;
        const int length = static_cast<int>(std::strlen(candidate));
        if (length > 200 || name.size() > 200)
            continue;
        const int distance =
            varstr_levenshtein(name.data(), static_cast<int>(name.size()), candidate, length, 1, 1, 1, true);
        if (distance < nearest.back().distance) {
            nearest.back() = {distance, candidate};
            std::sort(nearest.begin(), nearest.end(), [](Near a, Near b) { return a.distance < b.distance; });
        }
    }
    StringInfoData hint;
    initStringInfo(&hint);
    for (const Near &near : nearest)
        if (near.name != nullptr)
            appendStringInfo(&hint, "%s\"%s\"", hint.len == 0 ? "The nearest known types are " : ", ",
                             pg::excerpt(near.name));
    appendStringInfo(&hint, "%sjob_type_set(job_type => ...) registers a type.", hint.len == 0 ? "" : ". ");
    ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("unknown job type \"%s\"", pg::excerpt(name)),
                    errhint("%s", hint.data)));
}

void register_type(std::string_view name)
{
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {
        {TEXTOID, PointerGetDatum(cstring_to_text_with_len(name.data(), static_cast<int>(name.size())))}};
    pg::run_sql("insert into public.job_types (job_type) values ($1) on conflict do nothing", parameters);
}

} // namespace

namespace types {

Type settings_of(std::string_view name)
{
    const Type *type = find_type(name);
    return type != nullptr ? *type : defaults();
}

Type require_registered(std::string_view name)
{
    const Type *type = find_type(name);
    if (type == nullptr && settings::auto_register_types) {
        register_type(name);
        known_types.forget();
        type = find_type(name);
    }
    if (type == nullptr)
        raise_unknown_type(name);
    return *type;
}

void load() { load_types(); }

void each_type(void (*each)(const Type &, void *), void *argument)
{
    load_types();
    // What is done with one may have the list read anew.
    for (int i = 0; i < known_types.count; ++i) {
        const Type type = known_types.list[i];
        each(type, argument);
    }
}

std::uint64_t version_of_types()
{
    AcceptInvalidationMessages();
    load_types();
    load_lanes();
    return known_types.changes + known_lanes.changes;
}

void watch_types() { CacheRegisterRelcacheCallback(types_may_have_changed, Datum{0}); }

} // namespace types

namespace lanes {

namespace {

// Of whoever makes the type's lane, until the end of the transaction or of the subtransaction that is rolled back. By the
// type's hash: two types with the same one wait for each other, no more.
bool lock_making(std::string_view type, pg::Wait wait)
{
    const auto name = reinterpret_cast<const unsigned char *>(type.data());
    return pg::lock_of_ours(known_lanes.table, hash_bytes(name, static_cast<int>(type.size())), wait);
}

// Where it is not, the first writer builds it, and the lanes of all types with it. A `jobs` that can't be used has none either.
bool is_queue_ready()
{
    bool is_built = false;
    return pg::in_subtransaction([&] { is_built = tables().is_queue_built(); }).error == nullptr && is_built;
}

// Who makes a lane for a job has `jobs` open already. Who makes one with its type takes the same lock first: else it would
// have the lane when it comes to `jobs`, while a rebuild that has `jobs` to itself waits for that lane. And it keeps it. So
// not where the queue is to be built, which takes more than this lock: two who have it would wait for each other. Nor for who
// may not write to `jobs`, and so may not lock it either.
bool lock_jobs_at_once()
{
    const std::optional<TableId> jobs = find_table(ApiTable::jobs);
    if (!jobs)
        return true;
    // Looked at again under the lock, which lets in what was altered meanwhile.
    return pg_class_aclmask(jobs->in_catalogs(), GetUserId(), ACL_INSERT | ACL_UPDATE, ACLMASK_ANY) != 0 &&
           is_queue_ready() && ConditionalLockRelationOid(jobs->in_catalogs(), RowExclusiveLock) && is_queue_ready();
}

std::int32_t next_number()
{
    const Oid sequence = get_relname_relid("lane_numbers", get_namespace_oid("jobs_ext", false));
    if (!OidIsValid(sequence))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("sequence \"jobs_ext.lane_numbers\" does not exist"),
                        errhint("Drop the extension and create it anew: the tables in the schema public stay.")));
    return static_cast<std::int32_t>(nextval_internal(sequence, false));
}

// Under the lock.
std::int32_t make_lane_of(std::string_view type)
{
    // Another transaction may have made it before we had the lock.
    known_lanes.forget();
    if (auto lane = find_lane(type))
        return *lane;

    pg::OpenRelation table = open_private(PrivateTable::lanes, RowExclusiveLock);
    const std::int32_t number = next_number();
    pg::Slot slot(table);
    pg::start_row(slot);
    slot->tts_values[0] = Int32GetDatum(number);
    slot->tts_values[1] = PointerGetDatum(cstring_to_text_with_len(type.data(), static_cast<int>(type.size())));
    slot->tts_isnull[0] = slot->tts_isnull[1] = false;
    ExecStoreVirtualTuple(slot);
    pg::TableWriter(table).insert(slot);
    CacheInvalidateRelcache(table);
    CommandCounterIncrement();
    return number;
}

} // namespace

std::optional<std::int32_t> find_lane_of(std::string_view type) { return find_lane(type); }

std::int32_t of(std::string_view type)
{
    if (auto lane = find_lane(type))
        return *lane;
    lock_making(type, pg::Wait::yes);
    return make_lane_of(type);
}

void prepare_lane_of(std::string_view type)
{
    if (!find_lane(type) && lock_jobs_at_once() && lock_making(type, pg::Wait::no))
        make_lane_of(type);
}

int count_lanes()
{
    load_lanes();
    return known_lanes.count;
}

std::int32_t after(std::int32_t lane)
{
    load_lanes();
    if (known_lanes.count == 0)
        return lane; // rolled back a moment ago
    const Lane *begin = known_lanes.list, *end = begin + known_lanes.count;
    const Lane *next = std::upper_bound(begin, end, lane,
                                        [](std::int32_t number, const Lane &known) { return number < known.number; });
    return next != end ? next->number : begin->number;
}

std::optional<std::string_view> type_of(std::int32_t lane)
{
    load_lanes();
    const Lane *known = known_lanes.find(lane);
    return known != nullptr ? std::optional<std::string_view>(known->type) : std::nullopt;
}

} // namespace lanes

namespace types {

void make_lanes()
{
    load_types();
    // Making one empties the cache: by name, from a copy.
    const int count = known_types.count;
    auto names = static_cast<char(*)[type_name_bytes]>(palloc(sizeof(char[type_name_bytes]) * std::max(count, 1)));
    for (int i = 0; i < count; ++i)
        std::memcpy(names[i], known_types.list[i].name, type_name_bytes);
    for (int i = 0; i < count; ++i)
        lanes::of(names[i]);
}

} // namespace types

Microseconds span_of(const Interval *interval, const char *argument)
{
    const std::optional<Microseconds> span = measure(interval);
    if (!span || *span < 0 || *span > longest_span)
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("%s must be an interval from 0 to 200 years: %s", argument,
                               DatumGetCString(DirectFunctionCall1(
                                   interval_out, PointerGetDatum(const_cast<Interval *>(interval)))))));
    return *span;
}

} // namespace store
