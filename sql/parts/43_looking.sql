-- What everybody may call who may see jobs at all; each caller sees the rows that row level security shows.

create function public.job_get(
  id uuid default null,
  job_id text default null
) returns setof public.job
language c stable parallel unsafe rows 1 as 'MODULE_PATHNAME';
comment on function public.job_get is
'One job, also an archived one.

id or job_id: the job.

Returns the job, or no row when there is none that the caller may see. Raises 22023 for neither or both of id and '
'job_id, 42501 when not allowed.';

create function public.job_list(
  status text default null,
  job_type text default null,
  organisation_id uuid default null,
  restaurant_id uuid default null,
  max_rows integer default 50,
  skip_rows integer default 0,
  before timestamptz default null
) returns setof public.job
language c stable parallel unsafe rows 50 as 'MODULE_PATHNAME';
comment on function public.job_list is
'The newest jobs that match, newest first.

status, job_type, organisation_id, restaurant_id: jobs with this value; null: any. max_rows: at most so many. '
'skip_rows: leave out so many first. before: jobs created before this time; the created_at of the last row of a page '
'gives the next one.

Returns the jobs. Raises 22023 for a bad argument, 42501 when not allowed.';

create function public.job_children(id uuid) returns setof public.job
language c stable parallel unsafe rows 100 as 'MODULE_PATHNAME';
comment on function public.job_children is
'The jobs that name this one in parent_job_id, archived ones too, in the order in which they were created.

id: the parent, which may be gone itself.

Returns the jobs, with status, result and error_message: what a job that waited for them (job_await_children) goes on '
'with. No row where there is none that the caller may see. Raises 22023 for a null id, 42501 when not allowed.';

create function public.job_stats(job_type text default null) returns setof public.job_type_stats
language c stable parallel unsafe rows 100 as 'MODULE_PATHNAME';
comment on function public.job_stats is
'What the queue does: for each job type how many jobs wait, are due and run, how many were enqueued, claimed, '
'completed and so on, in all and of late, and how long they waited and ran. It reads no more of a long queue than of a '
'short one.

job_type: this type alone; null: all.

Returns a row for each type, by its name; the type job_type_stats says what is in its columns. Counted is what has '
'committed, by whatever way, but for what was prepared (PREPARE TRANSACTION). It is counted in shared memory, and '
'written down at a shutdown and each jobs_ext.statistics_interval: a crash of the server loses what came since. Under '
'row security a row for each type of which the caller sees unfinished jobs, with those that it sees in waiting, due, '
'running and oldest_due, and null in the columns that count everybody''s. So it is, with a NOTICE, on a standby, where '
'the library is not in shared_preload_libraries, and for types beyond jobs_ext.max_counted_types. Raises 42501 when '
'not allowed.';

create function public.job_wait(
  id uuid default null,
  job_id text default null,
  wait interval default '5 seconds'
) returns setof public.job
language c volatile parallel unsafe rows 1 as 'MODULE_PATHNAME';
comment on function public.job_wait is
'Waits until a job has ended.

id or job_id: the job. wait: how long at most; jobs_ext.max_wait, under row security jobs_ext.max_wait_authenticated '
'(2 s), and half a second before statement_timeout, cut it short. It does not wait in a transaction that has '
'written or is not READ COMMITTED, which a NOTICE says once in a session. Where jobs_ext.max_waiters sleep already it '
'looks ten times a second.

Returns the job as soon as it is completed, failed or cancelled, or as it stands at the end of the wait; no row when '
'it was deleted meanwhile. Raises PT404 for an unknown job, 22023 for neither or both of id and job_id or a bad '
'interval, 42501 when not allowed.';
