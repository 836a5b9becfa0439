#include "store/user_objects.hpp"

#include <algorithm>

#include "pg/foreign_keys.hpp"
#include "store/our_triggers.hpp"
#include "store/unique_keys.hpp"

namespace store {

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
        // ENABLE REPLICA counts as well, though it fires in few sessions: the statement path is right in all.
        if (!trigger.tgisinternal && trigger.tgenabled != TRIGGER_DISABLED && fires_on(trigger, operation) &&
            !is_our_trigger(trigger.tgname, trigger.tgfoid, trigger.tgtype,
                            trigger.tgnattr == 0 && trigger.tgqual == nullptr))
            return true;
    }
    return false;
}

namespace {

// Whether `is(Relation index)` says so of an index of the table, which is open: so none of the list can be dropped
// before it is opened here, not even by DROP INDEX CONCURRENTLY, which waits for all that hold a lock on the table.
template <class Is>
bool has_index(Relation table, Is is)
{
    bool found = false;
    List *indexes = RelationGetIndexList(table);
    ListCell *cell;
    foreach (cell, indexes)
        found = found || is(static_cast<Relation>(pg::open_briefly(lfirst_oid(cell))));
    list_free(indexes);
    return found;
}

} // namespace

bool has_late_index(Relation table)
{
    return has_index(table,
                     [](Relation index) { return index->rd_index->indisexclusion || !index->rd_index->indimmediate; });
}

bool has_computed_index(Relation table)
{
    // By the row in pg_index: RelationGetIndexExpressions() and …Predicate() fold constants, which runs functions.
    return has_index(table, [](Relation index) {
        return !heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, nullptr) ||
               !heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
    });
}

const char *hint_if_deferred(Relation table)
{
    for (int i = 0; table->trigdesc != nullptr && i < table->trigdesc->numtriggers; ++i)
        if (table->trigdesc->triggers[i].tgdeferrable)
            return psprintf("What is deferred on %s can't fire in a verb, which runs it as the table's owner: make such"
                            " triggers and constraints NOT DEFERRABLE, or SET CONSTRAINTS them IMMEDIATE.",
                            RelationGetRelationName(table));
    return nullptr;
}

namespace {

// Whether a column of ours asks more than when it was made: NOT NULL, or another length. A direct write looks at
// neither.
bool stricter(Form_pg_attribute attribute, const ColumnDefinition &definition)
{
    const int length = attribute->atttypmod < 0 ? definition.longest : attribute->atttypmod - VARHDRSZ;
    return (attribute->attnotnull && (definition.traits & not_null) == 0) || length != definition.longest;
}

// Whether the table has a column whose value only the executor computes or checks: a generated one, a stricter one of
// ours. At an insert also a column of the user's with NOT NULL, a default, an identity or a domain; an update leaves
// those as they are.
bool needs_executor(Relation table, const ColumnNumbers &numbers, bool on_insert)
{
    TupleDesc descriptor = table->rd_att;
    for (int number = 1; number <= descriptor->natts; ++number) {
        Form_pg_attribute attribute = pg::attribute(descriptor, number);
        if (attribute->attisdropped)
            continue;
        if (attribute->attgenerated != '\0')
            return true;
        const auto ours = std::find(numbers.begin(), numbers.end(), number);
        if (ours != numbers.end()) {
            if (stricter(attribute, columns[ours - numbers.begin()]))
                return true;
        } else if (on_insert && (attribute->attnotnull || attribute->atthasdef || attribute->attidentity != '\0' ||
                                 getBaseType(attribute->atttypid) != attribute->atttypid))
            return true;
    }
    return false;
}

// The condition "status is one of these", as Postgres prints it.
const char *is_status_in(logic::StatusSet set)
{
    std::string_view names[logic::states.size()];
    std::size_t count = 0;
    for (std::size_t i = 0; i < logic::states.size(); ++i)
        if ((set & logic::bit_of_status(static_cast<logic::Status>(i))) != 0)
            names[count++] = logic::states[i].name;
    return is_text_in("(status)::text", std::span(names, count));
}

// The states in which started_at is set.
constexpr logic::StatusSet started = logic::set_of(logic::Status::in_progress, logic::Status::completed);

// The checks of sql/parts/20_types.sql. A direct write goes past them: job/moves.hpp says for each why no verb breaks
// it.
constexpr Check checks_of_ours[] = {
    {"check_status", [] { return is_status_in(logic::all_statuses); }},
    {"check_priority", [] { return "((priority >= '-10'::integer) AND (priority <= 10))"; }},
    {"check_retries", [] { return "((retries >= 0) AND (retries <= max_retries))"; }},
    {"check_retry_delay_ms", [] { return "(retry_delay_ms >= 0)"; }},
    {"check_attempt", [] { return "(attempt >= 0)"; }},
    {"check_started_timestamp",
     [] {
         return const_cast<const char *>(
             psprintf("\nCASE\n    WHEN %s THEN (started_at IS NULL)\n    WHEN %s THEN (started_at IS NOT NULL)\n"
                      "    ELSE true\nEND",
                      is_status_in(logic::statuses_in(logic::Phase::waiting)), is_status_in(started)));
     }},
    {"check_completed_timestamp", [] { return "(((status)::text = 'completed'::text) = (completed_at IS NOT NULL))"; }},
    {"check_finished_timestamp",
     [] {
         return const_cast<const char *>(
             psprintf("(%s = (finished_at IS NOT NULL))", is_status_in(logic::statuses_in(logic::Phase::ended))));
     }},
    {"check_lease",
     [] {
         return "(((status)::text <> 'in_progress'::text) OR ((lease_id IS NOT NULL) AND "
                "(lease_expires_at IS NOT NULL)))";
     }},
};

// From the relation's description, not by pg_get_constraintdef(), which reads the catalog under the transaction's
// snapshot: at REPEATABLE READ that does not see a check that another session's ALTER TABLE made anew since, and raises
// XX000.
bool is_among(std::span<const Check> ours, Relation table, const ConstrCheck &check)
{
    const auto found =
        std::find_if(ours.begin(), ours.end(), [&](const Check &known) { return known.name == check.ccname; });
    if (found == ours.end())
        return false;
    const Datum expression =
        DirectFunctionCall2(pg_get_expr, CStringGetTextDatum(check.ccbin), ObjectIdGetDatum(RelationGetRelid(table)));
    return std::strcmp(found->expression(), TextDatumGetCString(expression)) == 0;
}

} // namespace

const char *is_text_in(const char *value, std::span<const std::string_view> texts)
{
    StringInfoData list;
    initStringInfo(&list);
    appendStringInfo(&list, "(%s = ANY (ARRAY[", value);
    for (std::size_t i = 0; i < texts.size(); ++i)
        appendStringInfo(&list, "%s'%s'::text", i == 0 ? "" : ", ", texts[i].data());
    appendStringInfoString(&list, "]))");
    return list.data;
}

bool has_check_of_theirs(Relation table, std::span<const Check> ours)
{
    const TupleConstr *constraints = table->rd_att->constr;
    for (int i = 0; constraints != nullptr && i < constraints->num_check; ++i)
        if (!is_among(ours, table, constraints->check[i]))
            return true;
    return false;
}

namespace {

bool constraint_of_theirs(Relation table)
{
    return has_check_of_theirs(table, checks_of_ours) || has_late_index(table);
}

// Whether an index keeps something unique, or excludes something, other than what is unique in any `jobs`.
bool has_key_of_theirs(Relation table, const ColumnNumbers &numbers)
{
    return has_index(table, [&](Relation index) {
        Form_pg_index form = index->rd_index;
        const bool is_ours =
            !form->indisexclusion &&
            std::any_of(std::begin(last_columns_of_keys), std::end(last_columns_of_keys),
                        [&](Column last) { return pg::keeps_unique(index, KeyOfJobs(last, numbers).key()); });
        return (form->indisunique || form->indisexclusion) && !is_ours;
    });
}

// The column of ours with this number, as a set; empty where it is the user's own.
ColumnSet to_column_set(const ColumnNumbers &numbers, AttrNumber number)
{
    for (int i = 0; i < column_count; ++i)
        if (numbers[i] == number)
            return bit(static_cast<Column>(i));
    return 0;
}

// Whether the check of the key runs nobody's code but Postgres's: it compares columns of ours, whose types are
// Postgres's, by operators that initdb made. With others it may run casts and operators of the user's.
bool is_plain(const ForeignKeyCacheInfo &key, const ColumnNumbers &numbers)
{
    for (int i = 0; i < key.nkeys; ++i)
        if (to_column_set(numbers, key.conkey[i]) == 0 || key.conpfeqop[i] >= FirstNormalObjectId)
            return false;
    return true;
}

// How a write deals with the trigger by which Postgres checks a foreign key of `jobs` in a new row.
//
// A deferrable one, whose check may be left to the end of the transaction, also concerns updates that leave its columns
// as they are: the check passes over a row that was replaced meanwhile, so Postgres fires it for each update of a row
// that the same transaction has inserted. A direct update would not, and the row would never be checked.
void note_check(const Trigger &trigger, List *keys, const ColumnNumbers &numbers, UserObjects &result)
{
    ListCell *cell;
    foreach (cell, keys) {
        auto key = static_cast<ForeignKeyCacheInfo *>(lfirst(cell));
        if (key->conoid == trigger.tgconstraint && !trigger.tgdeferrable && is_plain(*key, numbers)) {
            result.has_foreign_key = true;
            return;
        }
    }
    result.on_insert = true;
    result.on_update = result.on_update || trigger.tgdeferrable;
}

// Foreign keys on `jobs`: each new row has to be checked, an updated one where it changes a column of theirs.
void find_foreign_keys(Relation table, const ColumnNumbers &numbers, UserObjects &result)
{
    List *keys = RelationGetFKeyList(table);
    ListCell *cell;
    foreach (cell, keys) {
        auto key = static_cast<ForeignKeyCacheInfo *>(lfirst(cell));
        for (int i = 0; i < key->nkeys; ++i)
            result.referencing |= to_column_set(numbers, key->conkey[i]);
    }
    for (int i = 0; table->trigdesc != nullptr && i < table->trigdesc->numtriggers; ++i)
        if (pg::checks_new_row(table->trigdesc->triggers[i]))
            note_check(table->trigdesc->triggers[i], keys, numbers, result);
}

// Foreign keys of other tables that point at `jobs`, or of `jobs` itself, are known by their triggers on this table.
// Which columns they point at is not in the relation's description; it is a key of the table, so all columns of keys
// count.
void find_references(Relation table, const ColumnNumbers &numbers, UserObjects &result)
{
    bool is_referenced = false;
    for (int i = 0; table->trigdesc != nullptr && i < table->trigdesc->numtriggers; ++i)
        is_referenced = is_referenced || RI_FKey_trigger_type(table->trigdesc->triggers[i].tgfoid) == RI_TRIGGER_PK;
    if (!is_referenced)
        return;
    result.on_remove = true;
    Bitmapset *keys = RelationGetIndexAttrBitmap(table, INDEX_ATTR_BITMAP_KEY);
    for (int i = 0; i < column_count; ++i)
        if (bms_is_member(numbers[i] - FirstLowInvalidHeapAttributeNumber, keys))
            result.referenced |= bit(static_cast<Column>(i));
}

} // namespace

UserObjects find_user_objects(Relation jobs, const ColumnNumbers &numbers)
{
    UserObjects result = {};
    const bool rules = jobs->rd_rules != nullptr;
    const bool constraints = constraint_of_theirs(jobs);
    result.on_remove = rules || trigger_of_theirs(jobs, Operation::remove);
    result.on_insert =
        rules || constraints || needs_executor(jobs, numbers, true) || trigger_of_theirs(jobs, Operation::insert);
    result.on_update =
        rules || constraints || needs_executor(jobs, numbers, false) || trigger_of_theirs(jobs, Operation::update);
    result.has_key = has_key_of_theirs(jobs, numbers);
    find_foreign_keys(jobs, numbers, result);
    find_references(jobs, numbers, result);
    return result;
}

} // namespace store
