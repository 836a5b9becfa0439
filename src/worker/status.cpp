// The function under the view jobs_ext.maintenance: a line for each database that the server knows of, as its worker,
// the launcher and sessions have written it into shared memory.
//
// They go on writing meanwhile. The entries are copied under the lock, in one piece, and read afterwards: while the
// lock is held nothing may raise an error or look at a catalog, and names and texts do both. The atomic fields, and
// at_work, are written without the lock, so they may be newer than the rest of their entry; for people that does no
// harm. A database may be dropped between the copy and the look at its name: its line is left out.
#include <algorithm>

#include "pg/function.hpp"
#include "shared/databases.hpp"

namespace worker {

namespace {

using shared::Database;
using shared::Service;

pg::Nullable name_of(const char *name) { return DirectFunctionCall1(namein, CStringGetDatum(name)); }
const char *text_or_null(const char *text) { return text[0] != '\0' ? text : nullptr; }
std::optional<TimestampTz> time_or_null(TimestampTz time)
{
    return time != 0 && !TIMESTAMP_NOT_FINITE(time) ? std::optional(time) : std::nullopt;
}

// Whether the caller may read what failed. The message of an error may quote data of its database, which a role of
// another one must not see, unless it may read all statistics (as pg_stat_activity has it).
bool may_read_errors(Oid database)
{
    return database == MyDatabaseId || has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

// The message as text of this database. It is in the encoding of its own, which may be another one; all of the
// encodings that a database can have agree in ASCII, so every other byte becomes a question mark. Invalid text would
// end the client's query, or crash code that counts its characters.
const char *in_this_encoding(const Database &database)
{
    char *message = pstrdup(database.failure.message);
    if (database.oid != MyDatabaseId)
        for (char *c = message; *c != '\0'; ++c)
            if (IS_HIGHBIT_SET(*c))
                *c = '?';
    return message;
}

// The columns of the view, in its order: these, then the sums of the worker's counters, and two that sessions count.
constexpr Oid first_types[] = {NAMEOID, INT4OID, TEXTOID,        TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
                               TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID};

constexpr auto all_types()
{
    std::array<Oid, std::size(first_types) + logic::shown_counts() + 2> types = {};
    types.fill(INT8OID);
    std::copy(std::begin(first_types), std::end(first_types), types.begin());
    return types;
}
constexpr auto line_types = all_types();

void add_failure(pg::RowBuilder &line, const Database &database)
{
    const bool shown = database.failure.at != 0 && may_read_errors(database.oid);
    line.add(time_or_null(database.failure.at));
    line.add(shown ? unpack_sql_state(database.failure.sqlstate) : nullptr);
    line.add(shown ? text_or_null(in_this_encoding(database)) : nullptr);
}

// A line for one database, from the copy of its entry.
void put_database(pg::RowSink &sink, const Database &database)
{
    char *name = get_database_name(database.oid);
    if (name == nullptr)
        return; // dropped a moment ago
    const bool runs = database.pid != 0;
    pg::RowBuilder line(line_types);
    line.add(name_of(name));
    line.add(runs ? pg::Nullable(Int32GetDatum(database.pid)) : pg::Nullable{});
    line.add(text_or_null(database.doing[0] != '\0' ? database.doing
                                                    : shared::service_names[static_cast<int>(database.service)]));
    line.add(time_or_null(runs ? database.started_at : 0));
    line.add(time_or_null(database.round_at));
    add_failure(line, database);
    line.add(time_or_null(database.audited_at));
    line.add(time_or_null(database.service == Service::failing ? database.shown_retry_at : 0));
    auto read = [](const pg_atomic_uint64 &number) {
        return static_cast<std::int64_t>(pg_atomic_read_u64(const_cast<pg_atomic_uint64 *>(&number)));
    };
    line.add(time_or_null(runs ? read(database.planned) : 0));
    logic::each_shown_count(database.tally, [&](const char *, std::int64_t sum) { line.add(sum); });
    line.add(read(database.waits_refused)).add(read(database.waits_polled));
    sink.put(line);
}

} // namespace

JOBS_FUNCTION_OF_ANY_VERSION(maintenance_status)
{
    pg::RowSink sink(fcinfo, line_types);
    const std::span<Database> databases = shared::databases::all_databases();
    if (databases.empty()) {
        pg::RowBuilder line(line_types);
        line.add(name_of(get_database_name(MyDatabaseId))).add(pg::Nullable{});
        line.add("not in shared_preload_libraries: call job_maintain()");
        sink.put(line);
        return Datum{0};
    }
    auto copy = static_cast<Database *>(palloc(databases.size_bytes()));
    {
        shared::databases::Lock lock(LW_SHARED);
        std::memcpy(static_cast<void *>(copy), databases.data(), databases.size_bytes());
    }
    for (int i = 0; i < shared::max_databases; ++i)
        if (OidIsValid(copy[i].oid) && copy[i].service != Service::unlisted)
            put_database(sink, copy[i]);
    return Datum{0};
}

} // namespace worker
