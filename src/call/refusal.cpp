#include "call/refusal.hpp"

#include "pg/json.hpp"
#include "settings.hpp"

namespace call {

namespace {

using store::Column;
using store::Row;

constexpr char smaller[] = "Keep the data in a table or a bucket and put a reference to it here.";

constexpr Column columns_of_json[] = {Column::input_payload, Column::result, Column::metadata, Column::progress};

// Whether the row is found to be no longer than that without counting. Not tried where the columns take as much as that
// already, or nearly: counting fetches them all once more.
bool is_surely_small(const Row &row, std::size_t longest)
{
    std::size_t raw = row.has(Column::error_message) ? toast_raw_datum_size(row[Column::error_message]) : 0;
    std::size_t bound = 8 * raw;
    for (Column column : columns_of_json)
        if (row.has(column))
            raw += toast_raw_datum_size(row[column]);
    if (raw > longest / 8)
        return false;
    for (Column column : columns_of_json)
        if (row.has(column) && bound <= longest)
            bound += pg::bound_of_json_in_json(row[column], longest - bound);
    return bound <= longest;
}

} // namespace

std::optional<Refusal> too_large(pg::Nullable json, const char *argument)
{
    if (!json)
        return std::nullopt;
    // As jsonb, uncompressed: a column keeps it so, but for compression.
    const std::size_t size = VARSIZE_ANY_EXHDR(DatumGetJsonbP(json.value));
    if (size <= static_cast<std::size_t>(settings::max_payload) * 1024)
        return std::nullopt;
    return Refusal{sqlstate::too_large,
                   psprintf("%s is too large: %zu bytes, and jobs_ext.max_payload is %d kB", argument, size,
                            settings::max_payload),
                   nullptr, smaller};
}

std::optional<Refusal> too_large(const Row &row)
{
    // Supabase Realtime drops records over 1 MiB of JSON: a client that follows `jobs` by it would miss the change. The
    // rest of the MiB is for the other columns and what stands around them.
    constexpr std::size_t longest_row = std::size_t{900} * 1024;
    constexpr std::size_t enough = 16 * longest_row; // counting on would only take time
    if (is_surely_small(row, longest_row))
        return std::nullopt;
    std::size_t size = 0;
    for (Column column : columns_of_json)
        if (row.has(column) && size <= enough)
            size += pg::size_of_json_in_json(row[column], enough - size);
    if (row.has(Column::error_message))
        size += pg::size_of_text_in_json(row[Column::error_message]);
    if (size <= longest_row)
        return std::nullopt;
    return Refusal{sqlstate::too_large,
                   psprintf("job %s would be too large: %s%zu bytes as JSON, escapes included, and a row may have %zu",
                            store::to_text(row.id()), size > enough ? "more than " : "", std::min(size, enough),
                            longest_row),
                   nullptr, smaller};
}

void raise(const Refusal &refusal)
{
    ereport(ERROR, (errcode(refusal.sqlstate), errmsg("%s", refusal.message),
                    refusal.detail != nullptr ? errdetail_internal("%s", refusal.detail) : 0,
                    refusal.hint != nullptr ? errhint("%s", refusal.hint) : 0));
}

} // namespace call
