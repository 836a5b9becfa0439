// pg_cron as this extension sees it: whether it works in this database, what its version takes, when it runs a
// schedule, and its table cron.job.
//
// All is read as the caller, and written by pg_cron's own functions: its row security and grants decide. pg_cron may be
// dropped, updated or configured anew at any time, so nothing of it is remembered from call to call.
#pragma once

#include "logic/cron_schedule.hpp"
#include "pg/function.hpp"

namespace schedules::pg_cron {

// Whether the caller can read cron.job: the extension is in this database, and the caller may use its schema.
bool is_pg_cron_installed();

// Raises 0A000, with a hint at what there is to do, unless pg_cron runs the schedules of this database; 42501 for a
// caller without USAGE on its schema.
void require_usable();

// Raises 42501 for a caller as whom pg_cron could not run a schedule: a role without LOGIN, or without USAGE on the
// language jobs_ext, in which each schedule is a DO block.
void require_runnable();

// Raises 0A000 for a kind of schedule that the pg_cron of this server does not know. `schedule` is the text, for the
// message.
void require_known(const logic::Cron &cron, const char *schedule);

// The first run after this instant, by a calendar in cron.timezone (else GMT). Nothing: there is none within 41 years,
// or the schedule is no calendar (an interval, @reboot).
std::optional<TimestampTz> next_run(const logic::Cron &cron, TimestampTz after);

// Makes the caller's job of this name (text), or replaces it. Returns the number that pg_cron gave it. Raises 42710 if
// the caller has a job of this name whose command does not begin with `begins`; what cron.schedule() raises besides.
//
// A session of the same role that makes such a job between the check and cron.schedule() has it replaced: the check
// guards against mistakes, and that role could replace the job anyway.
std::int64_t schedule(Datum job_name, Datum schedule, Datum command, Datum begins);

// Removes the caller's job of this name if its command begins with `begins`. False: there was none.
bool unschedule(Datum job_name, Datum begins);

} // namespace schedules::pg_cron
