#include "call/arguments.hpp"

#include "call/refusal.hpp"
#include "pg/excerpt.hpp"
#include "pg/sqlstate.hpp"
#include "settings.hpp"

namespace call {

namespace {

constexpr int longest_message = 64 * 1024;
constexpr std::string_view cut_mark = " ... [cut]"; // valid in every encoding

Jsonb *json_of(Datum value) { return DatumGetJsonbP(value); }

} // namespace

Datum require_value(pg::Nullable value, const char *argument)
{
    if (!value)
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("%s must not be null", argument)));
    return value.value;
}

void require_one(pg::Nullable id, pg::Nullable job_id)
{
    if (id.null == job_id.null)
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("exactly one of id and job_id must be given: %s", id.null ? "neither is" : "both are")));
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
    auto packed = PG_DETOAST_DATUM_PACKED(text.value);
    const int characters = pg_mbstrlen_with_len(VARDATA_ANY(packed), static_cast<int>(VARSIZE_ANY_EXHDR(packed)));
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

void check_object(pg::Nullable json, const char *argument)
{
    if (!json)
        return;
    if (!JB_ROOT_IS_OBJECT(json_of(json.value)))
        ereport(ERROR, (errcode(sqlstate::bad_argument),
                        errmsg("%s must be a JSON object: %s", argument, pg::json_excerpt(json.value))));
    check_size(json, argument);
}

void check_options(pg::Nullable options)
{
    if (!options)
        return;
    check_object(options, "options");
    JsonbIterator *iterator = JsonbIteratorInit(&json_of(options.value)->root);
    JsonbValue value;
    while (JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, true))
        if (token == WJB_KEY)
            ereport(ERROR,
                    (errcode(sqlstate::bad_argument),
                     errmsg("unknown option \"%s\"",
                            pg::excerpt({value.val.string.val, static_cast<std::size_t>(value.val.string.len)}))));
}

logic::Status status_argument(std::string_view word)
{
    const std::optional<logic::Status> status = logic::parse_status(word);
    if (!status)
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("unknown status \"%s\"", pg::excerpt(word)),
                        errhint("It is one of pending, queued, in_progress, paused, completed, failed, cancelled.")));
    return *status;
}

JsonbContainer *array_argument(FunctionCallInfo fcinfo, int number, const char *argument)
{
    Jsonb *list = json_of(require_value(pg::argument(fcinfo, number), argument));
    if (!JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list))
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("%s must be a JSON array", argument)));
    if (JB_ROOT_COUNT(list) > static_cast<std::uint32_t>(settings::max_batch))
        ereport(ERROR, (errcode(sqlstate::too_large),
                        errmsg("%s has too many elements: %u, and jobs_ext.max_batch is %d", argument,
                               JB_ROOT_COUNT(list), settings::max_batch),
                        errhint("Send them in several calls.")));
    return &list->root;
}

void check_row_size(const store::Row &row)
{
    if (auto refusal = too_large(row))
        raise(*refusal);
}

std::optional<store::Microseconds> positive_span(pg::Nullable interval, const char *argument)
{
    if (!interval)
        return std::nullopt;
    const store::Microseconds span = store::span_of(DatumGetIntervalP(interval.value), argument);
    if (span == 0)
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("%s must be longer than nothing", argument)));
    return span;
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
    const int kept = pg_mbcliplen(VARDATA_ANY(packed), size, room);
    StringInfoData text;
    initStringInfo(&text);
    appendBinaryStringInfo(&text, VARDATA_ANY(packed), kept);
    appendBinaryStringInfo(&text, cut_mark.data(), static_cast<int>(cut_mark.size()));
    return PointerGetDatum(cstring_to_text_with_len(text.data, text.len));
}

} // namespace call
