#include "pg/json.hpp"

#include <algorithm>

#include "pg/sqlstate.hpp"

namespace pg {

namespace {

const char *of_type(Oid type) { return psprintf("of type %s", format_type_be(type)); }

// Raises 22023 for what has none.
char *scalar_text(const JsonbValue &value, Oid type, const char *key)
{
    if (const auto text = scalar_view(value))
        return pnstrdup(text->data(), text->size());
    raise_wrong_type(key, of_type(type), value);
}

} // namespace

namespace {

// By how many bytes each byte of a text is written: in a JSON string; in the text of a jsonb that is one.
using Widths = std::array<std::uint8_t, 256>;
constexpr Widths widths(std::uint8_t quote, std::uint8_t named, std::uint8_t control)
{
    Widths result = {};
    for (int c = 0; c < 256; ++c)
        result[c] = c < 0x20 ? control : 1;
    for (unsigned char c : {'\b', '\f', '\n', '\r', '\t'})
        result[c] = named;
    for (unsigned char c : {'"', '\\'})
        result[c] = quote;
    return result;
}
constexpr Widths in_string = widths(2, 2, 6);           // \"   \n   \u0001
constexpr Widths in_string_in_string = widths(4, 3, 7); // \\\"  \\n  \\u0001

std::size_t width_of(std::string_view text, const Widths &widths)
{
    std::size_t size = 0;
    for (const char c : text)
        size += widths[static_cast<unsigned char>(c)];
    return size;
}

constexpr std::size_t quotes = 4; // \" and \"

std::size_t width_of_number(Numeric number)
{
    char *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
    const std::size_t size = std::strlen(digits);
    pfree(digits);
    return size;
}

std::size_t width_of_scalar(const JsonbValue &value)
{
    switch (value.type) {
    case jbvString:
        return quotes +
               width_of({value.val.string.val, static_cast<std::size_t>(value.val.string.len)}, in_string_in_string);
    case jbvNumeric:
        return width_of_number(value.val.numeric);
    case jbvBool:
        return value.val.boolean ? 4 : 5;
    default:
        return 4; // null
    }
}

} // namespace

std::optional<std::string_view> scalar_view(const JsonbValue &value)
{
    switch (value.type) {
    case jbvString:
        return std::string_view(value.val.string.val, static_cast<std::size_t>(value.val.string.len));
    case jbvNumeric:
        return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
    case jbvBool:
        return value.val.boolean ? "true" : "false";
    default:
        return std::nullopt;
    }
}

// As JsonbToCString() writes it: {"a": 1, "b": [2, 3]}.
std::size_t size_of_json_in_json(Datum json, std::size_t enough)
{
    Jsonb *whole = DatumGetJsonbP(json);
    const std::size_t bracket = JB_ROOT_IS_SCALAR(whole) ? 0 : 1; // jsonb keeps a scalar as an array of one element
    JsonbIterator *iterator = JsonbIteratorInit(&whole->root);
    JsonbValue value;
    std::size_t size = 2;    // the quotes around it
    bool comes_first = true; // of its array or object, or after its key
    while (JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, false)) {
        if (size > enough)
            break;
        const bool begins = token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT;
        const bool ends = token == WJB_END_ARRAY || token == WJB_END_OBJECT;
        if (!comes_first && !ends)
            size += 2; // ", "
        if (begins || ends)
            size += bracket;
        else
            size += width_of_scalar(value) + (token == WJB_KEY ? 2 : 0); // ": "
        comes_first = begins || token == WJB_KEY;
    }
    if (reinterpret_cast<char *>(whole) != DatumGetPointer(json))
        pfree(whole);
    return size;
}

namespace {

// By the entries alone, which stand at the head of a container: of an object first those of all keys. Numbers have to
// be written out here too.
std::size_t bound_of(JsonbContainer *container, int levels, std::size_t enough)
{
    if (levels == 0)
        return enough + 1;
    const std::uint32_t entries = JsonContainerSize(container) * (JsonContainerIsObject(container) ? 2 : 1);
    auto values = reinterpret_cast<char *>(&container->children[entries]);
    constexpr std::size_t widest = *std::max_element(in_string_in_string.begin(), in_string_in_string.end());
    std::size_t bound = 2; // brackets
    std::uint32_t end = 0;
    for (std::uint32_t i = 0; i < entries && bound <= enough; ++i) {
        const JEntry entry = container->children[i];
        const std::uint32_t begin = end;
        JBE_ADVANCE_OFFSET(end, entry);
        bound += 2; // ", " or ": "
        if (JBE_ISNUMERIC(entry))
            bound += width_of_number(reinterpret_cast<Numeric>(values + INTALIGN(begin)));
        else if (JBE_ISCONTAINER(entry))
            bound += bound_of(reinterpret_cast<JsonbContainer *>(values + INTALIGN(begin)), levels - 1,
                              enough - std::min(bound, enough));
        else
            bound += std::max<std::size_t>(quotes + widest * (end - begin), 5); // or true, false, null
    }
    return bound;
}

} // namespace

std::size_t bound_of_json_in_json(Datum json, std::size_t enough)
{
    constexpr int most_levels = 50; // so that it needs no look at the stack
    Jsonb *whole = DatumGetJsonbP(json);
    const std::size_t bound = 2 + bound_of(&whole->root, most_levels, enough); // the quotes around it
    if (reinterpret_cast<char *>(whole) != DatumGetPointer(json))
        pfree(whole);
    return bound;
}

std::size_t size_of_text_in_json(Datum text) { return 2 + width_of(text_view(text), in_string); }

// It asks the expression of its call for the type of its argument.
Datum to_jsonb(Datum value, Oid type)
{
    FuncExpr *expression = makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(makeNullConst(type, -1, InvalidOid)),
                                        InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
    FmgrInfo function;
    fmgr_info(F_TO_JSONB, &function);
    fmgr_info_set_expr(reinterpret_cast<Node *>(expression), &function);
    return FunctionCall1(&function, value);
}

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
