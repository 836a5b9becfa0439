// Our triggers on `jobs`, which keep the derived tables in step with it.
#pragma once

#include "pg/scope.hpp"

namespace store {

inline constexpr std::array our_triggers = {"jobs_ext_before_row", "jobs_ext_after_row", "jobs_ext_after_truncate"};

// Whether a trigger on `jobs` is one of ours: by its name, function, type (as in pg_trigger), and by having neither a
// condition nor a list of columns.
bool is_our_trigger(const char *name, Oid function, std::int16_t type, bool unconditional);
// By its name alone; -1: none of ours.
int position_of_trigger(const char *name);

// Which version of a row of a catalog it is. By its place as well: a transaction may write the row twice, and build in
// between.
std::uint64_t version_of(HeapTuple tuple);

// Something that is known again by its number and its version. Of a trigger: oid, and the version of its row in
// pg_trigger, which is written when the trigger is disabled or enabled. InvalidOid: it is missing or disabled.
struct Mark {
    Oid number;
    std::uint64_t version;

    bool operator==(const Mark &) const = default;
};
using TriggerMarks = std::array<Mark, our_triggers.size()>;

// Those on the table `jobs`, in the order of our_triggers.
TriggerMarks trigger_marks_of(Oid jobs);

bool are_triggers_enabled(const TriggerMarks &marks);
// 42804 unless they are.
void require_our_triggers(const TriggerMarks &marks);

} // namespace store
