// Under what the derived tables were built, as the private table `state` has it: they count as built as long as `jobs`
// has the same triggers, and columns with the same values, as it had then.
#pragma once

#include "store/our_triggers.hpp"
#include "store/row.hpp"

namespace store {

// ALTER TABLE ... TYPE ... USING gives our columns other values, and fires no trigger. So do a column that is dropped
// and added again, and two that swap their names.
struct BuiltUnder {
    TriggerMarks triggers;
    // Which attributes they are, and which versions their rows in pg_attribute: each folded into one number.
    Mark columns;
    Mark storage; // relfilenode

    // ALTER ... TYPE changes a column and the storage. One alone does not change a value: SET STATISTICS; VACUUM FULL.
    bool has_same_values(const BuiltUnder &other) const
    {
        return columns.number == other.columns.number &&
               (columns.version == other.columns.version || storage == other.storage);
    }
    bool operator==(const BuiltUnder &) const = default;
};

// What it would be now.
BuiltUnder look_at_jobs(Relation jobs, const ColumnNumbers &numbers);

// Calls `each(name, mark)` for all, as they stand in the table; where `under` is not const, to fill them in.
template <class AnyBuiltUnder, class Each>
void each_mark(AnyBuiltUnder &under, Each each)
{
    for (std::size_t i = 0; i < our_triggers.size(); ++i)
        each(our_triggers[i], under.triggers[i]);
    each("(columns)", under.columns);
    each("(storage)", under.storage);
}

// Whether the derived tables say what `jobs` says; under_other_marks: they do, though something of `jobs` was written
// anew that has to do with its values only together with something else.
enum class Built { no, yes, under_other_marks };

// By the table `state` under the snapshot. If they do, no trigger was off, nor a value another, since the build that
// the snapshot sees.
Built compare_with_build(Relation jobs, const ColumnNumbers &numbers, Snapshot snapshot);

// A reader whose snapshot is older than the row of a trigger knows that the tables were built after it
// (built_since_snapshot()).
bool is_of_trigger(TupleTableSlot *slot);

} // namespace store
