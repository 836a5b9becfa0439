#include "store/tables.hpp"

#include <algorithm>

#include "pg/version.hpp"
#include "settings.hpp"
#include "store/built_under.hpp"

namespace store {

namespace {

Tables known;
bool is_known = false;
std::uint64_t change_count = 0; // invalidations so far that may concern us
std::uint64_t relation_changes = 0;
std::uint64_t looked_up = 0;

// A table of the schema jobs_ext that is as it was made.
pg::OpenRelation open_as_made(const char *name, std::span<const ColumnDefinition> made, LOCKMODE lock)
{
    const Oid schema = get_namespace_oid("jobs_ext", true);
    const Oid oid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
    if (!OidIsValid(oid))
        raise_missing("jobs_ext", name);
    pg::OpenRelation table(oid, lock);
    require_fit(table, wrong_kind(table));
    if (!superuser_arg(table->rd_rel->relowner))
        raise_altered(name, "It is not the extension's own table.");
    require_fit(table, wrong_columns(table, made));
    return table;
}

} // namespace

pg::OpenRelation open_key(Relation table, int columns, LOCKMODE lock)
{
    static constexpr AttrNumber first[] = {1, 2, 3, 4};
    pg::OpenRelation index = pg::open_unique_index(table, std::span(first, columns), lock);
    if (!index)
        raise_altered(RelationGetRelationName(table), "Its primary key is missing or not valid.");
    return index;
}

namespace {

[[noreturn]] void key_missing(Column column)
{
    raise_altered("jobs", column == Column::id
                              ? "The primary key on (id) is missing, deferrable or not valid."
                              : "The unique constraint on (job_id) is missing, deferrable or not valid.");
}

} // namespace

pg::OpenRelation open_index_of_jobs(Relation jobs, const Tables &tables, Column column, LOCKMODE lock)
{
    const AttrNumber key[] = {tables.number[index_of(column)]};
    pg::OpenRelation found = pg::open_unique_index(jobs, key, lock);
    if (!found)
        key_missing(column);
    return found;
}

namespace {

// The private tables, as 30_private_tables.sql makes them.
constexpr ColumnDefinition queue_columns[] = {
    {"lane", INT4OID}, {"rank", INT2OID}, {"due_at", TIMESTAMPTZOID}, {"job", UUIDOID}};
constexpr ColumnDefinition ended_columns[] = {
    {"lane", INT4OID}, {"rank", INT2OID}, {"ended_at", TIMESTAMPTZOID}, {"job", UUIDOID}};
constexpr ColumnDefinition failed_columns[] = {{"created_at", TIMESTAMPTZOID}, {"job", UUIDOID}};
constexpr ColumnDefinition expiring_columns[] = {{"expires_at", TIMESTAMPTZOID}, {"job", UUIDOID}};
constexpr ColumnDefinition lanes_columns[] = {{"lane", INT4OID}, {"job_type", TEXTOID}};
constexpr ColumnDefinition state_columns[] = {{"mark", TEXTOID}, {"number", OIDOID}, {"version", INT8OID}};
constexpr ColumnDefinition schedules_columns[] = {
    {"role", OIDOID}, {"name", TEXTOID}, {"job", UUIDOID}, {"enqueued_at", TIMESTAMPTZOID}, {"skipped", INT8OID}};
constexpr ColumnDefinition set_aside_columns[] = {{"job", UUIDOID},
                                                  {"task", TEXTOID},
                                                  {"failures", INT4OID},
                                                  {"since", TIMESTAMPTZOID},
                                                  {"retry_at", TIMESTAMPTZOID},
                                                  {"sqlstate", TEXTOID},
                                                  {"message", TEXTOID}};

Oid find_private(const char *name, std::span<const ColumnDefinition> made)
{
    pg::OpenRelation table = open_as_made(name, made, AccessShareLock);
    table.unlock_when_closed(AccessShareLock);
    return RelationGetRelid(table);
}

void describe_jobs(Tables &result)
{
    pg::OpenRelation jobs = open_table_briefly(ApiTable::jobs);
    result.jobs = TableId(static_cast<Relation>(jobs));
    for (int i = 0; i < column_count; ++i)
        result.number[i] = number_of(jobs, columns[i].name);

    for (const Column column : {Column::id, Column::job_id}) {
        const AttrNumber key[] = {result.number[index_of(column)]};
        if (!pg::has_unique_index(jobs, key))
            key_missing(column);
    }
    result.theirs = find_user_objects(jobs, result.number);
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    result.built = compare_with_build(jobs, result.number, result.state, snapshot);
    UnregisterSnapshot(snapshot);
}

Tables describe_tables()
{
    Tables result = {};
    result.queue = {find_private("queue", queue_columns), 4};
    result.failed = {find_private("failed", failed_columns), 2};
    result.expiring = {find_private("expiring", expiring_columns), 2};
    result.ended = {find_private("ended", ended_columns), 4};
    result.set_aside = {find_private("set_aside", set_aside_columns), 1};
    result.schedules = {find_private("schedules", schedules_columns), 2};
    result.state = find_private("state", state_columns);
    describe_jobs(result);
    return result;
}

bool is_part_of(const Tables &tables, Oid relation)
{
    const Oid all[] = {tables.jobs.in_catalogs(), tables.queue.table,     tables.failed.table,    tables.expiring.table,
                       tables.ended.table,        tables.set_aside.table, tables.schedules.table, tables.state};
    return std::find(std::begin(all), std::end(all), relation) != std::end(all);
}

void relation_was_changed(Datum, Oid oid)
{
    ++relation_changes;
    api_table_changed(oid);
    if (!is_known || !OidIsValid(oid) || is_part_of(known, oid))
        forget_tables();
}

void schema_changed(Datum, int, uint32)
{
    any_api_table_changed();
    forget_tables();
}

} // namespace

const Tables &tables()
{
    // Bounded, since debug_discard_caches makes every look a change.
    for (int tries = 0; !is_known && tries < 10; ++tries) {
        const std::uint64_t before = change_count;
        known = describe_tables();
        ++looked_up;
        is_known = change_count == before; // else something changed while they were read
    }
    return known;
}

std::uint64_t changes() { return change_count; }

std::uint64_t changes_of_relations() { return relation_changes; }

std::uint64_t lookups() { return looked_up; }

std::array<Oid, 4> written_with_jobs(const Tables &tables)
{
    return {tables.queue.table, tables.failed.table, tables.expiring.table, tables.ended.table};
}

pg::OpenRelation open_lanes(LOCKMODE lock) { return open_as_made("lanes", lanes_columns, lock); }

pg::OpenRelation open_private(Oid oid, LOCKMODE lock)
{
    pg::OpenRelation relation(oid, lock);
    if (!is_known && !is_part_of(tables(), oid))
        raise_altered(RelationGetRelationName(relation), "It was made anew a moment ago.");
    return relation;
}

bool direct(const Tables &tables, Operation operation, ColumnSet written)
{
    if (settings::force_statement_path || check_enable_rls(tables.jobs.in_catalogs(), InvalidOid, true) == RLS_ENABLED)
        return false;
    switch (operation) {
    case Operation::insert:
        return !tables.theirs.on_insert;
    case Operation::update:
        return !tables.theirs.on_update && ((tables.theirs.referencing | tables.theirs.referenced) & written) == 0;
    case Operation::remove:
        return !tables.theirs.on_remove;
    }
    return false;
}

void forget_tables()
{
    version::forget_version();
    is_known = false;
    ++change_count;
}

void watch_tables()
{
    CacheRegisterRelcacheCallback(relation_was_changed, Datum{0});
    CacheRegisterSyscacheCallback(NAMESPACEOID, schema_changed, Datum{0});
}

} // namespace store
