-- What the tables and views themselves call. The trigger functions check which table fires them.

create function jobs_ext.uuid_v7() returns uuid
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.uuid_v7() is
'A new UUID of version 7: sorted by the time it was made.';

create function jobs_ext.rebuild_queue() returns bigint
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.rebuild_queue() is
'Builds the private tables anew from public.jobs, which nobody can write meanwhile. Never needed in normal work: whoever needs them after a restore does it.

Returns how many jobs are queued. Raises 42501 when not allowed, 42804 when public.jobs was altered so that it can''t be used.';

create function jobs_ext.active_jobs() returns setof public.job
language c stable parallel unsafe rows 1000 as 'MODULE_PATHNAME';
comment on function jobs_ext.active_jobs() is
'The waiting and running jobs that the caller may see, by way of the queue and not of the whole table. The view jobs_active.';

create function jobs_ext.running_jobs() returns setof public.job
language c stable parallel unsafe rows 100 as 'MODULE_PATHNAME';
comment on function jobs_ext.running_jobs() is
'The running jobs that the caller may see. The view jobs_running.';

create function jobs_ext.failed_jobs() returns setof public.job
language c stable parallel unsafe rows 1000 as 'MODULE_PATHNAME';
comment on function jobs_ext.failed_jobs() is
'The failed jobs that the caller may see, newest first. The views jobs_failed and jobs_failed_summary.';

create function jobs_ext.jobs_before_row() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.jobs_before_row() is
'Trigger on public.jobs: fills in what the server owns and refuses illegal transitions (PT409).';

create function jobs_ext.jobs_after_row() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.jobs_after_row() is
'Trigger on public.jobs: keeps the private tables in step with what was really written.';

create function jobs_ext.jobs_after_truncate() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.jobs_after_truncate() is
'Trigger on public.jobs: empties the private tables.';

create function jobs_ext.job_types_changed() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.job_types_changed() is
'Trigger on public.job_types: tells every session that it has to read the types again.';
