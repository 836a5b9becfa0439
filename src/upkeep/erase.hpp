// Erasing what an organisation has: jobs, archived ones, and with them attempts and whatever else belongs to a job.
#pragma once

#include "upkeep/task.hpp"

namespace upkeep {

// The task `erase`: a batch of each organisation that is to be erased. Counts the rows, and the organisations that wait
// as due. An organisation at which it fails, since a trigger or a foreign key of the user's stands in its way, does not
// keep the others waiting; raises its error where nothing else was done. The caller has become the owner of `jobs`.
Counts erase_organisations(Pace &pace);

} // namespace upkeep
