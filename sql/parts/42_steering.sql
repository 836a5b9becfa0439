-- What operators call; job_cancel also producers. A job is named by id or by job_id, exactly one of them.

create function public.job_cancel(
  id uuid default null,
  job_id text default null,
  reason text default null,
  force boolean default false
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_cancel is
'Cancels a job: a waiting, paused or blocked one at once, a running one by asking its worker to stop; one that is '
'cancelled stays so.

id or job_id: the job. reason: kept as its error_message. force: cancel a running job now; its worker''s next call is '
'PT409.

Returns the job''s state: cancelled, or still in_progress with cancel_requested_at, which the worker''s heartbeat '
'shows. Then a success stays a success; a failure or a lost lease ends as cancelled. Raises PT404 for an unknown job, '
'PT409 when it has ended otherwise, 22023 for neither or both of id and job_id, 42501 when not allowed.';

create function public.job_retry(
  id uuid default null,
  job_id text default null,
  run_at timestamptz default null
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_retry is
'Queues a failed or cancelled job again, with all its retries.

id or job_id: the job. run_at: not before this time; null: now. Under row security a time in the past is now.

Returns the job''s state: queued. Raises PT404 for an unknown job, PT409 for a job that is neither failed nor '
'cancelled or is archived, 22023 for a bad argument, 42501 when not allowed.';

create function public.job_pause(
  id uuid default null,
  job_id text default null
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_pause is
'Holds a waiting job back until job_resume; one that is paused stays so.

id or job_id: the job.

Returns the job''s state: paused. Raises PT404 for an unknown job, PT409 for a job that is not waiting (cancel a '
'running or blocked one), 22023 for neither or both of id and job_id, 42501 when not allowed.';

create function public.job_resume(
  id uuid default null,
  job_id text default null,
  run_at timestamptz default null
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_resume is
'Queues a paused job; one that waits stays as it is.

id or job_id: the job. run_at: not before this time; null: the time it had. Under row security a time in the past is '
'now.

Returns the job''s state: queued. Raises PT404 for an unknown job, PT409 for a job that runs, is blocked or has '
'ended, 22023 for a bad argument, 42501 when not allowed.';

create function public.job_pause_all(reason text default null) returns boolean
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_pause_all is
'Stops the whole queue of this database until job_resume_all(): no job is claimed, whatever its type. Enqueueing goes '
'on, and so does what runs: its workers finish, leases and limits end as ever. The pause is part of a dump.

reason: shown by jobs_ext.maintenance.

Returns whether this call paused it; false: it was paused already, and the reason given then stays. Raises 42501 when '
'not allowed.';

create function public.job_resume_all() returns boolean
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_resume_all is
'Lets the whole queue go on after job_pause_all(), or after a restore under jobs_ext.pause_after_restore. Types and '
'jobs that were paused by themselves stay so.

Returns whether it was paused. Raises 40001 outside READ COMMITTED, 42501 when not allowed.';

create function public.job_type_set(
  job_type text,
  description text default null,
  job_category text default null,
  max_retries integer default null,
  backoff text default null,
  retry_delay_ms integer default null,
  retry_delay_max interval default null,
  lease interval default null,
  timeout interval default null,
  keep_completed interval default null,
  keep_failed interval default null,
  paused boolean default null,
  keep_attempts text default null,
  payload_schema jsonb default null
) returns public.job_type_settings
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_type_set is
'Creates a job type or changes its settings.

Null leaves what is set; update public.job_types set a column to null to take it away. job_type: its name. '
'job_category: a name for a group of types. max_retries: runs after the first one, 1000 at most. backoff: exponential, '
'linear or fixed. retry_delay_ms: milliseconds before the first retry. retry_delay_max: no retry waits longer. lease: '
'how long a claim holds without a heartbeat. timeout: how long one attempt may take. keep_completed, keep_failed: how '
'long a job that ended stays in public.jobs before it is archived; zero: it is deleted by the next round of '
'maintenance, not archived. paused: none of its jobs is claimed. keep_attempts: failed, or all, which has an attempt '
'that succeeds leave a row in public.job_attempts too. payload_schema: a JSON Schema of input_payload, an object, for '
'people and clients; the server does not check payloads by it.

Returns the settings that hold now. Raises 22023 for a bad argument, 42501 when not allowed.';

create function public.job_maintain() returns jsonb
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_maintain is
'One round of maintenance, for servers without the background worker: call it every few seconds.

Fails attempts whose lease or run-time limit ran out; cancels jobs that had to be started by now; queues jobs whose '
'children have ended; moves jobs that ended long ago to public.jobs_archive, or deletes them, as their types say; '
'makes the next months of the archive and drops those that are older than jobs_ext.archive_keep. Whatever triggers '
'and constraints of the user''s that concerns runs as the owner of public.jobs. It sets all constraints immediate '
'until the end of the transaction. Partitions are neither made nor dropped inside a transaction block, since their '
'locks would last until its end.

Returns an object that counts what it did: leases_reaped and timeouts_reaped, of which retried, failed and '
'cancelled; expired; unblocked; archived; deleted; partitions_dropped; erased: rows of organisations; set_aside: jobs '
'that made it fail, shown by jobs_ext.jobs_set_aside; left: what could not be done now, mostly jobs that somebody '
'else holds; errors: tasks that failed as a whole, each with a warning; more: whether something is left for the next '
'round. Raises 42501 when not allowed.';
