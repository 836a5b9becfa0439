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

Oid unique_index_on(Relation table, std::span<const AttrNumber> on)
{
    Oid found = InvalidOid;
    List *indexes = RelationGetIndexList(table);
    ListCell *cell;
    foreach (cell, indexes) {
        pg::OpenRelation index = pg::open_briefly(lfirst_oid(cell));
        Form_pg_index form = index->rd_index;
        if (!form->indisunique || !form->indisvalid || !form->indisready || !form->indimmediate ||
            form->indnkeyatts != static_cast<int>(on.size()) || index->rd_rel->relam != BTREE_AM_OID ||
            RelationGetIndexPredicate(index) != NIL)
            continue;
        bool matches = true;
        for (std::size_t i = 0; i < on.size(); ++i)
            matches = matches && form->indkey.values[i] == on[i];
        if (matches) {
            found = RelationGetRelid(index);
            break;
        }
    }
    list_free(indexes);
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

bool fires_on(const Trigger &trigger, Operation operation)
{
    switch (operation) {
    case Operation::insert:
        return TRIGGER_FOR_INSERT(trigger.tgtype);
    case Operation::update:
        return TRIGGER_FOR_UPDATE(trigger.tgtype);
    case Operation::remove:
        return TRIGGER_FOR_DELETE(trigger.tgtype);
    }
    return true;
}

} // namespace

bool trigger_of_theirs(Relation table, Operation operation)
{
    if (table->trigdesc == nullptr)
        return false;
    for (int i = 0; i < table->trigdesc->numtriggers; ++i) {
        const Trigger &trigger = table->trigdesc->triggers[i];
        if (!trigger.tgisinternal && trigger.tgenabled != TRIGGER_DISABLED && fires_on(trigger, operation) &&
            !queue_state::is_ours(trigger.tgname, trigger.tgfoid, trigger.tgtype,
                                  trigger.tgnattr == 0 && trigger.tgqual == nullptr))
            return true;
    }
    return false;
}

namespace {

KeyTableOids find_key_table(const char *name, int columns)
{
    KeyTableOids oids;
    oids.table = find_private(name);
    pg::OpenRelation table = pg::open_briefly(oids.table);
    const AttrNumber numbers[] = {1, 2, 3, 4};
    oids.index = unique_index_on(table, std::span(numbers, columns));
    if (!OidIsValid(oids.index))
        altered(name, "Its primary key is missing or not valid.");
    return oids;
}

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

// Whether a column of ours asks more than when it was made: NOT NULL, or another length.
bool stricter(Form_pg_attribute attribute, const ColumnDefinition &definition)
{
    const int length = attribute->atttypmod < 0 ? definition.longest : attribute->atttypmod - VARHDRSZ;
    return (attribute->attnotnull && !definition.not_null) || length != definition.longest;
}

// Columns whose value only the executor computes or checks.
bool needs_executor(Relation table, const Tables &result, bool on_insert)
{
    TupleDesc descriptor = table->rd_att;
    for (int number = 1; number <= descriptor->natts; ++number) {
        Form_pg_attribute attribute = pg::attribute(descriptor, number);
        if (attribute->attisdropped)
            continue;
        if (attribute->attgenerated != '\0')
            return true;
        const auto ours = std::find(result.number.begin(), result.number.end(), number);
        if (ours != result.number.end()) {
            if (stricter(attribute, columns[ours - result.number.begin()]))
                return true;
        } else if (on_insert && (attribute->attnotnull || attribute->atthasdef || attribute->attidentity != '\0' ||
                                 getBaseType(attribute->atttypid) != attribute->atttypid))
            return true;
    }
    return false;
}

struct Check {
    std::string_view name;
    std::string_view definition; // as Postgres prints it
};

// The checks that install() makes, which every verb keeps by construction. One that was altered is the user's.
constexpr Check checks_of_ours[] = {
    {"check_status", "CHECK (((status)::text = ANY (ARRAY['pending'::text, 'queued'::text, 'in_progress'::text, "
                     "'paused'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))"},
    {"check_priority", "CHECK (((priority >= '-10'::integer) AND (priority <= 10)))"},
    {"check_retries", "CHECK (((retries >= 0) AND (retries <= max_retries)))"},
    {"check_retry_delay_ms", "CHECK ((retry_delay_ms >= 0))"},
    {"check_attempt", "CHECK ((attempt >= 0))"},
    {"check_started_timestamp",
     "CHECK (\nCASE\n    WHEN ((status)::text = ANY (ARRAY['pending'::text, 'queued'::text])) THEN (started_at IS "
     "NULL)\n"
     "    WHEN ((status)::text = ANY (ARRAY['in_progress'::text, 'completed'::text])) THEN (started_at IS NOT NULL)\n"
     "    ELSE true\nEND)"},
    {"check_completed_timestamp", "CHECK ((((status)::text = 'completed'::text) = (completed_at IS NOT NULL)))"},
    {"check_finished_timestamp", "CHECK ((((status)::text = ANY (ARRAY['completed'::text, 'failed'::text, "
                                 "'cancelled'::text])) = (finished_at IS NOT NULL)))"},
    {"check_lease", "CHECK ((((status)::text <> 'in_progress'::text) OR ((lease_id IS NOT NULL) AND "
                    "(lease_expires_at IS NOT NULL))))"},
};

bool check_of_ours(Relation table, const char *name)
{
    const auto ours = std::find_if(std::begin(checks_of_ours), std::end(checks_of_ours),
                                   [&](const Check &check) { return check.name == name; });
    if (ours == std::end(checks_of_ours))
        return false;
    const Oid oid = get_relation_constraint_oid(RelationGetRelid(table), name, true);
    if (!OidIsValid(oid))
        return false;
    const Datum definition = DirectFunctionCall1(pg_get_constraintdef, ObjectIdGetDatum(oid));
    return ours->definition == TextDatumGetCString(definition);
}

bool constraint_of_theirs(Relation table)
{
    const TupleConstr *constraints = table->rd_att->constr;
    if (constraints != nullptr)
        for (int i = 0; i < constraints->num_check; ++i)
            if (!check_of_ours(table, constraints->check[i].ccname))
                return true;
    return has_late_index(table);
}

ColumnSet to_column_set(const Tables &result, AttrNumber number)
{
    for (int i = 0; i < column_count; ++i)
        if (result.number[i] == number)
            return bit(static_cast<Column>(i));
    return 0;
}

void find_foreign_keys(Relation table, Tables &result)
{
    ListCell *cell;
    foreach (cell, RelationGetFKeyList(table)) {
        auto key = static_cast<ForeignKeyCacheInfo *>(lfirst(cell));
        for (int i = 0; i < key->nkeys; ++i)
            result.referencing |= to_column_set(result, key->conkey[i]);
        result.insert_in_the_way = true;
    }

    bool is_referenced = false;
    for (int i = 0; table->trigdesc != nullptr && i < table->trigdesc->numtriggers; ++i)
        is_referenced = is_referenced || RI_FKey_trigger_type(table->trigdesc->triggers[i].tgfoid) == RI_TRIGGER_PK;
    if (!is_referenced)
        return;
    result.remove_in_the_way = true;
    Bitmapset *keys = RelationGetIndexAttrBitmap(table, INDEX_ATTR_BITMAP_KEY);
    for (int i = 0; i < column_count; ++i)
        if (bms_is_member(result.number[i] - FirstLowInvalidHeapAttributeNumber, keys))
            result.referenced |= bit(static_cast<Column>(i));
}

void describe_jobs(Tables &result)
{
    result.jobs = find_table("public", "jobs");
    pg::OpenRelation jobs = pg::open_briefly(result.jobs);
    require_ordinary(jobs);
    map_columns(jobs, result);

    const AttrNumber id[] = {result.number[index(Column::id)]};
    const AttrNumber key[] = {result.number[index(Column::job_id)]};
    result.jobs_by_id = unique_index_on(jobs, id);
    result.jobs_by_key = unique_index_on(jobs, key);
    if (!OidIsValid(result.jobs_by_id))
        altered("jobs", "The primary key on (id) is missing, deferrable or not valid.");
    if (!OidIsValid(result.jobs_by_key))
        altered("jobs", "The unique constraint on (job_id) is missing, deferrable or not valid.");

    const bool rules = jobs->rd_rules != nullptr;
    const bool constraints = constraint_of_theirs(jobs);
    result.remove_in_the_way = rules || trigger_of_theirs(jobs, Operation::remove);
    result.insert_in_the_way =
        rules || constraints || needs_executor(jobs, result, true) || trigger_of_theirs(jobs, Operation::insert);
    result.update_in_the_way =
        rules || constraints || needs_executor(jobs, result, false) || trigger_of_theirs(jobs, Operation::update);
    find_foreign_keys(jobs, result);
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
    result.attempts_index = unique_index_on(attempts, key);
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
    result.attempts_in_the_way = !as_made || !OidIsValid(result.attempts_index) || triggers ||
                                 attempts->rd_rules != nullptr ||
                                 (constraints != nullptr && constraints->num_check > 1);
}

void find_set_aside(Tables &result)
{
    result.set_aside = find_private("set_aside");
    pg::OpenRelation table = pg::open_briefly(result.set_aside);
    const AttrNumber job[] = {1};
    result.set_aside_index = unique_index_on(table, job);
    if (!OidIsValid(result.set_aside_index))
        altered("set_aside", "Its primary key is missing or not valid.");
}

Tables describe()
{
    Tables result = {};
    result.queue = find_key_table("queue", 4);
    result.failed = find_key_table("failed", 2);
    result.expiring = find_key_table("expiring", 2);
    result.schedules = find_key_table("schedules", 2);
    result.ended = find_key_table("ended", 4);
    find_set_aside(result);
    result.state = find_private("state");
    result.lanes = find_private("lanes");
    result.types = find_table("public", "job_types");
    describe_jobs(result);
    describe_attempts(result);
    return result;
}

void relation_changed(Datum, Oid oid)
{
    const Oid ours[] = {known.jobs,        known.jobs_by_id,      known.jobs_by_key,     known.queue.table,
                        known.queue.index, known.failed.table,    known.failed.index,    known.expiring.table,
                        known.lanes,       known.state,           known.expiring.index,  known.attempts,
                        known.ended.table, known.ended.index,     known.set_aside,       known.set_aside_index,
                        known.types,       known.schedules.table, known.schedules.index, InvalidOid /* everything */};
    if (!is_known || std::find(std::begin(ours), std::end(ours), oid) != std::end(ours))
        forget_tables();
}

void schema_changed(Datum, int, uint32) { forget_tables(); }

} // namespace

bool has_late_index(Relation table)
{
    bool found = false;
    List *indexes = RelationGetIndexList(table);
    ListCell *cell;
    foreach (cell, indexes) {
        pg::OpenRelation index = pg::open_briefly(lfirst_oid(cell));
        found = found || index->rd_index->indisexclusion || !index->rd_index->indimmediate;
    }
    list_free(indexes);
    return found;
}

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
