// What the functions of our triggers share: who fired them, and the rows that they get and give back.
#pragma once

#include "store/tables.hpp"

namespace job::triggers {

// When a trigger fires, as bits of TriggerEvent. AFTER and STATEMENT are bits that are not set.
inline constexpr TriggerEvent before_row = TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW;
inline constexpr TriggerEvent after_row = TRIGGER_EVENT_ROW;
inline constexpr TriggerEvent after_statement = 0;
inline constexpr TriggerEvent when_bits = TRIGGER_EVENT_TIMINGMASK | TRIGGER_EVENT_ROW;

// The trigger's context. Raises 39P01 unless the right table fires it at the right moment, because anybody may name our
// functions in a trigger on a table of their own, whose columns are others, and an owner in one more trigger on ours.
TriggerData *context_of(FunctionCallInfo fcinfo, store::ApiTable table, bool fits_event(TriggerEvent));

// The row of a tuple that the executor hands to a trigger. The statement has `jobs` open, so the numbers of the columns
// can't have changed since tables() found them.
store::Row read_tuple(const store::Tables &tables, HeapTuple tuple, TupleDesc descriptor);

// The tuple with the columns of `row` that changed in the place of its own; a user's own columns stay.
HeapTuple with(const store::Tables &tables, HeapTuple tuple, TupleDesc descriptor, const store::Row &row);

// Finds the job as the active snapshot shows it, past row security, or nothing where it is gone. It may be newer than
// the version that fired the trigger, because a trigger of the user's may have changed the job since, in this very
// statement. The row points into the slot.
std::optional<store::Row> find_job(const store::Tables &tables, Relation jobs, const pg_uuid_t *id,
                                   TupleTableSlot *slot);

// Whether the current role owns `jobs`, directly or as a member: it repairs and restores, so more is obeyed.
bool by_owner(const store::Tables &tables);

// Whether rows come from another server or from a dump that says so: they are as they have to be, and are kept as
// given. Our triggers are ENABLE ALWAYS, so they fire there too, for the derived tables.
bool is_replica();

} // namespace job::triggers
