// Our triggers on `jobs`, which keep the derived tables in step with it.
//
// The race: an owner disables a trigger, writes to `jobs` and enables it again, or a restore loads rows before it makes
// the triggers. A session that comes later finds all triggers in place, and derived tables without those rows. So a
// build of the derived tables notes by which triggers it was made (the table `state`), each by OID and version of its
// row in pg_trigger: DISABLE and ENABLE both write that row anew, so the gap leaves other marks, and the next writer
// builds. A ROLLBACK takes the new row back, and with it what was written. VACUUM FULL of pg_trigger moves the rows and
// costs a build for nothing.
#pragma once

#include "pg/scope.hpp"

namespace store {

inline constexpr std::array our_triggers = {"jobs_ext_before_row", "jobs_ext_after_row", "jobs_ext_after_truncate"};

// Whether a trigger on `jobs` is one of ours: by its name, its function, its type (pg_trigger.tgtype) and by firing for
// every row: with a WHEN or a list of columns it would miss changes. A trigger of the user's that has only the name of
// one of ours counts as the user's.
bool is_our_trigger(const char *name, Oid function, std::int16_t type, bool unconditional);
// The position in our_triggers of a trigger, by its name alone; -1 where the name is none of ours.
int position_of_trigger(const char *name);

// Which version of a row of a catalog it is: a hash of xmin and tid. By tid as well, since a transaction may write the
// row, build, and write the row again under the same xmin. Two versions collide once in 2^64.
std::uint64_t version_of(HeapTuple tuple);

// Something that is known again by its number and its version. Of a trigger: its OID and version_of() its row in
// pg_trigger; InvalidOid where it is missing or disabled.
struct Mark {
    Oid number;
    std::uint64_t version;

    bool operator==(const Mark &) const = default;
};
using TriggerMarks = std::array<Mark, our_triggers.size()>;

// The marks of the triggers on the table `jobs`, in the order of our_triggers. The caller holds a lock on `jobs`: under
// ACCESS SHARE they may change a moment later, under ROW EXCLUSIVE they can't (DISABLE TRIGGER takes SHARE ROW
// EXCLUSIVE).
TriggerMarks trigger_marks_of(Oid jobs);

bool are_triggers_enabled(const TriggerMarks &marks);
// Raises 42804, with the name of the first that is missing or disabled, unless all are there.
void require_our_triggers(const TriggerMarks &marks);

} // namespace store
