// What a table must look like so that this code can read and write it, and the one error that says that it does not.
//
// Owners alter their tables. A Datum that is read or written as another type than its column's is a wild pointer. So
// code that touches a table has compared it with its shape first, under a lock that keeps it so (open_table.hpp).
// NOT NULL and CHECK are no part of a shape: values are looked at where they are read (row.hpp).
#pragma once

#include "prelude.hpp"

namespace store {

struct ColumnDefinition {
    const char *name;
    Oid type;
    unsigned traits = 0;
    int longest = -1;         // the length of a varchar, in characters; -1: no limit
    Oid or_type = InvalidOid; // another type that will do, since the table is then written by SQL, which converts
};

// The trait of a column that is made NOT NULL; for `jobs`: every verb gives it a value. Others are in columns.hpp.
inline constexpr unsigned not_null = 0x01;

// Raises 42P01, with the call that makes the table as its hint.
[[noreturn]] void raise_missing(const char *schema, const char *table);

// Raises 42804 for a `jobs` that was there before the extension and is not adopted yet, with the call that adopts it as
// its hint.
[[noreturn]] void raise_not_adopted();

// Raises 42804, "table … was altered so that it cannot be used"; `what` is its detail, a sentence.
[[noreturn]] void raise_altered(const char *table, const char *what);

// The number of a column, by its name; InvalidAttrNumber where there is none.
AttrNumber number_of(Relation table, const char *name);

// What is wrong with the table, as the detail of a 42804; null where it fits. The table must be open, hence locked.

// The column must be there and have the type. Text and varchar stand for each other, since both are the same varlena.
const char *wrong_column(Relation table, const ColumnDefinition &wanted);
// The column must take values of ours: not GENERATED … AS, neither stored nor identity.
const char *wrong_storage(Relation table, const ColumnDefinition &wanted);
// The table must be a plain heap: the direct path writes one heap. One with children holds rows that a scan of its own
// heap does not show.
const char *wrong_kind(Relation table);
// The table must have these columns and no others, in this order: code reads private tables by position.
const char *wrong_columns(Relation table, std::span<const ColumnDefinition> wanted);

} // namespace store
