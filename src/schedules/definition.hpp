// A schedule: what to enqueue at each of its runs. All of it stands in pg_cron's table, as a command that anybody can
// read; nothing of it is kept elsewhere.
#pragma once

#include "job/new_job.hpp"
#include "store/types.hpp"

namespace schedules {

// Its parts as they are given and as they are shown; what they must be is seen when a Recurring is made of them.
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

struct Recurring {
    Datum name;
    job::NewJob job;
    std::optional<store::Microseconds> expires_in;
    bool pile_up = false;
};

// 22023 for a name or options that cannot be; what concerns the job alone is seen when one is made.
Recurring recurring(const Definition &given);

// The job of a run that takes place now.
store::Row make_run(store::Jobs &jobs, const Recurring &schedule);

// The name that the schedule has in cron.job.
Datum cron_name(Datum name);

// The command that runs it.
Datum cron_command(const Definition &definition);
// What the command was made of; nothing, if it is not ours or was altered so that it cannot be read.
std::optional<Definition> read_cron_command(Datum command);
// 22023 for what is no definition, 22P02 for what is no JSON.
Definition parse_definition(const char *json);
Definition read_definition(Datum json);

// Of every command of ours, and of no other. By the language, which nobody but a superuser could put in the place of
// ours: see 46_scheduling.sql.
inline constexpr char cron_command_begin[] = "do language jobs_ext $jobs_ext$";

} // namespace schedules
