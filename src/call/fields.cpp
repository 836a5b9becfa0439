#include "call/fields.hpp"

#include "pg/excerpt.hpp"
#include "settings.hpp"

namespace call {

void span_from_zero(pg::Nullable &value, const char *name)
{
    if (value)
        store::span_of(DatumGetIntervalP(value.value), name);
}

void positive_span(pg::Nullable &value, const char *name)
{
    if (value && store::span_of(DatumGetIntervalP(value.value), name) == 0)
        ereport(ERROR, (errcode(sqlstate::bad_argument), errmsg("%s must be longer than nothing", name)));
}

JsonbContainer *elements_of(pg::Nullable array, const char *name)
{
    Jsonb *list = DatumGetJsonbP(require_value(array, name));
    if (!JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list)) // jsonb keeps a scalar as an array of one element
        pg::raise_wrong_type(name, "a JSON array", pg::json_excerpt(array.value));
    // The count stands in the header of the array. With the limit each caller may size its memory by it.
    if (JB_ROOT_COUNT(list) > static_cast<std::uint32_t>(settings::max_batch))
        ereport(ERROR, (errcode(sqlstate::too_large),
                        errmsg("%s has too many elements: %u, and jobs_ext.max_batch is %d", name, JB_ROOT_COUNT(list),
                               settings::max_batch),
                        errhint("Send them in several calls.")));
    return &list->root;
}

void raise_unknown_key(std::string_view key, const char *of, const char *known)
{
    ereport(ERROR, (errcode(sqlstate::bad_argument),
                    errmsg(of != nullptr ? "unknown key \"%s\" in \"%s\"" : "unknown key \"%s\"", pg::excerpt(key), of),
                    errhint(*known != '\0' ? "The keys are %s." : "No key is known yet.", pg::message_excerpt(known))));
}

} // namespace call
