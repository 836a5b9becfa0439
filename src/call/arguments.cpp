#include "call/arguments.hpp"

#include "call/refusal.hpp"
#include "pg/excerpt.hpp"
#include "pg/json.hpp"
#include "pg/sqlstate.hpp"

namespace call {

namespace {

// In bytes. A stack trace fits, and a row with it stays far below longest_row (refusal.cpp).
constexpr int longest_message = 64 * 1024;
constexpr std::string_view cut_mark = " ... [cut]"; // valid in every encoding

} // namespace

Datum require_value(pg::Nullable value, const char *argument)
{
    if (!value)
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("%s must not be null", argument)));
    return value.value;
}

void check_finite(pg::Nullable instant, const char *argument)
{
    if (instant && TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(instant.value)))
        ereport(ERROR,
                (errcode(sqlstate::bad_argument), errmsg("%s must be a finite time: %s", argument,
                                                         timestamptz_to_str(DatumGetTimestampTz(instant.value)))));
}

void check_range(pg::Nullable number, std::int32_t lowest, std::int32_t highest, const char *argument)
{
    if (!number)
        return;
    const std::int32_t value = DatumGetInt32(number.value);
    if (value < lowest || value > highest)
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("%s must be from %d to %d: %d", argument, lowest, highest, value)));
}

void check_length(pg::Nullable text, int longest, const char *argument)
{
    if (!text)
        return;
    const std::string_view whole = pg::text_view(text.value);
    const int characters = pg_mbstrlen_with_len(whole.data(), static_cast<int>(whole.size()));
    if (characters == 0)
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("%s must not be empty", argument)));
    if (characters > longest)
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("%s must have at most %d characters: it has %d", argument, longest, characters)));
}

void check_size(pg::Nullable json, const char *argument)
{
    if (auto refusal = too_large(json, argument))
        raise(*refusal);
}

void check_is_object(pg::Nullable json, const char *argument)
{
    if (json)
        pg::require_object(pg::json_value_of(json.value), argument);
}

void check_object(pg::Nullable json, const char *argument)
{
    check_is_object(json, argument);
    check_size(json, argument);
}

logic::Status status_argument(std::string_view word)
{
    const std::optional<logic::Status> status = logic::parse_status(word);
    if (!status)
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("unknown status \"%s\"", pg::excerpt(word)),
                        errhint("%s", pg::one_of(logic::states))));
    return *status;
}

void check_row_size(const store::Row &row)
{
    if (auto refusal = too_large(row))
        raise(*refusal);
}

pg::Nullable cut_message(pg::Nullable message)
{
    if (!message)
        return message;
    auto packed = PG_DETOAST_DATUM_PACKED(message.value);
    const int size = static_cast<int>(VARSIZE_ANY_EXHDR(packed));
    if (size <= longest_message)
        return message;
    const int room = longest_message - static_cast<int>(cut_mark.size());
    // Half a character would be invalid in the database's encoding, and fail when the client's differs.
    const int kept = pg_mbcliplen(VARDATA_ANY(packed), size, room);
    StringInfoData text;
    initStringInfo(&text);
    appendBinaryStringInfo(&text, VARDATA_ANY(packed), kept);
    appendBinaryStringInfo(&text, cut_mark.data(), static_cast<int>(cut_mark.size()));
    return PointerGetDatum(cstring_to_text_with_len(text.data, text.len));
}

} // namespace call
