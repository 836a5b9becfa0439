#include "store/row.hpp"

#include "pg/excerpt.hpp"

namespace store {

constexpr std::array<ColumnDefinition, column_count> columns_made = {{
    {"id", UUIDOID, -1, true},
    {"job_id", VARCHAROID, 100, true},
    {"job_type", VARCHAROID, 50, true},
    {"job_category", VARCHAROID, 50},
    {"status", VARCHAROID, 50, true},
    {"input_payload", JSONBOID},
    {"result", JSONBOID},
    {"error_message", TEXTOID},
    {"retries", INT4OID, -1, true},
    {"max_retries", INT4OID, -1, true},
    {"retry_delay_ms", INT4OID, -1, true},
    {"execution_time_ms", INT4OID},
    {"created_at", TIMESTAMPTZOID, -1, true},
    {"started_at", TIMESTAMPTZOID},
    {"completed_at", TIMESTAMPTZOID},
    {"cancelled_at", TIMESTAMPTZOID},
    {"updated_at", TIMESTAMPTZOID, -1, true},
    {"organisation_id", UUIDOID, -1, true},
    {"restaurant_id", UUIDOID},
    {"created_by", UUIDOID},
    {"parent_job_id", UUIDOID},
    {"metadata", JSONBOID, -1, true},
    {"priority", INT4OID, -1, true},
    {"run_at", TIMESTAMPTZOID, -1, true},
    {"attempt", INT4OID, -1, true},
    {"lease_id", UUIDOID},
    {"worker", TEXTOID},
    {"lease_expires_at", TIMESTAMPTZOID},
    {"timeout_at", TIMESTAMPTZOID},
    {"heartbeat_at", TIMESTAMPTZOID},
    {"finished_at", TIMESTAMPTZOID},
    {"cancel_requested_at", TIMESTAMPTZOID},
    {"progress", JSONBOID},
    {"expires_at", TIMESTAMPTZOID},
}};

const std::array<ColumnDefinition, column_count> columns = columns_made;

pg::RowType row_type()
{
    static constexpr auto types = [] {
        std::array<Oid, column_count> result = {};
        for (int i = 0; i < column_count; ++i)
            result[i] = columns_made[i].type;
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

logic::Status Row::status() const
{
    const std::string_view name = text(Column::status);
    auto status = logic::parse_status(name);
    if (!status)
        ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                        errmsg("job %s has the unknown status \"%s\"", to_text(id()), pg::excerpt(name)),
                        errhint("The constraint check_status of jobs was dropped or altered.")));
    return *status;
}

char *to_text(const pg_uuid_t *uuid) { return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid))); }

Row copy(const Row &row)
{
    Row result = row;
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

// Nothing copes with a job that has no name, state or time.
std::optional<Column> null_in(const Row &row)
{
    for (Column column : {Column::id, Column::job_id, Column::job_type, Column::status, Column::retries,
                          Column::max_retries, Column::retry_delay_ms, Column::created_at, Column::organisation_id,
                          Column::priority, Column::run_at, Column::attempt})
        if (!row.has(column))
            return column;
    return std::nullopt;
}

namespace {

// A job that runs has a lease, and began.
std::optional<Column> null_in_run(const Row &row)
{
    if (row.text(Column::status) == logic::name_of_status(logic::Status::in_progress))
        for (Column column : {Column::started_at, Column::lease_id, Column::lease_expires_at})
            if (!row.has(column))
                return column;
    return std::nullopt;
}

} // namespace

std::optional<Row> read_complete_row(const ColumnNumbers &numbers, TupleTableSlot *slot)
{
    Row row = read_columns(numbers, slot);
    if (null_in(row) || !logic::parse_status(row.text(Column::status)) || null_in_run(row))
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
                        errmsg("column \"%s\" of table \"jobs\" is null", columns[index_of(*column)].name),
                        errhint("The constraint that keeps it from being null was dropped.")));
}

} // namespace store
