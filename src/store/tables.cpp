#include "store/tables.hpp"

#include <algorithm>

#include "pg/version.hpp"
#include "settings.hpp"
#include "store/built_under.hpp"
#include "store/unique_keys.hpp"

namespace store {

namespace {

Tables known;
bool is_known = false;
std::uint64_t change_count = 0; // invalidations so far that may concern us
std::uint64_t relation_changes = 0;
std::uint64_t looked_up = 0;

[[noreturn]] void key_missing(Column column)
{
    switch (column) {
    case Column::id:
        raise_altered("jobs", "The primary key on (id) is missing, deferrable or not valid.");
    case Column::job_id:
        raise_altered("jobs", "The unique constraint on (job_id) is missing, deferrable or not valid.");
    default:
        raise_altered("jobs", "The unique index on (organisation_id, job_key) is missing or not valid, or leaves out "
                              "rows in which job_key is not null.");
    }
}

} // namespace

pg::OpenRelation open_index_of_jobs(Relation jobs, const Tables &tables, Column column, LOCKMODE lock)
{
    pg::OpenRelation found = pg::open_unique_index(jobs, KeyOfJobs(column, tables.number).key(), lock);
    if (!found)
        key_missing(column);
    return found;
}

namespace {

void describe_jobs(Tables &result)
{
    pg::OpenRelation jobs = open_table_briefly(ApiTable::jobs);
    result.jobs = TableId(static_cast<Relation>(jobs));
    for (int i = 0; i < column_count; ++i)
        result.number[i] = number_of(jobs, columns[i].name);

    for (const Column column : last_columns_of_keys)
        if (!pg::has_unique_index(jobs, KeyOfJobs(column, result.number).key()))
            key_missing(column);
    result.left_out = pg::NullsLeftOut(jobs);
    result.theirs = find_user_objects(jobs, result.number);
    // The question is whether the derived tables are built now. Whether the transaction's snapshot, at REPEATABLE READ
    // an old one, shows them so is for built.hpp to say.
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    result.built = compare_with_build(jobs, result.number, snapshot);
    UnregisterSnapshot(snapshot);
}

// All private tables have to be there, also those that a call will not need: half of an extension serves nobody. Each
// lock goes before the next one is taken, so this keeps to no order of locks and needs none.
Tables describe_tables()
{
    for (int i = 0; i < private_table_count; ++i)
        open_private(static_cast<PrivateTable>(i), AccessShareLock).unlock_when_closed(AccessShareLock);
    Tables result = {};
    describe_jobs(result);
    return result;
}

// Postgres calls the two at any moment at which it reads invalidations, also in the middle of describe_tables(): then
// the OIDs of the tables may not be known yet, and every change counts.
void relation_was_changed(Datum, Oid oid)
{
    ++relation_changes;
    if (table_was_changed(oid) || !is_known)
        forget_tables();
}

void schema_changed(Datum, int, uint32)
{
    // ALTER SCHEMA … RENAME locks no table in the schema and invalidates none.
    any_table_was_changed();
    forget_tables();
}

} // namespace

const Tables &tables()
{
    // Ten tries, since under debug_discard_caches every look invalidates what it has just read, without end.
    for (int tries = 0; !is_known && tries < 10; ++tries) {
        const std::uint64_t before = change_count;
        known = describe_tables();
        ++looked_up;
        is_known = change_count == before; // else one changed while it was described: once more
    }
    return known;
}

std::uint64_t changes() { return change_count; }

std::uint64_t changes_of_relations() { return relation_changes; }

std::uint64_t lookups() { return looked_up; }

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
    version::forget_version(); // ALTER EXTENSION … UPDATE, too, is heard of as a change of our tables
    is_known = false;
    ++change_count;
}

void watch_tables()
{
    CacheRegisterRelcacheCallback(relation_was_changed, Datum{0});
    CacheRegisterSyscacheCallback(NAMESPACEOID, schema_changed, Datum{0});
}

} // namespace store
