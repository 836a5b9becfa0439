#include "store/open_table.hpp"

#include <algorithm>

#include "pg/heap.hpp"
#include "store/columns.hpp"
#include "store/our_triggers.hpp"

namespace store {

namespace {

// What this process remembers of a table, so that opening one that did not change costs a comparison of two counters.
struct Known {
    Oid oid = InvalidOid;        // what the name meant when the table was last compared with its shape
    std::uint64_t version = 1;   // counts invalidations
    std::uint64_t looked_at = 0; // the version that fitted; 0: none did
};

constexpr const char *api_names[] = {"jobs", "job_types", "job_attempts", "job_steps", "jobs_archive"};
constexpr int api_table_count = std::size(api_names);

// The number of any table, here alone: those of the API first, then the private ones.
using Number = int;
constexpr Number number_in_all(ApiTable which) { return static_cast<Number>(which); }
constexpr Number number_in_all(PrivateTable which) { return api_table_count + static_cast<Number>(which); }
constexpr bool is_private(Number table) { return table >= api_table_count; }

Known tables_known[api_table_count + private_table_count];

const char *name_of(Number table)
{
    return is_private(table) ? private_tables[table - api_table_count].name : api_names[table];
}

const char *schema_of(Number table) { return is_private(table) ? "jobs_ext" : "public"; }

// The columns that the archive has besides those of `jobs`.
constexpr ColumnDefinition archive_shape[] = {
    {"archived_at", TIMESTAMPTZOID}, {"attempts", JSONBOID}, {"steps", JSONBOID}};

const char *wrong_with_plain(Relation table, std::span<const ColumnDefinition> shape)
{
    const char *wrong = wrong_kind(table);
    for (const ColumnDefinition &column : shape) {
        if (wrong == nullptr)
            wrong = wrong_column(table, column);
        if (wrong == nullptr)
            wrong = wrong_storage(table, column);
    }
    return wrong;
}

// The archive is partitioned, or one plain table where a user has made it so. Its generated columns are allowed:
// store/archive.cpp writes the other columns and leaves those to Postgres.
const char *wrong_with_archive(Relation table)
{
    const char *wrong = table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? nullptr : wrong_kind(table);
    const std::span<const ColumnDefinition> shapes[] = {columns, archive_shape};
    for (const auto shape : shapes)
        for (const ColumnDefinition &column : shape)
            if (wrong == nullptr)
                wrong = wrong_column(table, column);
    return wrong;
}

const char *wrong_with_private(Relation table, const PrivateTableShape &shape)
{
    if (const char *wrong = wrong_kind(table))
        return wrong;
    // Another role could make a table of this name where ours was dropped, and put code of its own on it.
    if (!superuser_arg(table->rd_rel->relowner))
        return "It is not the extension's own table.";
    return wrong_columns(table, shape.columns_made());
}

const char *wrong_with(Number which, Relation table)
{
    if (is_private(which))
        return wrong_with_private(table, private_tables[which - api_table_count]);
    switch (static_cast<ApiTable>(which)) {
    case ApiTable::jobs:
        return wrong_with_plain(table, columns);
    case ApiTable::job_types:
        return wrong_with_plain(table, types_columns);
    case ApiTable::job_attempts:
        return wrong_with_plain(table, attempts_columns);
    case ApiTable::job_steps:
        return wrong_with_plain(table, steps_columns);
    case ApiTable::jobs_archive:
        return wrong_with_archive(table);
    }
    return nullptr;
}

Oid find_by_name(Number which)
{
    const Oid schema_oid = get_namespace_oid(schema_of(which), true);
    return OidIsValid(schema_oid) ? get_relname_relid(name_of(which), schema_oid) : InvalidOid;
}

// Whether the table is still the one that fitted, as far as this session has heard. Others' changes are heard of at
// the next lock, so the answer counts only under one.
bool is_current(const Known &table) { return table.looked_at == table.version; }

// Locks and opens the table that has the name; returns a closed relation where there is none. Steps 1 to 3 of the head
// of open_table.hpp, as RangeVarGetRelidExtended() does them: sessions that rename in turn may send it round again, so
// a cancel must get in.
pg::OpenRelation open_by_name(Number which, LOCKMODE lock)
{
    const Known &table = tables_known[which];
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        const Oid oid = is_current(table) ? table.oid : find_by_name(which);
        if (!OidIsValid(oid))
            return {};
        Relation relation = pg::try_open_relation(oid, lock); // hears of what others did before it had the lock
        if (relation == nullptr)
            any_table_was_changed(); // another session dropped it: the OID that we remember must not be found again
        else if ((is_current(table) && table.oid == oid) || find_by_name(which) == oid)
            return pg::OpenRelation(relation, NoLock);
        else
            relation_close(relation, lock);
    }
}

// Compares the table with its shape: null where it fits, else what is wrong. An unchanged table is not compared again.
const char *look_at(Number which, Relation relation)
{
    Known &table = tables_known[which];
    if (is_current(table) && table.oid == RelationGetRelid(relation))
        return nullptr;
    // The OID first, since table_was_changed() counts the invalidations of this OID alone; then the version, since the
    // comparison reads catalogs and may hear of a change on the way: then this look counts as one at the old version.
    table.oid = RelationGetRelid(relation);
    const std::uint64_t before = table.version;
    const char *wrong = wrong_with(which, relation);
    if (wrong == nullptr)
        table.looked_at = before;
    return wrong;
}

// The owner of the table, or InvalidOid where it was dropped.
Oid owner_of_table(Oid table)
{
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(tuple))
        return InvalidOid;
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

// Who has to own the table: the owner of `jobs`. Where there is no `jobs`, its own owner will do.
Oid wanted_owner(Oid table)
{
    const Oid jobs = find_by_name(number_in_all(ApiTable::jobs));
    const Oid owner = OidIsValid(jobs) ? owner_of_table(jobs) : InvalidOid;
    return OidIsValid(owner) ? owner : owner_of_table(table);
}

} // namespace

void require_owner_of_jobs(Oid table)
{
    const Oid owner = owner_of_table(table), wanted = wanted_owner(table);
    if (owner == wanted)
        return;
    const char *of = get_namespace_name(get_rel_namespace(table));
    const char *name = get_rel_name(table);
    // Dropped meanwhile, where the caller has no lock on it after all: nothing will run on it.
    if (of == nullptr || name == nullptr)
        return;
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("table \"%s\" belongs to \"%s\", not to \"%s\", the owner of jobs", name,
                           GetUserNameFromId(owner, false), GetUserNameFromId(wanted, false)),
                    errhint("alter table %s owner to %s", quote_qualified_identifier(of, name),
                            quote_identifier(GetUserNameFromId(wanted, false)))));
}

const char *name_of_table(ApiTable which) { return name_of(number_in_all(which)); }

namespace {

// Whether there is a `jobs` that jobs_ext has not made and not adopted: one without any trigger of ours.
bool awaits_adoption()
{
    const Oid jobs = find_by_name(number_in_all(ApiTable::jobs));
    return OidIsValid(jobs) && std::none_of(our_triggers.begin(), our_triggers.end(), [&](const char *name) {
               return OidIsValid(get_trigger_oid(jobs, name, true));
           });
}

// Steps 1 to 4 of the head of open_table.hpp.
pg::OpenRelation open_fitting(Number which, LOCKMODE lock)
{
    pg::OpenRelation relation = open_by_name(which, lock);
    const char *wrong = relation ? look_at(which, relation) : nullptr;
    if (relation && wrong == nullptr)
        return relation;
    // Until then the other tables are missing too.
    if (!is_private(which) && awaits_adoption())
        raise_not_adopted();
    if (!relation)
        raise_missing(schema_of(which), name_of(which));
    raise_altered(RelationGetRelationName(relation), wrong);
}

} // namespace

pg::OpenRelation open_table(ApiTable which, LOCKMODE lock)
{
    pg::OpenRelation relation = open_fitting(number_in_all(which), lock);
    if (which != ApiTable::jobs)
        require_owner_of_jobs(RelationGetRelid(relation));
    return relation;
}

pg::OpenRelation open_private(PrivateTable which, LOCKMODE lock) { return open_fitting(number_in_all(which), lock); }

pg::OpenRelation open_key(Relation table, int columns, LOCKMODE lock)
{
    static constexpr AttrNumber first[] = {1, 2, 3, 4};
    pg::OpenRelation index = pg::open_unique_index(table, std::span(first, columns), lock);
    if (!index)
        raise_altered(RelationGetRelationName(table), "Its primary key is missing or not valid.");
    return index;
}

pg::OpenRelation open_if_usable(ApiTable which, LOCKMODE lock)
{
    pg::OpenRelation relation = open_by_name(number_in_all(which), lock);
    const bool usable = relation && look_at(number_in_all(which), relation) == nullptr &&
                        owner_of_table(RelationGetRelid(relation)) == wanted_owner(RelationGetRelid(relation));
    return usable ? std::move(relation) : pg::OpenRelation();
}

pg::OpenRelation open_table_briefly(ApiTable which)
{
    pg::OpenRelation table = open_table(which, AccessShareLock);
    table.unlock_when_closed(AccessShareLock);
    return table;
}

TableId lock_api_table(ApiTable which, LOCKMODE lock)
{
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        const std::optional<TableId> table = find_table(which);
        if (!table)
            raise_missing(schema_of(number_in_all(which)), name_of_table(which));
        pg::lock_table(table->in_catalogs(), lock);
        // Again under the lock: another session may have dropped or renamed the table while we waited for it.
        if (find_table(which) == table)
            return *table;
        UnlockRelationOid(table->in_catalogs(), lock);
    }
}

std::optional<TableId> find_table(ApiTable which)
{
    // Whatever changes what the name means invalidates the table that has it, or its schema; the catalog's cache would
    // hear of it no sooner.
    const Known &table = tables_known[number_in_all(which)];
    const Oid oid = is_current(table) ? table.oid : find_by_name(number_in_all(which));
    return OidIsValid(oid) ? std::optional(TableId(oid)) : std::nullopt;
}

std::uint64_t version_of_table(ApiTable which) { return tables_known[number_in_all(which)].version; }

bool table_was_changed(Oid relation)
{
    // InvalidOid comes when this process fell behind the queue of invalidations, and after a change of pg_namespace.
    bool concerns = !OidIsValid(relation);
    for (Number table = 0; table < static_cast<Number>(std::size(tables_known)); ++table)
        if (!OidIsValid(relation) || relation == tables_known[table].oid) {
            ++tables_known[table].version;
            // Types get their lanes whatever is said of `jobs`.
            concerns = concerns || table == number_in_all(ApiTable::jobs) ||
                       (is_private(table) && table != number_in_all(PrivateTable::lanes));
        }
    return concerns;
}

void any_table_was_changed() { (void)table_was_changed(InvalidOid); }

} // namespace store
