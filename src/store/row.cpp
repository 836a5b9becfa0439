#include "store/row.hpp"

#include "pg/excerpt.hpp"

namespace store {

pg::RowType row_type()
{
    static constexpr auto types = [] {
        std::array<Oid, column_count> result = {};
        for (int i = 0; i < column_count; ++i)
            result[i] = columns[i].type;
        return result;
    }();
    return types;
}

std::string_view Row::text(Column column) const
{
    auto datum = PG_DETOAST_DATUM_PACKED(value[index_of(column)]);
    return {VARDATA_ANY(datum), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(datum))};
}

void Row::set_text(Column column, std::string_view given)
{
    set(column, PointerGetDatum(cstring_to_text_with_len(given.data(), static_cast<int>(given.size()))));
}

void Row::raise_unknown_status() const
{
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("job %s has the unknown status \"%s\"", to_text(id()), pg::excerpt(text(Column::status))),
                    errhint("The constraint check_status of jobs was dropped or altered.")));
}

char *to_text(const pg_uuid_t *uuid) { return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid))); }

Row copy(const Row &row)
{
    Row result = row;
    // Passed by value: integer, timestamptz. By reference: uuid, of a fixed length; text, varchar and jsonb, a varlena.
    for (int i = 0; i < column_count; ++i)
        if (!row.null[i] && columns[i].type != INT4OID && columns[i].type != TIMESTAMPTZOID)
            result.value[i] = datumCopy(row.value[i], false, columns[i].type == UUIDOID ? UUID_LEN : -1);
    return result;
}

namespace {

Row read_columns(const ColumnNumbers &numbers, TupleTableSlot *slot)
{
    Row row;
    slot_getallattrs(slot);
    for (int i = 0; i < column_count; ++i) {
        const int position = numbers[i] - 1;
        row.value[i] = slot->tts_values[position];
        row.null[i] = slot->tts_isnull[position];
    }
    row.tid = slot->tts_tid;
    return row;
}

} // namespace

Row read_row(const ColumnNumbers &numbers, TupleTableSlot *slot)
{
    Row row = read_columns(numbers, slot);
    require_complete(row);
    return row;
}

namespace {

std::optional<Column> first_null_of(ColumnSet set, const Row &row)
{
    for (; set != 0; set &= set - 1)
        if (const auto column = static_cast<Column>(std::countr_zero(set)); !row.has(column))
            return column;
    return std::nullopt;
}

// An unknown status is no running one: what else is wrong with the row is found where its status is asked for.
std::optional<Column> null_in_run(const Row &row)
{
    const bool runs = row.known_status() == logic::Status::in_progress;
    return runs ? first_null_of(columns_needed_to_run, row) : std::nullopt;
}

} // namespace

std::optional<Column> null_in(const Row &row) { return first_null_of(needed_columns, row); }

std::optional<Row> read_complete_row(const ColumnNumbers &numbers, TupleTableSlot *slot)
{
    Row row = read_columns(numbers, slot);
    if (null_in(row) || !row.known_status() || null_in_run(row))
        return std::nullopt;
    return row;
}

void require_complete(const Row &row)
{
    std::optional<Column> column = null_in(row);
    if (!column)
        column = null_in_run(row);
    if (column)
        ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                        errmsg("column \"%s\" of table \"jobs\" is null", definition_of(*column).name),
                        errhint("The constraint that keeps it from being null was dropped.")));
}

} // namespace store
