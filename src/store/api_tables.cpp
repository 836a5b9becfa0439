#include "store/api_tables.hpp"

#include "store/columns.hpp"

namespace store {

namespace {

constexpr const char *schema = "public";

struct Known {
    Oid oid = InvalidOid;      // what the name meant when it was looked at
    std::uint64_t version = 1; // counts invalidations
    std::uint64_t looked_at = 0;
};

constexpr const char *names[] = {"jobs", "job_types", "job_attempts", "jobs_archive"};
Known tables_known[std::size(names)];

// Besides the columns of `jobs`.
constexpr ColumnDefinition archive_shape[] = {{"archived_at", TIMESTAMPTZOID}, {"attempts", JSONBOID}};

Known &known(ApiTable which) { return tables_known[static_cast<int>(which)]; }

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

// What the database computes in the archive it may compute: only the other columns are written.
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

const char *wrong_with(ApiTable which, Relation table)
{
    switch (which) {
    case ApiTable::jobs:
        return wrong_with_plain(table, columns);
    case ApiTable::job_types:
        return wrong_with_plain(table, types_columns);
    case ApiTable::job_attempts:
        return wrong_with_plain(table, attempts_columns);
    case ApiTable::jobs_archive:
        return wrong_with_archive(table);
    }
    return nullptr;
}

Oid find_by_name(ApiTable which)
{
    const Oid schema_oid = get_namespace_oid(schema, true);
    return OidIsValid(schema_oid) ? get_relname_relid(name_of_table(which), schema_oid) : InvalidOid;
}

// Whether what was found out is true still, as far as this session has heard.
bool is_current(const Known &table) { return table.looked_at == table.version; }

// The table that has the name, locked: closed when there is none.
pg::OpenRelation open_by_name(ApiTable which, LOCKMODE lock)
{
    const Known &table = known(which);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        const Oid oid = is_current(table) ? table.oid : find_by_name(which);
        if (!OidIsValid(oid))
            return {};
        Relation relation = pg::try_open_relation(oid, lock); // hears of what others did before it had the lock
        if (relation == nullptr)
            any_api_table_changed(); // dropped a moment ago
        else if ((is_current(table) && table.oid == oid) || find_by_name(which) == oid)
            return pg::OpenRelation(relation, NoLock);
        else
            relation_close(relation, lock);
    }
}

// Null: it fits.
const char *look_at(ApiTable which, Relation relation)
{
    Known &table = known(which);
    if (is_current(table) && table.oid == RelationGetRelid(relation))
        return nullptr;
    table.oid = RelationGetRelid(relation); // from here on its invalidations count
    const std::uint64_t before = table.version;
    const char *wrong = wrong_with(which, relation);
    if (wrong == nullptr)
        table.looked_at = before;
    return wrong;
}

// InvalidOid: it is gone.
Oid owner_of_table(Oid table)
{
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(tuple))
        return InvalidOid;
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

// That of `jobs`; its own where there is no `jobs`.
Oid wanted_owner(Oid table)
{
    const Oid jobs = find_by_name(ApiTable::jobs);
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
    if (of == nullptr || name == nullptr)
        return;
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("table \"%s\" belongs to \"%s\", not to \"%s\", the owner of jobs", name,
                           GetUserNameFromId(owner, false), GetUserNameFromId(wanted, false)),
                    errhint("alter table %s owner to %s", quote_qualified_identifier(of, name),
                            quote_identifier(GetUserNameFromId(wanted, false)))));
}

const char *name_of_table(ApiTable which) { return names[static_cast<int>(which)]; }

pg::OpenRelation open_table(ApiTable which, LOCKMODE lock)
{
    pg::OpenRelation relation = open_by_name(which, lock);
    if (!relation)
        raise_missing(schema, name_of_table(which));
    require_fit(relation, look_at(which, relation));
    if (which != ApiTable::jobs)
        require_owner_of_jobs(RelationGetRelid(relation));
    return relation;
}

pg::OpenRelation open_if_usable(ApiTable which, LOCKMODE lock)
{
    pg::OpenRelation relation = open_by_name(which, lock);
    const bool usable = relation && look_at(which, relation) == nullptr &&
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
            raise_missing(schema, name_of_table(which));
        pg::lock_table(table->in_catalogs(), lock);
        if (find_table(which) == table)
            return *table;
        UnlockRelationOid(table->in_catalogs(), lock);
    }
}

std::optional<TableId> find_table(ApiTable which)
{
    const Oid oid = find_by_name(which);
    return OidIsValid(oid) ? std::optional(TableId(oid)) : std::nullopt;
}

std::uint64_t version_of_table(ApiTable which) { return known(which).version; }

void api_table_changed(Oid relation)
{
    for (Known &table : tables_known)
        if (!OidIsValid(relation) || relation == table.oid)
            ++table.version;
}

void any_api_table_changed()
{
    for (Known &table : tables_known)
        ++table.version;
}

} // namespace store
