// Values as SQL has them, and the types of rows, compared with those that code was written for: a Datum that is read as
// another type than its own is a wild pointer, and owners alter their tables.
#pragma once

#include "prelude.hpp"

namespace pg {

// A value that may be null, as SQL has them.
struct Nullable {
    Datum value = 0;
    bool null = true;

    constexpr Nullable() = default;
    constexpr Nullable(Datum given) : value(given), null(false) {}
    constexpr Nullable(Datum given, bool is_null) : value(given), null(is_null) {}
    constexpr explicit operator bool() const { return !null; }
};

// Of a text or varchar; a copy only where it was compressed or stored elsewhere.
inline std::string_view text_view(Datum text)
{
    auto packed = PG_DETOAST_DATUM_PACKED(text);
    return {VARDATA_ANY(packed), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(packed))};
}

// Whether a value of the type can be read as one of the other. text and varchar are both varlena with the same
// contents.
inline bool stands_for(Oid type, Oid wanted)
{
    auto is_text = [](Oid oid) { return oid == TEXTOID || oid == VARCHAROID; };
    return type == wanted || (is_text(type) && is_text(wanted));
}

// The types of the columns of a row, in their order.
using RowType = std::span<const Oid>;

// Null, or what is wrong with the columns of a row that was to have these types, as a sentence for errdetail. Dropped
// columns count as wrong.
const char *mismatch(TupleDesc actual, RowType wanted);

} // namespace pg
