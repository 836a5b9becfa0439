// Types, compared with what code was written for.
#pragma once

#include "prelude.hpp"

namespace pg {

// Whether a value of the type can be read as one of the other: text and varchar are one to C++.
inline bool stands_for(Oid type, Oid wanted)
{
    auto is_text = [](Oid oid) { return oid == TEXTOID || oid == VARCHAROID; };
    return type == wanted || (is_text(type) && is_text(wanted));
}

// What the columns of a row, made or read here, are.
using RowType = std::span<const Oid>;

// Null, or what is wrong with the columns of a row that was to have these types. Dropped columns count as wrong.
const char *mismatch(TupleDesc actual, RowType wanted);

} // namespace pg
