// What the view jobs_ext.maintenance stands on.
#include <algorithm>

#include "pg/function.hpp"
#include "shared/databases.hpp"

namespace worker {

namespace {

using shared::Database;
using shared::Service;

// A row of the view, column after column.
class Line {
public:
    void put(pg::Nullable value)
    {
        values_[count_] = value.value;
        nulls_[count_++] = value.null;
    }
    void put_name(const char *name) { put(DirectFunctionCall1(namein, CStringGetDatum(name))); }
    void put_text(const char *text) { put(text[0] != '\0' ? CStringGetTextDatum(text) : pg::Nullable{}); }
    void put_time(TimestampTz time)
    {
        put(time != 0 && !TIMESTAMP_NOT_FINITE(time) ? TimestampTzGetDatum(time) : pg::Nullable{});
    }
    void put_count(std::int64_t count) { put(Int64GetDatum(count)); }

    void send(pg::RowSink &sink)
    {
        while (count_ < sink.columns())
            put({});
        sink.put(values_, nulls_);
    }

private:
    static constexpr int most = 32;
    Datum values_[most];
    bool nulls_[most];
    int count_ = 0;
};

// Errors may quote data of their database.
bool may_read_errors(Oid database)
{
    return database == MyDatabaseId || has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

// Another database may have another encoding, of which only the common part is certain.
const char *in_this_encoding(const Database &database)
{
    char *message = pstrdup(database.failure.message);
    if (database.oid != MyDatabaseId)
        for (char *c = message; *c != '\0'; ++c)
            if (IS_HIGHBIT_SET(*c))
                *c = '?';
    return message;
}

void put_failure(Line &line, const Database &database)
{
    const bool shown = database.failure.at != 0 && may_read_errors(database.oid);
    line.put_time(database.failure.at);
    line.put_text(shown ? unpack_sql_state(database.failure.sqlstate) : "");
    line.put_text(shown ? in_this_encoding(database) : "");
}

void send(pg::RowSink &sink, const Database &database)
{
    char *name = get_database_name(database.oid);
    if (name == nullptr)
        return; // dropped a moment ago
    Line line;
    line.put_name(name);
    line.put(database.pid != 0 ? Int32GetDatum(database.pid) : pg::Nullable{});
    line.put_text(database.doing[0] != '\0' ? database.doing
                                            : shared::service_names[static_cast<int>(database.service)]);
    line.put_time(database.pid != 0 ? database.started_at : 0);
    line.put_time(database.round_at);
    put_failure(line, database);
    line.put_time(database.audited_at);
    line.put_time(database.service == Service::failing ? database.shown_retry_at : 0);
    line.put_time(database.pid != 0
                      ? static_cast<TimestampTz>(pg_atomic_read_u64(const_cast<pg_atomic_uint64 *>(&database.planned)))
                      : 0);
    logic::each_column(database.tally, [&](const char *, std::int64_t sum) { line.put_count(sum); });
    for (const pg_atomic_uint64 *count : {&database.waits_refused, &database.waits_polled})
        line.put_count(static_cast<std::int64_t>(pg_atomic_read_u64(const_cast<pg_atomic_uint64 *>(count))));
    line.send(sink);
}

// What a line is made of: these, then the counters, and the two that sessions count.
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

} // namespace

JOBS_FUNCTION_OF_ANY_VERSION(maintenance_status)
{
    pg::RowSink sink(fcinfo, line_types);
    const std::span<Database> databases = shared::databases::all_databases();
    if (databases.empty()) {
        Line line;
        line.put_name(get_database_name(MyDatabaseId));
        line.put({});
        line.put_text("not in shared_preload_libraries: call job_maintain()");
        line.send(sink);
        return Datum{0};
    }
    auto copy = static_cast<Database *>(palloc(databases.size_bytes()));
    {
        shared::databases::Lock lock(LW_SHARED);
        std::memcpy(static_cast<void *>(copy), databases.data(), databases.size_bytes());
    }
    for (int i = 0; i < shared::max_databases; ++i)
        if (OidIsValid(copy[i].oid) && copy[i].service != Service::unlisted)
            send(sink, copy[i]);
    return Datum{0};
}

} // namespace worker
