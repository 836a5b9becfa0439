// What a direct UPDATE of `jobs` means: the BEFORE trigger's half of it; and which attempt it ended, for AFTER.
//
// The race: two sessions run UPDATE jobs SET status = 'in_progress' WHERE id = …. The second one waits for the first;
// its WHERE still holds for the newest version, so it would take the job from a worker that has it. It sets no other
// status than the job has, so it is told by its SET list, and refused.
#pragma once

#include "store/attempts.hpp"
#include "store/tables.hpp"

namespace job {

// The tuple that is to be written: a verb's intent, or what a client asked for, but for what is the server's, and the
// move that its status means. Raises 23502, 22023, 42501, PT409 and PT413 for what it may not (update_rules.hpp,
// parent.hpp).
HeapTuple judge_update(const store::Tables &tables, TriggerData *trigger);

// Whether the same attempt runs in both.
bool goes_on(const store::Row &before, const store::Row &after);

// The attempt that a client's UPDATE has ended, or nothing. Told by what was written, not by what our BEFORE trigger
// made of it, because a trigger of the user's may have changed that.
std::optional<store::EndedAttempt> attempt_ended_by(const store::Row &before, const store::Row &after);

} // namespace job
