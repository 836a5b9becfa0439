// Which indexes of a table leave out exactly the rows in which one column is null: CREATE INDEX … WHERE column IS NOT
// NULL. A row without the column has no entry there, so who writes one need not ask the index, nor open or lock it.
//
// The race: such an index is dropped, and another one made, while this is remembered. An index never changes its
// predicate, so what is known by oid stays true for as long as there is that index; an oid that is not known stands for
// an index to be opened. An oid is given to another index only after the first one was dropped, of which Postgres sends
// a relcache invalidation of the table: a caller forgets this then (store/tables.cpp).
#pragma once

#include "prelude.hpp"

namespace pg {

// The column, where `index`, a row of pg_index, has no other predicate than that this column is not null; else 0. Reads
// what is printed there, because RelationGetIndexPredicate() evaluates what is constant in a predicate: functions of
// the user's, as the role that looks.
AttrNumber column_that_is_set(HeapTuple index);

class NullsLeftOut {
public:
    NullsLeftOut() = default;
    // The caller holds a lock on the table, so that none of its indexes goes.
    explicit NullsLeftOut(Relation table);

    // The column that is null in the rows that this index leaves out. 0: it is none of these, or not known as one.
    AttrNumber column_of(Oid index) const;

private:
    struct Known {
        Oid index;
        AttrNumber column;
    };
    // Any further ones are opened like other indexes.
    std::array<Known, 8> known_ = {};
    std::size_t count_ = 0;
};

} // namespace pg
