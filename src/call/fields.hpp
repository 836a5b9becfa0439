// What a caller gives: arguments of a function, members of a JSON object, keys of `options`. A table of Field<T> has
// for each its name, its SQL type, the member of T that it goes to, and a check. All three are read by such tables, so
// to add one is to add a line, and a verb and its form for many cannot differ. Where fields depend on each other, T has
// a check_combination(), which raises 22023.
//
// Null: an SQL null sets a Nullable or an optional member to null. For any other member it raises 22023, because its
// default stands in the function's declaration, and a caller who gives null does not get it. A JSON null counts as a
// key that is left out, whatever the type, and leaves the member as T initialises it: clients with typed records send
// all keys. A field that is `required` must be there, as an argument and as a key. A field with `null_is_value` takes a
// JSON null as a value.
#pragma once

#include <tuple>
#include <variant>

#include "call/arguments.hpp"
#include "pg/json.hpp"

namespace call {

// What a value must be, beside its type. Raises 22023 or PT413 with the name of the field; may set another value in its
// place (cut_to_size). A pointer to a function and no lambda with state, so that a table is a constant.
using Check = void (*)(pg::Nullable &value, const char *name);

inline constexpr Check anything = nullptr;
inline void finite_time(pg::Nullable &value, const char *name) { check_finite(value, name); }
inline void json_object(pg::Nullable &value, const char *name) { check_object(value, name); }
inline void json_object_of_any_size(pg::Nullable &value, const char *name) { check_is_object(value, name); }
inline void allowed_size(pg::Nullable &value, const char *name) { check_size(value, name); }
inline void cut_to_size(pg::Nullable &value, const char *) { value = cut_message(value); }
// An interval from 0, or longer than 0, to 200 years (store::span_of): raises 22023 for any other.
void span_from_zero(pg::Nullable &value, const char *name);
void positive_span(pg::Nullable &value, const char *name);
template <int lowest, int highest>
constexpr Check in_range = [](pg::Nullable &value, const char *name) { check_range(value, lowest, highest, name); };
template <int longest>
constexpr Check length_up_to = [](pg::Nullable &value, const char *name) { check_length(value, longest, name); };

enum class Presence : std::uint8_t { usual, required, null_is_value };
using enum Presence;

// The elements of an array argument. Raises 22023 for null and for anything but an array, PT413 for more elements than
// jobs_ext.max_batch, before any of them is read.
JsonbContainer *elements_of(pg::Nullable array, const char *name);

template <class T>
struct Field {
    // Reads a value that goes to no single member: an object that has fields of its own, for instance.
    using Read = void (*)(T &record, const JsonbValue &value, const char *name);
    // Which of these it is says what is stored. An optional is a TimestampTz or, where the SQL type is interval, a span
    // in microseconds. A container is a JSON array's.
    using Member = std::variant<pg::Nullable T::*, bool T::*, std::int32_t T::*, pg_uuid_t T::*,
                                std::optional<std::int64_t> T::*, JsonbContainer * T::*, Read>;

    std::string_view name; // of a literal: ends with a zero byte, so that messages may print it
    Oid type;
    Member member;
    Check check = anything;
    Presence presence = usual;

    // Sets the member from an SQL value, which it checks. Inlined into read_arguments(), where the table is constant:
    // the compiler drops the branches for other kinds of members, and reading costs what hand-written code would.
    [[gnu::always_inline]] void take(T &record, pg::Nullable value) const
    {
        if (presence == required)
            require_value(value, name.data());
        if (check != nullptr)
            check(value, name.data());
        set_any(record, value, std::make_index_sequence<std::variant_size_v<Member>>());
    }

    // The same from a JSON value. False: the key counts as left out. Raises 22023 also for a value of a wrong type.
    bool take_json(T &record, const JsonbValue &value) const
    {
        if (value.type == jbvNull && presence != null_is_value)
            return false;
        const Read *read = std::get_if<Read>(&member);
        if (read != nullptr && check == nullptr) // else take() calls it, with the jsonb that the check wants
            (*read)(record, value, name.data());
        else
            take(record, pg::sql_value(value, type, name.data()));
        return true;
    }

    // What the member was set to. For fields with a Nullable member alone.
    pg::Nullable value_in(const T &record) const { return record.**std::get_if<pg::Nullable T::*>(&member); }

private:
    // In place of std::visit(), which would be a call at run time.
    template <std::size_t... kinds>
    [[gnu::always_inline]] void set_any(T &record, pg::Nullable value, std::index_sequence<kinds...>) const
    {
        ((member.index() == kinds ? assign(record, *std::get_if<kinds>(&member), value) : void()), ...);
    }
    template <class Kind>
    [[gnu::always_inline]] void assign(T &record, Kind T::*to, pg::Nullable value) const
    {
        if constexpr (std::is_same_v<Kind, pg::Nullable>)
            record.*to = value;
        else if constexpr (std::is_same_v<Kind, bool>)
            record.*to = DatumGetBool(require_value(value, name.data()));
        else if constexpr (std::is_same_v<Kind, std::int32_t>)
            record.*to = DatumGetInt32(require_value(value, name.data()));
        else if constexpr (std::is_same_v<Kind, pg_uuid_t>)
            record.*to = *DatumGetUUIDP(require_value(value, name.data()));
        else if constexpr (std::is_same_v<Kind, JsonbContainer *>)
            record.*to = elements_of(value, name.data());
        else if (value && type == INTERVALOID)
            record.*to = store::span_of(DatumGetIntervalP(value.value), name.data());
        else
            record.*to = value ? std::optional(DatumGetTimestampTz(value.value)) : std::nullopt;
    }
    void assign(T &record, Read read, pg::Nullable value) const
    {
        if (value)
            read(record, pg::json_value_of(value.value), name.data());
    }
};

// The record T that a table of Field<T> is for. Without a body: it is there for its type.
template <class T>
T *record_of(const Field<T> *table);
template <const auto &table>
using RecordOf = std::remove_pointer_t<decltype(record_of(std::data(table)))>;

// The fields of a table that have these names, for another function that takes them too: name, type and check stand in
// one place.
template <const auto &table, std::size_t count>
consteval auto pick_fields(const std::string_view (&names)[count])
{
    auto find = [](std::string_view name, std::size_t at = 0) {
        while (table[at].name != name) // one that is not there: past the end, which does not compile
            ++at;
        return table[at];
    };
    return std::apply([&](auto... name) { return std::array{find(name)...}; }, std::to_array(names));
}

template <class T>
void check_record(const T &record)
{
    if constexpr (requires { record.check_combination(); })
        record.check_combination();
}

// Reads the arguments of a function by tables that follow each other in the order of its parameters, each into its
// record. The Assert finds a table that is not as long as the parameters; their types are those of the SQL, since
// JOBS_FUNCTION has compared the versions. Raises what the checks raise, for the first argument that is wrong.
template <const auto &...tables>
void read_arguments(FunctionCallInfo fcinfo, RecordOf<tables> &...records)
{
    int number = 0;
    auto read = [&]<std::size_t... i>(const auto &table, auto &record, std::index_sequence<i...>)
    {
        (table[i].take(record, pg::argument(fcinfo, number++)), ...);
    };
    (read(tables, records, std::make_index_sequence<std::size(tables)>()), ...);
    Assert(number == fcinfo->nargs);
    (check_record(records), ...);
}

template <const auto &table>
RecordOf<table> read_arguments(FunctionCallInfo fcinfo)
{
    RecordOf<table> record = {};
    read_arguments<table>(fcinfo, record);
    return record;
}

// Raises 22023 with the known keys as a hint. `of`: the key under which the object stands, or null. An unknown key is
// refused and not passed over: a misspelt one would silently leave the default.
[[noreturn]] void raise_unknown_key(std::string_view key, const char *of, const char *known);

// Reads the members of an object, each a field of one of the tables. `of`: the key under which the object stands, for
// the message; null: none. Raises 22023 for an unknown key and for a required one that is missing. jsonb has each key
// once.
template <const auto &...tables>
void read_members(JsonbContainer *object, const char *of, RecordOf<tables> &...records)
{
    static_assert((std::size(tables) + ...) <= 64);
    std::uint64_t given = 0; // a bit for each field of all tables
    pg::each_member(object, [&](const pg::JsonMember &member) {
        std::uint64_t bit = 1;
        auto take = [&](const auto &table, auto &record) {
            for (const auto &field : table) {
                if (field.name == member.key) {
                    given |= field.take_json(record, member.value) ? bit : 0;
                    return true;
                }
                bit <<= 1;
            }
            return false;
        };
        if ((take(tables, records) || ...))
            return;
        StringInfoData known;
        initStringInfo(&known);
        auto name = [&](const auto &table) {
            for (const auto &field : table)
                appendStringInfo(&known, "%s%s", known.len == 0 ? "" : ", ", field.name.data());
        };
        (name(tables), ...);
        raise_unknown_key(member.key, of, known.data);
    });
    auto require = [&](const auto &table) {
        for (const auto &field : table) {
            if (field.presence == required && (given & 1) == 0)
                require_value({}, field.name.data());
            given >>= 1;
        }
    };
    (require(tables), ...);
    (check_record(records), ...);
}

// The same of a value that has to be an object, else raises 22023. `what`: what the value is, for that message.
template <const auto &...tables>
void read_object(const JsonbValue &value, const char *what, const char *of, RecordOf<tables> &...records)
{
    pg::require_object(value, what);
    read_members<tables...>(value.val.binary.data, of, records...);
}

// The Read of a field whose value is an object with fields of the same record: `options`.
template <const auto &table>
void read_nested(RecordOf<table> &record, const JsonbValue &value, const char *name)
{
    read_object<table>(value, name, name, record);
}

} // namespace call
