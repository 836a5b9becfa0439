#include "pg/nulls_left_out.hpp"

#include <algorithm>

namespace pg {

// A predicate that the user wrote with more than this, also with AND, is another one: what else is in it may raise an
// error, which Postgres would raise as well. Neither a system column (below 0) nor the whole row (0) is meant.
AttrNumber column_that_is_set(HeapTuple index)
{
    if (heap_attisnull(index, Anum_pg_index_indpred, nullptr))
        return InvalidAttrNumber;
    bool null;
    const Datum printed = SysCacheGetAttr(INDEXRELID, index, Anum_pg_index_indpred, &null);
    auto predicate = static_cast<Node *>(stringToNode(TextDatumGetCString(printed)));
    if (!IsA(predicate, NullTest) || castNode(NullTest, predicate)->nulltesttype != IS_NOT_NULL)
        return InvalidAttrNumber;
    Node *tested = reinterpret_cast<Node *>(castNode(NullTest, predicate)->arg);
    if (!IsA(tested, Var) || castNode(Var, tested)->varattno < 0)
        return InvalidAttrNumber;
    return castNode(Var, tested)->varattno;
}

NullsLeftOut::NullsLeftOut(Relation table)
{
    List *indexes = RelationGetIndexList(table);
    ListCell *cell;
    foreach (cell, indexes) {
        HeapTuple index = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
        if (!HeapTupleIsValid(index))
            continue;
        const AttrNumber column = column_that_is_set(index);
        ReleaseSysCache(index);
        if (column != InvalidAttrNumber && count_ < known_.size())
            known_[count_++] = {lfirst_oid(cell), column};
    }
    list_free(indexes);
}

AttrNumber NullsLeftOut::column_of(Oid index) const
{
    const auto *end = known_.begin() + count_;
    const auto *found = std::find_if(known_.begin(), end, [&](const Known &known) { return known.index == index; });
    return found != end ? found->column : AttrNumber{InvalidAttrNumber};
}

} // namespace pg
