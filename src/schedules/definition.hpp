// A schedule: what to enqueue at each of its runs. All of it stands in pg_cron's table, in the command that it runs:
//
//      do language jobs_ext $jobs_ext${"name": "nightly", "job_type": "report", …}$jobs_ext$
//
// Nothing of it is kept elsewhere. So ROLLBACK, a dump and cron.alter_job() need no care of ours: there is no second
// copy that could differ. The role that owns the row of pg_cron's may write any command there; a run therefore checks
// the definition as if a caller gave it, and runs as that role.
#pragma once

#include "job/new_job.hpp"
#include "store/types.hpp"

namespace schedules {

// The parts of a schedule, as the caller gave them and as the view shows them. They are checked when recurring() makes
// a Recurring of them.
struct Definition {
    pg::Nullable name, job_type, input_payload, priority, options;
};
inline constexpr call::Field<Definition> definition_fields[] = {
    {"name", TEXTOID, &Definition::name},
    {"job_type", TEXTOID, &Definition::job_type},
    {"input_payload", JSONBOID, &Definition::input_payload, call::anything, call::null_is_value},
    {"priority", INT4OID, &Definition::priority},
    {"options", JSONBOID, &Definition::options, call::anything, call::null_is_value},
};

// A Definition that was checked, as a run needs it.
struct Recurring {
    Datum name;
    job::NewJob job;
    std::optional<store::Microseconds> expires_in; // after the run; null: the job does not expire
    bool pile_up = false;                          // whether a run makes a job while that of the run before still waits
};

// Raises 22023 for a name, an option or a value that cannot be, PT413 for one that is too large. What depends on the
// tables, such as the type, is checked when a job is made (make_run).
Recurring recurring(const Definition &given);

// The job of a run that takes place now, with {"schedule": name} in its metadata. Raises what job::make_row() raises,
// and PT413 where the metadata with that mark is too large.
store::Row make_run(store::Jobs &jobs, const Recurring &schedule);

// The name that the schedule has in cron.job, "jobs_ext: <name>": other jobs of the role have names there too.
Datum cron_name(Datum name);

// The command that runs the schedule. read_cron_command() gives back what it was made of: text in it cannot end the
// dollar quote.
Datum cron_command(const Definition &definition);
// What the command was made of; null where it is not ours, or was altered so that it cannot be read. It raises nothing
// for that, because one such row must not hide the other schedules from the view; costs a subtransaction.
std::optional<Definition> read_cron_command(Datum command);
// Both raise 22023 for what is no definition; parse_definition() raises 22P02 for what is no JSON.
Definition parse_definition(const char *json);
Definition read_definition(Datum json);

// How every command of ours begins, and no other. It names the language and no function: after DROP EXTENSION a role
// that may create a schema could make a function of our names, which pg_cron would call as each scheduler. A language
// only a superuser can make (sql/parts/46_scheduling.sql).
inline constexpr char cron_command_begin[] = "do language jobs_ext $jobs_ext$";

} // namespace schedules
