// Under what the derived tables were built, as the private table `state` has it: they count as built as long as `jobs`
// has the same triggers, and columns with the same values, as it had then.
//
// The race: an owner disables a trigger of ours, writes to `jobs` and enables it, or alters a column twice, while other
// sessions work. Each such command writes a new version of a row in pg_trigger or pg_attribute, and versions differ
// also within one transaction (version_of() in our_triggers.hpp). So no process has to watch that moment: it
// compares later, and finds another version. ROLLBACK brings back the old row together with the old values.
#pragma once

#include "store/our_triggers.hpp"
#include "store/row.hpp"

namespace store {

// ALTER TABLE ... TYPE ... USING gives our columns other values, and fires no trigger. So do a column that is dropped
// and added again, and two columns that swap their names: their numbers (attnum) change.
struct BuiltUnder {
    TriggerMarks triggers;
    // The numbers of our columns, and the versions of their rows in pg_attribute, each folded into one number.
    Mark columns;
    Mark storage; // relfilenode, without a version

    // ALTER ... TYPE that changes values writes the column's row anew and rewrites the table. One alone changes no
    // value: SET STATISTICS writes the column's row, VACUUM FULL and CLUSTER rewrite. TRUNCATE rewrites too, but it
    // fires our trigger, which empties the derived tables.
    bool has_same_values(const BuiltUnder &other) const
    {
        return columns.number == other.columns.number &&
               (columns.version == other.columns.version || storage == other.storage);
    }
    bool operator==(const BuiltUnder &) const = default;
};

// What a build would note now. `jobs` is open. No column changes under its lock; a trigger may still be switched by
// another session where that lock is weaker than ROW EXCLUSIVE, because that takes SHARE ROW EXCLUSIVE.
BuiltUnder look_at_jobs(Relation jobs, const ColumnNumbers &numbers);

// Calls `each(name, mark)` for all marks, by the names that their rows have in `state`; where `under` is not const, the
// callback may fill them in. The brackets keep these names apart from those of triggers.
template <class AnyBuiltUnder, class Each>
void each_mark(AnyBuiltUnder &under, Each each)
{
    for (std::size_t i = 0; i < our_triggers.size(); ++i)
        each(our_triggers[i], under.triggers[i]);
    each("(columns)", under.columns);
    each("(storage)", under.storage);
}

// Whether the derived tables say what `jobs` says. under_other_marks: they do, but half of what an ALTER ... TYPE
// leaves has changed (has_same_values()); renew_marks() notes that before the other half changes too.
enum class Built { no, yes, under_other_marks };

// Compares `jobs` as it is now with the rows of `state` that the snapshot shows. If the derived tables count as built,
// no trigger was off, and no value changed but through our triggers, since the build that the snapshot shows. Raises
// 42P01 and 42804 as open_private() does.
Built compare_with_build(Relation jobs, const ColumnNumbers &numbers, Snapshot snapshot);

// Whether this row of `state` is a trigger's mark, which each build writes, and nothing else: its age is that of the
// last build (derived_were_built_since_snapshot()).
bool is_of_trigger(TupleTableSlot *slot);

} // namespace store
