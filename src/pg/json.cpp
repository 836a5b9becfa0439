#include "pg/json.hpp"

#include "pg/sqlstate.hpp"

namespace pg {

namespace {

const char *of_type(Oid type) { return psprintf("of type %s", format_type_be(type)); }

// The text of a string, number or boolean, as `->>` gives it. Raises 22023 for anything else.
char *scalar_text(const JsonbValue &value, Oid type, const char *key)
{
    switch (value.type) {
    case jbvString:
        return pnstrdup(value.val.string.val, value.val.string.len);
    case jbvNumeric:
        return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
    case jbvBool:
        return pstrdup(value.val.boolean ? "true" : "false");
    default:
        raise_wrong_type(key, of_type(type), value);
    }
}

} // namespace

Datum parse_json(const char *text) { return DirectFunctionCall1(jsonb_in, CStringGetDatum(text)); }

std::optional<JsonbValue> find_member(JsonbContainer *object, std::string_view key)
{
    JsonbValue found;
    if (getKeyJsonValueFromContainer(object, key.data(), static_cast<int>(key.size()), &found) == nullptr)
        return std::nullopt;
    return found;
}

bool is_object(const JsonbValue &value)
{
    return value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data);
}

void require_object(const JsonbValue &value, const char *what)
{
    if (!is_object(value))
        raise_wrong_type(what, "a JSON object", value);
}

JsonbValue json_value_of(Datum json)
{
    Jsonb *whole = DatumGetJsonbP(json);
    JsonbValue value;
    value.type = jbvBinary;
    value.val.binary = {static_cast<int>(VARSIZE(whole) - VARHDRSZ), &whole->root};
    return value;
}

void raise_wrong_type(const char *name, const char *wanted, const char *shown, int sqlstate)
{
    ereport(ERROR, (errcode(sqlstate), errmsg("%s must be %s: %s", name, wanted, shown)));
}

void raise_wrong_type(const char *name, const char *wanted, const JsonbValue &value)
{
    raise_wrong_type(name, wanted, json_excerpt(JsonbPGetDatum(JsonbValueToJsonb(const_cast<JsonbValue *>(&value)))));
}

Datum from_text(const char *text, Oid type, const char *key)
{
    // The message of an input function repeats the whole text, be it megabytes, and goes into the server's log. No
    // number, uuid, time or interval that is written by a program is longer than that.
    if (std::strlen(text) > excerpt_characters)
        raise_wrong_type(key, of_type(type), psprintf("\"%s\"", excerpt(text)), ERRCODE_INVALID_TEXT_REPRESENTATION);
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
    char *text = scalar_text(value, type, key);
    const Datum result = type == TEXTOID ? CStringGetTextDatum(text) : from_text(text, type, key);
    pfree(text);
    return result;
}

} // namespace pg
