#include "pg/json.hpp"

#include "pg/sqlstate.hpp"

namespace pg {

namespace {

char *scalar_text(const JsonbValue &value, const char *key)
{
    switch (value.type) {
    case jbvString:
        return pnstrdup(value.val.string.val, value.val.string.len);
    case jbvNumeric:
        return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
    case jbvBool:
        return pstrdup(value.val.boolean ? "true" : "false");
    default:
        ereport(ERROR,
                (errcode(sqlstate::bad_argument), errmsg("\"%s\" must be a string, a number or a boolean", key)));
    }
}

} // namespace

bool is_object(const JsonbValue &value)
{
    return value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data);
}

Datum from_text(const char *text, Oid type, const char *key)
{
    // The types' own messages repeat the whole; nothing that is valid is longer.
    if (std::strlen(text) > excerpt_characters)
        ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                        errmsg("\"%s\" is not of type %s: \"%s\"", key, format_type_be(type), excerpt(text))));
    Oid input, parameter;
    getTypeInputInfo(type, &input, &parameter);
    return OidInputFunctionCall(input, const_cast<char *>(text), parameter, -1);
}

Nullable sql_value(const JsonbValue &value, Oid type, const char *key)
{
    if (type == JSONBOID)
        return JsonbPGetDatum(JsonbValueToJsonb(const_cast<JsonbValue *>(&value)));
    if (value.type == jbvNull)
        return {};
    char *text = scalar_text(value, key);
    const Datum result = type == TEXTOID ? CStringGetTextDatum(text) : from_text(text, type, key);
    pfree(text);
    return result;
}

} // namespace pg
