// pg_cron, seen from here: whether it works in this database, what its version takes, when it runs what, and its table
// `cron.job`, read and written as the caller.
#pragma once

#include "logic/cron_schedule.hpp"
#include "pg/function.hpp"

namespace schedules::pg_cron {

// Whether there may be schedules to see.
bool is_pg_cron_installed();

// 0A000, with what there is to do, unless pg_cron runs the schedules of this database; 42501 for a caller who may not
// use it.
void require_usable();

// 42501 for a caller as whom pg_cron could not run a schedule.
void require_runnable();

// 0A000 for a kind of schedule that is newer than pg_cron here.
void require_known(const logic::Cron &cron, const char *schedule);

// When pg_cron comes to it after this instant, on a clock of the zone in which it reads schedules.
std::optional<TimestampTz> next_run(const logic::Cron &cron, TimestampTz after);

// Makes the caller's job of this name, or replaces it: the number that pg_cron gave it. 42710 when one is there that
// does not begin like ours.
std::int64_t schedule(Datum job_name, Datum schedule, Datum command, Datum begins);

// Removes the caller's job of this name that begins like ours. False: there was none.
bool unschedule(Datum job_name, Datum begins);

} // namespace schedules::pg_cron
