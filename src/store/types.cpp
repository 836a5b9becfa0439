#include "store/types.hpp"

#include <algorithm>

#include "pg/excerpt.hpp"
#include "pg/plan.hpp"
#include "pg/sqlstate.hpp"
#include "pg/subtransaction.hpp"
#include "settings.hpp"
#include "store/cached_table.hpp"
#include "store/pauses.hpp"

namespace store {

namespace {

CachedTable<Type> known_types;
bool is_all_paused = false; // read together with the types

void types_may_have_changed(Datum, Oid oid) { known_types.note_change_of(oid); }

// 200 years: added to any time of a server's clock it is far from the last timestamp that Postgres has, so no caller
// has to look for an overflow.
constexpr Microseconds longest_span = 200LL * 366 * USECS_PER_DAY;

// Nothing where the interval is infinite, or more microseconds than 64 bits can count.
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
    // An owner may write by SQL what job_type_set() refuses. Cut it to what is allowed: an error would stop the jobs of
    // all types, because all are read at once.
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
            // Cut to varchar(50) of jobs.job_category, because the owner may have made this column wider.
            type.category[pg_mbcharcliplen(type.category, static_cast<int>(std::strlen(type.category)), 50)] = '\0';
            type.has_category = true;
        }
        TypeName backoff;
        copy_name(backoff, required(slot, "backoff"));
        type.backoff = logic::parse_backoff(backoff).value_or(logic::Backoff::exponential);
        // Cut as spans are, because what a job takes from its type goes past the checks of `jobs` in a direct write.
        type.max_retries = std::clamp(DatumGetInt32(required(slot, "max_retries")), 0, most_retries);
        type.retry_delay_ms = std::max(DatumGetInt32(required(slot, "retry_delay_ms")), 0);
        type.retry_delay_max = *optional_span(required(slot, "retry_delay_max"));
        type.lease = optional_span(column(slot, "lease"));
        type.timeout = optional_span(column(slot, "timeout"));
        type.keep_completed = optional_span(column(slot, "keep_completed"));
        type.keep_failed = optional_span(column(slot, "keep_failed"));
        type.keeps_all_attempts = pg::text_view(required(slot, "keep_attempts")) == "all";
        type.paused = DatumGetBool(required(slot, "paused"));
        return type;
    }

    // Whether a job can have a type of this name: an owner may have made the column wider than jobs.job_type. To cut it
    // would give the settings to another type.
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

    AttrNumber numbers_[std::size(types_columns)]; // by position in types_columns
};

Oid read_types()
{
    // The lock may go at once: all values are copied, and a change after it sends an invalidation.
    pg::OpenRelation table = open_table_briefly(ApiTable::job_types);
    TypeReader reader(table);
    is_all_paused = pauses::is_there();
    each_latest_row(table, [&](TupleTableSlot *slot) {
        if (!reader.is_usable(slot))
            return;
        Type type = reader.read(slot);
        type.paused = type.paused || is_all_paused;
        known_types.append() = type;
    });
    return RelationGetRelid(table);
}

void load_types() { known_types.load(read_types); }

const Type *find_type(std::string_view name)
{
    load_types();
    return known_types.find(name);
}

// The defaults of the columns of job_types (sql/parts/62_job_types.sql).
Type defaults()
{
    Type type = {};
    type.max_retries = 3;
    type.backoff = logic::Backoff::exponential;
    type.retry_delay_ms = 1000;
    type.retry_delay_max = USECS_PER_HOUR;
    type.paused = is_all_paused;
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
        // A known type has 200 bytes at most; the name that the caller gives may be of any length, and the distance
        // costs the product of both.
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

// By SQL as the caller: under its privileges, policies and triggers. ON CONFLICT, because another session may register
// the type at the same moment: the INSERT waits for that one, and adds it where that one rolls back. At REPEATABLE READ
// or above a type that was registered after the snapshot is a 40001.
void register_type(std::string_view name)
{
    pg::SpiScope spi;
    const pg::Parameter parameters[] = {
        {TEXTOID, PointerGetDatum(cstring_to_text_with_len(name.data(), static_cast<int>(name.size())))}};
    pg::run_sql("insert into public.job_types (job_type) values ($1) on conflict do nothing", parameters);
}

} // namespace

void copy_name(TypeName &to, Datum text)
{
    auto packed = PG_DETOAST_DATUM_PACKED(text);
    const int size = pg_mbcliplen(VARDATA_ANY(packed), static_cast<int>(VARSIZE_ANY_EXHDR(packed)), sizeof(to) - 1);
    std::memcpy(to, VARDATA_ANY(packed), size);
    to[size] = '\0';
}

namespace types {

bool are_all_paused()
{
    load_types();
    return is_all_paused;
}

Type settings_of(std::string_view name)
{
    const Type *type = find_type(name);
    return type != nullptr ? *type : defaults();
}

bool keeps_all_attempts(std::string_view name)
{
    // Once for each change of the table, since what was read is known then.
    if (!known_types.valid && pg::in_subtransaction(load_types).error != nullptr)
        return false;
    return settings_of(name).keeps_all_attempts;
}

Type require_registered(std::string_view name)
{
    const Type *type = find_type(name);
    if (type == nullptr && settings::auto_register_types) {
        register_type(name);
        known_types.forget_rows(); // also where another session registered it, and we have not heard of that yet
        type = find_type(name);
    }
    if (type == nullptr)
        raise_unknown_type(name);
    return *type;
}

void load_all_types() { load_types(); }

void each_type(void (*each)(const Type &, void *), void *argument)
{
    load_types();
    // A copy of each, since `each` may have the list read anew, into memory that is reset.
    for (int i = 0; i < known_types.count; ++i) {
        const Type type = known_types.list[i];
        each(type, argument);
    }
}

std::uint64_t known_version()
{
    load_types();
    return known_types.changes;
}

std::uint64_t version_of_types()
{
    AcceptInvalidationMessages();
    return known_version();
}

void watch_types() { CacheRegisterRelcacheCallback(types_may_have_changed, Datum{0}); }

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
