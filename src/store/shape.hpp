// What a table must look like so that this code can read and write it, and the one error that says that it does not.
//
// Owners alter their tables. A Datum read or written as another type than its column's is a wild pointer: whoever
// touches a table from C++ has compared it with these first, under a lock that keeps it so (open_table.hpp).
#pragma once

#include "prelude.hpp"

namespace store {

struct ColumnDefinition {
    const char *name;
    Oid type;
    unsigned traits = 0;
    int longest = -1;         // characters, of a varchar
    Oid or_type = InvalidOid; // serves as well, where the table is reached by SQL alone
};

// The trait of a column that is made NOT NULL; for `jobs`: every verb gives it a value. Others are in columns.hpp.
inline constexpr unsigned not_null = 0x01;

// 42P01, with what there is to do.
[[noreturn]] void raise_missing(const char *schema, const char *table);

// 42804: "table … was altered so that it cannot be used".
[[noreturn]] void raise_altered(const char *table, const char *what);

// The number of a column, or InvalidAttrNumber.
AttrNumber number_of(Relation table, const char *name);

// What is wrong with the table, or null when it fits. Each is the detail of a 42804.
// A column that is there and has the type, where text and varchar stand for each other:
const char *wrong_column(Relation table, const ColumnDefinition &wanted);
// One that the database computes takes no value of ours:
const char *wrong_storage(Relation table, const ColumnDefinition &wanted);
// A plain heap table:
const char *wrong_kind(Relation table);
// These columns and no others, in this order, of a table that nobody but us may alter:
const char *wrong_columns(Relation table, std::span<const ColumnDefinition> wanted);

// Raises that 42804 unless `wrong` is null.
void require_fit(Relation table, const char *wrong);

} // namespace store
