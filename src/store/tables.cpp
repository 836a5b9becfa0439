#include "store/tables.hpp"

#include <algorithm>

#include "settings.hpp"
#include "store/queue_state.hpp"

namespace store {

namespace {

Tables known;
bool is_known = false;
std::uint64_t changes = 0; // invalidations so far that may concern us
std::uint64_t looked_up = 0;

[[noreturn]] void missing(const char *schema, const char *table)
{
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation \"%s.%s\" does not exist", schema, table),
                    errhint("The owner of the extension makes the missing tables with: select jobs_ext.install();")));
}

[[noreturn]] void altered(const char *table, const char *what)
{
    ereport(ERROR,
            (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("table \"%s\" was altered so that it cannot be used", table),
             errdetail("%s", what), errhint("Undo the change; columns, triggers and indexes of your own may stay.")));
}

Oid find_table(const char *schema, const char *table)
{
    Oid schema_oid = get_namespace_oid(schema, true);
    Oid oid = OidIsValid(schema_oid) ? get_relname_relid(table, schema_oid) : InvalidOid;
    if (!OidIsValid(oid))
        missing(schema, table);
    return oid;
}

Oid find_private(const char *table)
{
    Oid oid = find_table("jobs_ext", table);
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
    if (!HeapTupleIsValid(tuple))
        missing("jobs_ext", table);
    auto form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    const bool ours =
        form->relkind == RELKIND_RELATION && form->relam == HEAP_TABLE_AM_OID && superuser_arg(form->relowner);
    ReleaseSysCache(tuple);
    if (!ours)
        altered(table, "It is not the extension's own table.");
    return oid;
}

} // namespace

pg::OpenRelation open_key(Relation table, int columns, LOCKMODE lock)
{
    static constexpr AttrNumber first[] = {1, 2, 3, 4};
    pg::OpenRelation index = pg::open_unique_index(table, std::span(first, columns), lock);
    if (!index)
        altered(RelationGetRelationName(table), "Its primary key is missing or not valid.");
    return index;
}

namespace {

[[noreturn]] void key_missing(Column column)
{
    altered("jobs", column == Column::id ? "The primary key on (id) is missing, deferrable or not valid."
                                         : "The unique constraint on (job_id) is missing, deferrable or not valid.");
}

} // namespace

pg::OpenRelation open_index_of_jobs(Relation jobs, const Tables &tables, Column column, LOCKMODE lock)
{
    const AttrNumber key[] = {tables.number[index(column)]};
    pg::OpenRelation found = pg::open_unique_index(jobs, key, lock);
    if (!found)
        key_missing(column);
    return found;
}

AttrNumber number_of(Relation table, const char *name)
{
    for (int number = 1; number <= table->rd_att->natts; ++number) {
        Form_pg_attribute attribute = pg::attribute(table->rd_att, number);
        if (!attribute->attisdropped && namestrcmp(&attribute->attname, name) == 0)
            return static_cast<AttrNumber>(number);
    }
    return InvalidAttrNumber;
}

namespace {

void map_columns(Relation table, Tables &result)
{
    for (int i = 0; i < column_count; ++i) {
        const AttrNumber number = number_of(table, columns[i].name);
        if (number == InvalidAttrNumber)
            altered("jobs", psprintf("Column \"%s\" is missing.", columns[i].name));
        Form_pg_attribute attribute = pg::attribute(table->rd_att, number);
        const bool both_text = columns[i].type == VARCHAROID && attribute->atttypid == TEXTOID;
        if (attribute->atttypid != columns[i].type && !both_text)
            altered("jobs", psprintf("Column \"%s\" has the type %s, not %s.", columns[i].name,
                                     format_type_be(attribute->atttypid), format_type_be(columns[i].type)));
        if (attribute->attgenerated != '\0' || attribute->attidentity != '\0')
            altered("jobs", psprintf("Column \"%s\" is generated.", columns[i].name));
        result.number[i] = number;
    }
}

void describe_jobs(Tables &result)
{
    result.jobs = find_table("public", "jobs");
    pg::OpenRelation jobs = pg::open_briefly(result.jobs);
    require_ordinary(jobs);
    map_columns(jobs, result);

    for (const Column column : {Column::id, Column::job_id}) {
        const AttrNumber key[] = {result.number[index(column)]};
        if (!pg::has_unique_index(jobs, key))
            key_missing(column);
    }
    find_in_the_way(jobs, result);
    result.queue_built = queue_state::matches(jobs, result.state);
}

void describe_attempts(Tables &result)
{
    static constexpr ColumnDefinition wanted[] = {{"job", UUIDOID, -1, true},
                                                  {"attempt", INT4OID, -1, true},
                                                  {"worker", TEXTOID},
                                                  {"started_at", TIMESTAMPTZOID},
                                                  {"ended_at", TIMESTAMPTZOID, -1, true},
                                                  {"outcome", TEXTOID, -1, true},
                                                  {"error_message", TEXTOID},
                                                  {"error_details", JSONBOID}};

    result.attempts = find_table("public", "job_attempts");
    pg::OpenRelation attempts = pg::open_briefly(result.attempts);
    require_ordinary(attempts);
    const AttrNumber key[] = {number_of(attempts, "job"), number_of(attempts, "attempt")};
    const bool has_key = pg::has_unique_index(attempts, key);
    bool as_made = attempts->rd_att->natts == static_cast<int>(std::size(wanted));
    for (std::size_t i = 0; as_made && i < std::size(wanted); ++i) {
        Form_pg_attribute attribute = pg::attribute(attempts->rd_att, static_cast<int>(i) + 1);
        as_made = !attribute->attisdropped && namestrcmp(&attribute->attname, wanted[i].name) == 0 &&
                  attribute->atttypid == wanted[i].type && attribute->attgenerated == '\0' &&
                  attribute->attnotnull == wanted[i].not_null && attribute->atttypmod < 0;
    }
    // A table that was altered, or that carries anything of the user's, is reached by SQL alone.
    const bool triggers = attempts->trigdesc != nullptr && attempts->trigdesc->numtriggers > 0;
    const TupleConstr *constraints = attempts->rd_att->constr;
    result.attempts_in_the_way = !as_made || !has_key || triggers || attempts->rd_rules != nullptr ||
                                 (constraints != nullptr && constraints->num_check > 1);
}

Tables describe()
{
    Tables result = {};
    result.queue = {find_private("queue"), 4};
    result.failed = {find_private("failed"), 2};
    result.expiring = {find_private("expiring"), 2};
    result.ended = {find_private("ended"), 4};
    result.set_aside = {find_private("set_aside"), 1};
    result.schedules = {find_private("schedules"), 2};
    result.state = find_private("state");
    result.lanes = find_private("lanes");
    result.types = find_table("public", "job_types");
    describe_jobs(result);
    describe_attempts(result);
    return result;
}

void relation_changed(Datum, Oid oid)
{
    const Oid ours[] = {known.jobs,        known.queue.table,     known.failed.table,    known.expiring.table,
                        known.ended.table, known.set_aside.table, known.schedules.table, known.lanes,
                        known.state,       known.attempts,        known.types,           InvalidOid /* everything */};
    if (!is_known || std::find(std::begin(ours), std::end(ours), oid) != std::end(ours))
        forget_tables();
}

void schema_changed(Datum, int, uint32) { forget_tables(); }

} // namespace

void require_ordinary(Relation table)
{
    if (table->rd_rel->relkind != RELKIND_RELATION || table->rd_rel->relam != HEAP_TABLE_AM_OID ||
        table->rd_rel->relhassubclass)
        altered(RelationGetRelationName(table), "It is not an ordinary table.");
}

const Tables &tables()
{
    // Bounded, since debug_discard_caches makes every look a change.
    for (int tries = 0; !is_known && tries < 10; ++tries) {
        const std::uint64_t before = changes;
        known = describe();
        ++looked_up;
        is_known = changes == before; // else something changed while they were read
    }
    return known;
}

std::uint64_t lookups() { return looked_up; }

std::array<Oid, 5> written_with_jobs(const Tables &tables)
{
    return {tables.queue.table, tables.failed.table, tables.expiring.table, tables.ended.table, tables.attempts};
}

Oid lock_jobs(LOCKMODE lock)
{
    for (;;) {
        const Oid jobs = find_table("public", "jobs");
        pg::lock_table(jobs, lock);
        if (get_relname_relid("jobs", get_namespace_oid("public", true)) == jobs)
            return jobs;
        UnlockRelationOid(jobs, lock);
    }
}

bool direct(const Tables &tables, Operation operation, ColumnSet written)
{
    if (settings::force_statement_path || check_enable_rls(tables.jobs, InvalidOid, true) == RLS_ENABLED)
        return false;
    switch (operation) {
    case Operation::insert:
        return !tables.insert_in_the_way;
    case Operation::update:
        return !tables.update_in_the_way && ((tables.referencing | tables.referenced) & written) == 0;
    case Operation::remove:
        return !tables.remove_in_the_way;
    }
    return false;
}

void forget_tables()
{
    is_known = false;
    ++changes;
}

void watch_tables()
{
    CacheRegisterRelcacheCallback(relation_changed, Datum{0});
    CacheRegisterSyscacheCallback(NAMESPACEOID, schema_changed, Datum{0});
}

} // namespace store
