// Reading jsonb arguments. What these functions give points into the jsonb, so it lives as long as that; nothing is
// copied, because an array may be a call's 100 000 jobs.
#pragma once

#include "pg/excerpt.hpp"
#include "pg/function.hpp"
#include "pg/sqlstate.hpp"
#include "prelude.hpp"

namespace pg {

// A key and its value of a JSON object; a JSON null is a value of the type jbvNull.
struct JsonMember {
    std::string_view key;
    JsonbValue value;
};

// Calls `each(const JsonMember &)` for the members of an object, in jsonb's order: by length of the key, then by bytes.
// Nested values are not walked into (skipNested of JsonbIteratorNext); they come as jbvBinary.
template <class Each>
void each_member(JsonbContainer *object, Each each)
{
    if (JsonContainerSize(object) == 0)
        return; // no iterator is allocated for nothing
    JsonbIterator *iterator = JsonbIteratorInit(object);
    JsonbValue value;
    JsonMember member = {};
    while (JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, true)) {
        if (token == WJB_KEY)
            member.key = {value.val.string.val, static_cast<std::size_t>(value.val.string.len)};
        else if (token == WJB_VALUE) {
            member.value = value;
            each(static_cast<const JsonMember &>(member));
        }
    }
}

// Calls `each(const JsonbValue &, int position)` for the elements of an array, position from 1.
template <class Each>
void each_element(JsonbContainer *array, Each each)
{
    JsonbIterator *iterator = JsonbIteratorInit(array);
    JsonbValue value;
    int position = 0;
    while (JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, true))
        if (token == WJB_ELEM)
            each(static_cast<const JsonbValue &>(value), ++position);
}

// The JSON value as an SQL value of the type: null for JSON null; what the type's input function makes of the text of a
// string, number or boolean; for jsonb the value itself, also JSON null. So "5" and 5 are the same integer, as they are
// when PostgREST passes arguments. Raises 22023 for an object or array where none is expected, else what from_text()
// raises. `key`: how messages name it. In the current memory context.
Nullable sql_value(const JsonbValue &value, Oid type, const char *key);

// The text of a string, number or boolean, as `->>` gives it; nothing for any other value. That of a string points into
// the jsonb, that of a number is allocated.
std::optional<std::string_view> scalar_view(const JsonbValue &value);

// What to_jsonb() makes of a value of the type: of an array of rows an array of objects. In the current memory context.
Datum to_jsonb(Datum value, Oid type);

// The text as jsonb. Raises 22P02 for what is no JSON.
Datum parse_json(const char *text);

// The value of the key in an object, a JSON null too; null where the key is not there.
std::optional<JsonbValue> find_member(JsonbContainer *object, std::string_view key);

bool is_object(const JsonbValue &value);
// Raises 22023 for anything but an object; `what`: what the value is, in the message.
void require_object(const JsonbValue &value, const char *what);

// A whole jsonb as a JsonbValue, to be read like a nested one. Detoasts it, and copies no more.
JsonbValue json_value_of(Datum json);

// How many bytes a value takes as a string inside of JSON, its quotes included, as a decoder of the WAL writes a column
// of this type (wal2json, and Supabase Realtime with it): of jsonb its text, so that what is escaped in it is escaped
// once more. Nothing of it is written out but numbers: one of a few bytes, 1e131071, has 131072 digits. Stops where the
// count is over `enough`. Detoasts the value.
std::size_t size_of_json_in_json(Datum json, std::size_t enough);
std::size_t size_of_text_in_json(Datum text);
// No less than that, for a third of the work, by the length of each string; more than `enough` where that is reached
// or the value is nested deeply. Detoasts the value.
std::size_t bound_of_json_in_json(Datum json, std::size_t enough);

// Raises 22023, or the SQLSTATE given: "`name` must be `wanted`: `shown`", where `shown` is an excerpt already. So
// every value that is not of its type has one message.
[[noreturn]] void raise_wrong_type(const char *name, const char *wanted, const char *shown,
                                   int sqlstate = sqlstate::bad_argument);
[[noreturn]] void raise_wrong_type(const char *name, const char *wanted, const JsonbValue &value);

// What the type's input function makes of the text. Raises 22P02, or the SQLSTATE of that function, for text that is no
// value of the type; 22P02 for text of more than 100 bytes. So not for types whose values can be long.
Datum from_text(const char *text, Oid type, const char *key);

// While it lives, errors say which element of an array argument they are about. An error skips the destructor; the
// PG_TRY that catches it sets error_context_stack back. `position` counts from 1; 0: the error is about no
// element.
class ElementContext {
public:
    explicit ElementContext(const char *argument) : argument_(argument)
    {
        callback_.callback = add_context;
        callback_.arg = this;
        callback_.previous = error_context_stack;
        error_context_stack = &callback_;
    }
    ~ElementContext() { error_context_stack = callback_.previous; }
    ElementContext(const ElementContext &) = delete;
    ElementContext &operator=(const ElementContext &) = delete;

    int position = 0;

private:
    static void add_context(void *self)
    {
        auto context = static_cast<ElementContext *>(self);
        if (context->position == 0)
            return;
        errcontext("element %d of %s", context->position, context->argument_);
        // In the message too, where the caller gave something wrong: 22xxx and PTxxx. PostgREST passes message, detail
        // and hint to its client, and no CONTEXT.
        const int category = ERRCODE_TO_CATEGORY(geterrcode());
        if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_TO_CATEGORY(sqlstate::conflict))
            return;
        // errfinish() calls this in ErrorContext, where CopyErrorData() must not be called (it asserts so): the copy
        // has to outlive that memory.
        MemoryContext before = MemoryContextSwitchTo(CurTransactionContext);
        const ErrorData *error = CopyErrorData();
        MemoryContextSwitchTo(before);
        errmsg_internal("element %d of %s: %s", context->position, context->argument_, message_excerpt(error->message));
    }

    const char *argument_;
    ErrorContextCallback callback_;
};

} // namespace pg
