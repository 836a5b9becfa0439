#include "call/refusal.hpp"

#include "settings.hpp"

namespace call {

namespace {

using store::Column;
using store::Row;

constexpr char smaller[] = "Keep the data in a table or a bucket and put a reference to it here.";

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
    // Supabase Realtime drops records over 1 MiB: a client that follows `jobs` by it would miss the change. The rest of
    // the MiB is for the other columns and the JSON around them.
    constexpr std::size_t longest_row = std::size_t{900} * 1024;
    std::size_t size = 0;
    for (Column column :
         {Column::input_payload, Column::result, Column::error_message, Column::metadata, Column::progress})
        if (row.has(column))
            size += toast_raw_datum_size(row[column]); // by the header: nothing is fetched or decompressed
    if (size <= longest_row)
        return std::nullopt;
    return Refusal{sqlstate::too_large,
                   psprintf("job %s would be too large: %zu bytes, and a row may have %zu", store::to_text(row.id()),
                            size, longest_row),
                   nullptr, smaller};
}

void raise(const Refusal &refusal)
{
    ereport(ERROR, (errcode(refusal.sqlstate), errmsg("%s", refusal.message),
                    refusal.detail != nullptr ? errdetail_internal("%s", refusal.detail) : 0,
                    refusal.hint != nullptr ? errhint("%s", refusal.hint) : 0));
}

} // namespace call
