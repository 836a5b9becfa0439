// Reading jsonb arguments.
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

// Calls `each(const JsonMember &)` for the members of an object.
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

// As an SQL value of the type: null for JSON null; what the type's input function makes of the text of a string,
// number or boolean; the value itself for jsonb. An object or array where none is expected is 22023.
Nullable sql_value(const JsonbValue &value, Oid type, const char *key);

Datum parse_json(const char *text);

// The member of an object that has the key.
std::optional<JsonbValue> find_member(JsonbContainer *object, std::string_view key);

bool is_object(const JsonbValue &value);
// 22023 for anything else; `what`: what the value is, in the message.
void require_object(const JsonbValue &value, const char *what);

// A jsonb as one: what it contains, not copied.
JsonbValue json_value_of(Datum json);

// 22023 unless said otherwise: `name` must be `wanted`, and was given as `shown`, which is an excerpt. One message for
// each value that is not of its type.
[[noreturn]] void raise_wrong_type(const char *name, const char *wanted, const char *shown,
                                   int sqlstate = sqlstate::bad_argument);
[[noreturn]] void raise_wrong_type(const char *name, const char *wanted, const JsonbValue &value);

// What the type's input function makes of the text; 22P02, or the SQLSTATE of that function, for what it is not. Not
// for types whose values can be long.
Datum from_text(const char *text, Oid type, const char *key);

// While it lives, errors say which element of an array argument they are about.
class ElementContext {
public:
    explicit ElementContext(const char *argument) : argument_(argument)
    {
        callback_.callback = describe;
        callback_.arg = this;
        callback_.previous = error_context_stack;
        error_context_stack = &callback_;
    }
    ~ElementContext() { error_context_stack = callback_.previous; }
    ElementContext(const ElementContext &) = delete;
    ElementContext &operator=(const ElementContext &) = delete;

    int position = 0;

private:
    static void describe(void *self)
    {
        auto context = static_cast<ElementContext *>(self);
        if (context->position == 0)
            return;
        errcontext("element %d of %s", context->position, context->argument_);
        // In the message of what is wrong with the element too, since clients over HTTP see no CONTEXT.
        const int category = ERRCODE_TO_CATEGORY(geterrcode());
        if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_TO_CATEGORY(sqlstate::conflict))
            return;
        MemoryContext before = MemoryContextSwitchTo(CurTransactionContext);
        const ErrorData *error = CopyErrorData();
        MemoryContextSwitchTo(before);
        errmsg_internal("element %d of %s: %s", context->position, context->argument_, message_excerpt(error->message));
    }

    const char *argument_;
    ErrorContextCallback callback_;
};

} // namespace pg
