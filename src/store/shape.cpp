#include "store/shape.hpp"

#include "pg/types.hpp"

namespace store {

void raise_missing(const char *schema, const char *table)
{
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation \"%s.%s\" does not exist", schema, table),
                    errhint("The owner of the extension makes the missing tables with: select jobs_ext.install();")));
}

void raise_not_adopted()
{
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("table \"jobs\" is not adopted by jobs_ext yet"),
                    errdetail("It was there before the extension, and lacks what jobs_ext needs."),
                    errhint("Its owner adopts it with: select jobs_ext.adopt('public.jobs');")));
}

void raise_altered(const char *table, const char *what)
{
    ereport(ERROR,
            (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("table \"%s\" was altered so that it cannot be used", table),
             errdetail("%s", what), errhint("Undo the change; columns, triggers and indexes of your own may stay.")));
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

const char *wrong_column(Relation table, const ColumnDefinition &wanted)
{
    const AttrNumber number = number_of(table, wanted.name);
    if (number == InvalidAttrNumber)
        return psprintf("Column \"%s\" is missing.", wanted.name);
    const Oid actual = pg::attribute(table->rd_att, number)->atttypid;
    if (pg::stands_for(actual, wanted.type) || actual == wanted.or_type)
        return nullptr;
    return psprintf("Column \"%s\" has the type %s, not %s.", wanted.name, format_type_be(actual),
                    format_type_be(wanted.type));
}

const char *wrong_storage(Relation table, const ColumnDefinition &wanted)
{
    Form_pg_attribute attribute = pg::attribute(table->rd_att, number_of(table, wanted.name));
    const bool computed = attribute->attgenerated != '\0' || attribute->attidentity != '\0';
    return computed ? psprintf("Column \"%s\" is generated.", wanted.name) : nullptr;
}

const char *wrong_kind(Relation table)
{
    // relhassubclass stays set when the last child has gone, until an ANALYZE: so pg_inherits has the last word. No
    // lock on the children, since a child that comes or goes meanwhile makes no difference to the heap of this table.
    const bool has_children =
        table->rd_rel->relhassubclass && find_inheritance_children(RelationGetRelid(table), NoLock) != NIL;
    const bool ordinary =
        table->rd_rel->relkind == RELKIND_RELATION && table->rd_rel->relam == HEAP_TABLE_AM_OID && !has_children;
    return ordinary ? nullptr : "It is not an ordinary table.";
}

const char *wrong_columns(Relation table, std::span<const ColumnDefinition> wanted)
{
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (const char *wrong = wrong_column(table, wanted[i]))
            return wrong;
        if (number_of(table, wanted[i].name) != static_cast<int>(i) + 1)
            return psprintf("Column \"%s\" is not where it was made.", wanted[i].name);
    }
    // A dropped column counts: it still has its place in each tuple.
    return table->rd_att->natts == static_cast<int>(wanted.size()) ? nullptr
                                                                   : "It has more columns than it was made with.";
}

} // namespace store
