-- Recurring jobs, on pg_cron: its table holds all of a schedule, as the command that it runs. The C code checks that
-- pg_cron is there before it names anything of it.

create function public.job_schedule(
  name text,
  schedule text,
  job_type text,
  input_payload jsonb default '{}',
  priority integer default 0,
  options jsonb default '{}'
) returns bigint
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_schedule is
'Enqueues a job again and again, by pg_cron, as the role that calls this. The same name again replaces the schedule.

Null means the default everywhere but in name, schedule and job_type.
name: 1 to 53 bytes; each role has names of its own. schedule: five fields (minute, hour, day of the month, month, day '
'of the week) as in "*/5 8-18 * * mon-fri", in GMT unless cron.timezone says otherwise; or @hourly, @daily, @weekly, '
'@monthly, @yearly, @reboot; with pg_cron 1.5 "10 seconds"; with 1.6 $ for the last day of the month. job_type, '
'input_payload, priority: as in job_enqueue.
options: an object with max_retries, retry_delay_ms, job_category, organisation_id, restaurant_id, created_by, '
'metadata as in job_enqueue; expires_in, an interval: a job not started by then ends as cancelled; pile_up, true: also '
'while the job of the run before still waits, which else is left out and counted. Each job has {"schedule": name} in '
'its metadata.

Returns pg_cron''s number of it, cron.job.jobid. Raises what job_enqueue raises for such a job; 22023 also for a '
'malformed schedule or an unknown option; 0A000 when pg_cron does not run in this database or is too old for the '
'schedule; 42710 when cron.job has a job "jobs_ext: <name>" of another kind; 42501 when not allowed, also by pg_cron. '
'Nothing is changed then.';

create function public.job_unschedule(name text) returns boolean
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_unschedule is
'Ends a schedule of the role that calls this. Jobs that it enqueued stay.

name: as in job_schedule.

Returns whether there was one. Raises 22023 for a null name, 0A000 when pg_cron does not run in this database, 42501 '
'when not allowed.';

create function jobs_ext.run_schedule(definition jsonb) returns uuid
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.run_schedule(jsonb) is
'One run of a schedule, as pg_cron does it by "do language jobs_ext": enqueues its job as the caller, unless the job '
'of the run before is still pending, queued or paused.

definition: an object with the parameters of job_schedule but schedule.

Returns the job''s id; null when it was left out. Raises what job_enqueue raises.';

-- What pg_cron runs is "do language jobs_ext …", with the definition as its text. A schedule is pg_cron's and outlives
-- the extension; then whoever may create on the database could make a schema and a function of our names, which pg_cron
-- would call as every scheduler. But only a superuser makes a language, so that without the extension there is none,
-- and no look at the catalogs comes too early or too late.
create function jobs_ext.language_handler() returns language_handler
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.language_handler() is
'Of the language jobs_ext, in which there are no functions. Raises 0A000.';

create function jobs_ext.language_validator(function oid) returns void
language c volatile parallel unsafe as 'MODULE_PATHNAME', 'language_handler';
comment on function jobs_ext.language_validator(oid) is
'Of the language jobs_ext, in which there are no functions. Raises 0A000.';

create function jobs_ext.run_inline(definition internal) returns void
language c volatile strict parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.run_inline(internal) is
'One run of a schedule, called by pg_cron as: do language jobs_ext ''definition''. As jobs_ext.run_schedule().';

create trusted language jobs_ext
  handler jobs_ext.language_handler inline jobs_ext.run_inline validator jobs_ext.language_validator;
comment on language jobs_ext is
'What pg_cron runs for a schedule of job_schedule(): a definition in JSON, as run_schedule() takes it';

create function jobs_ext.scheduled_jobs()
returns table (
  name text, schedule text, job_type text, input_payload jsonb, priority integer, options jsonb, active boolean,
  database text, username text, last_run_at timestamptz, last_status text, last_message text, last_job uuid,
  skipped bigint, next_run_at timestamptz)
language c stable parallel unsafe rows 10 as 'MODULE_PATHNAME';
comment on function jobs_ext.scheduled_jobs() is
'The schedules that cron.job shows to the caller; none where pg_cron is missing. The view jobs_schedules.';
