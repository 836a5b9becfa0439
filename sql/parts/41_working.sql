-- What a worker calls. Each verb on a job begins with (id, lease_id), the fence that the claim gave.

create function public.job_claim(
  job_types text[] default null,
  max_jobs integer default 1,
  worker text default null,
  lease interval default null,
  wait interval default null,
  job_category text default null,
  options jsonb default '{}'
) returns setof public.job
language c volatile parallel unsafe rows 10 as 'MODULE_PATHNAME';
comment on function public.job_claim is
'Takes the best jobs that are due: priority high to low, then due time, then age.

job_types: these types only; null: any. job_category: types of this category only; null: any. max_jobs: 1 to 10000. '
'worker: a name for who works, shown in jobs_running. lease: how long the jobs are the caller''s without a heartbeat; '
'null: the type''s, else jobs_ext.default_lease. wait: how long to wait for a job when none is due, at most '
'jobs_ext.max_wait; null: not at all. The wait ends, without a job, half a second before statement_timeout, when the '
'client has closed its connection, and when job_release_worker names its worker. A transaction that has written or is '
'not READ COMMITTED does not wait, which a NOTICE says once in a session. options: must be empty.

Returns the jobs, now in_progress, each with a new lease_id and one more attempt; no row when nothing is due or came. '
'Raises 22023 for a bad argument, 42501 when not allowed or under row level security.';

create procedure public.job_await(
  inout jobs jsonb default null,
  job_types text[] default null,
  max_jobs integer default 1,
  worker text default null,
  lease interval default null,
  wait interval default '10 minutes',
  job_category text default null,
  options jsonb default '{}'
)
language c as 'MODULE_PATHNAME';
comment on procedure public.job_await is
'job_claim for a worker that waits for long: CALLed outside of a transaction block it sleeps for hours, if asked to, '
'and holds back no vacuum.

jobs: becomes the answer; what is given counts for nothing. job_types, max_jobs, worker, lease, job_category, options: '
'as in job_claim. wait: how long to wait for a job when none is due; null: not at all.

It commits before it sleeps, as COMMIT does, and claims in a new transaction: in a CALL by itself, and in a procedure '
'or DO block that is called so, outside of a block with EXCEPTION, and has written nothing so far. Cursors, locks and '
'SET LOCAL of that procedure end with its transaction. statement_timeout bounds the whole call, which ends half a '
'second before it, and jobs_ext.max_wait does not. Anywhere else, and in a loop over what '
'is no query, writes or locks rows, it commits nothing, and waits as job_claim does. What ends a wait of job_claim '
'ends this one. A session that has said LISTEN hears nothing meanwhile, and keeps the notifications of the whole '
'server from being removed: it waits no longer than jobs_ext.max_wait, which a NOTICE says once in a session.

Returns in jobs an array of the jobs, each with the columns that job_claim returns; [] when nothing is due or came. '
'Raises what job_claim raises; 42501 too when SET LOCAL ROLE ends with the transaction, or when the role may no longer '
'execute this procedure when it is woken; 54000 when the jobs together '
'are too large for jsonb: ask for fewer.';

create function public.job_heartbeat(
  id uuid,
  lease_id uuid,
  progress jsonb default null,
  lease interval default null
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_heartbeat is
'Says that the work goes on, and renews the lease.

id, lease_id: from the claim. progress: replaces the job''s progress; null: as it is. lease: the lease ends this long '
'from now; null: the type''s lease, renewed once half of it is spent.

Returns the job''s state: lease_expires_at is what holds, cancel_requested_at, when set, tells the worker to stop. '
'Raises PT404 for an unknown job, PT409 when the lease is lost, PT413 when progress is too large, 22023 for a bad '
'argument, 42501 when not allowed.';

create function public.job_heartbeat_many(
  leases jsonb,
  lease interval default null
) returns setof public.job_state
language c volatile parallel unsafe rows 100 as 'MODULE_PATHNAME';
comment on function public.job_heartbeat_many is
'job_heartbeat for many jobs in one call.

leases: an array of at most jobs_ext.max_batch objects {"id", "lease_id", "progress"}, of which progress may be left '
'out. lease: as in job_heartbeat.

Returns one state for each lease, in order. One without lease_id is lost: the job ended or is another worker''s (without
status as well: it is not there any more, or the element is malformed). A progress that is too large is dropped, and '
'the lease renewed. A NOTICE says so, and what is wrong with a malformed element. Raises 22023 when leases is no '
'array, PT413 when it has too many elements, 42501 when not allowed.';

create function public.job_complete(
  id uuid,
  lease_id uuid,
  result jsonb default null
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_complete is
'Ends a job as completed.

id, lease_id: from the claim. result: what it gave.

Returns the job''s state; the same call again returns it again. Raises PT404 for an unknown job, PT409 when the lease '
'is lost, PT413 when result is too large, 22023 for a bad argument, 42501 when not allowed.';

create function public.job_fail(
  id uuid,
  lease_id uuid,
  error_message text default null,
  run_at timestamptz default null,
  permanent boolean default false,
  error_details jsonb default null
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_fail is
'Says that this attempt failed: the job is tried again later, or ends as failed when its retries are spent.

id, lease_id: from the claim. error_message: for people; cut at 64 kB. run_at: when to try again; null: by the backoff '
'of the type. permanent: true: never again. error_details: for programs, kept in job_attempts.

Returns the job''s state: pending with run_at, or failed; cancelled when that had been requested. The same call again '
'returns it again. Raises PT404 for an unknown job, PT409 when the lease is lost, PT413 when error_details is too '
'large, 22023 for a bad argument, 42501 when not allowed.';

create function public.job_release(
  id uuid,
  lease_id uuid,
  run_at timestamptz default null
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_release is
'Gives a job back without spending a retry: a worker that shuts down, or a job that had better run later.

id, lease_id: from the claim. run_at: not before this time; null: now.

Returns the job''s state; the same call again returns it again. Raises PT404 for an unknown job, PT409 when the lease '
'is lost, 22023 for a bad argument, 42501 when not allowed.';

create function public.job_await_children(
  id uuid,
  lease_id uuid
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_await_children is
'Gives a job back until its children, the jobs that name it in parent_job_id, have ended: without a worker, a lease, a '
'time limit or a retry spent it is blocked, and then queued again, to be claimed for one more attempt.

id, lease_id: from the claim. progress stays, for the worker that goes on; job_children has what came of the children.

Only direct children count, those too that are added while it waits. Ended are those that completed, failed or were '
'cancelled, and those that were deleted or name another parent now; one that waits for a retry has not. A child that '
'job_retry brings back before the job is queued is waited for, a later one is not. The worker of the database queues '
'the job within a moment of the last end; where there is none, job_maintain does.

Returns the job''s state: blocked; queued when no child is left already; cancelled when that had been requested. The '
'same call again returns it again. job_cancel ends a blocked job at once, and leaves its children as they are. Raises '
'PT404 for an unknown job, PT409 when the lease is lost, 22023 for a bad argument, 42501 when not allowed.';

create function public.job_next(
  id uuid,
  lease_id uuid,
  result jsonb default null,
  job_types text[] default null,
  worker text default null,
  lease interval default null,
  job_category text default null
) returns setof public.job
language c volatile parallel unsafe rows 1 as 'MODULE_PATHNAME';
comment on function public.job_next is
'Completes a job and claims the next one, in one transaction. Never waits.

id, lease_id, result: as in job_complete. job_types, worker, lease, job_category: as in job_claim.

Returns the next job, or no row when nothing is due. Raises what job_complete and job_claim raise; then neither was '
'done.';

create function public.job_finish_many(outcomes jsonb)
returns table (id uuid, outcome text, sqlstate text, status text)
language c volatile parallel unsafe rows 100 as 'MODULE_PATHNAME';
comment on function public.job_finish_many is
'Completes, fails and releases many jobs in one call.

outcomes: an array of at most jobs_ext.max_batch objects {"id", "lease_id"} with one of the keys "complete" (the '
'result), "fail" (an object with the other parameters of job_fail) and "release" (an object with those of job_release).

Returns one row for each, in order: what was asked for (outcome), the SQLSTATE that the single call would have raised '
'or null when it took effect, and the job''s status now. What was stale, malformed or too large says so, the others '
'take effect; a NOTICE says what is wrong with a malformed element, whose id is null where it cannot be read. Raises '
'22023 when outcomes is no array, PT413 when it has too many elements, 42501 when not allowed; what a trigger on jobs '
'raises is raised, and then nothing took effect.';

create function public.job_release_worker(worker text) returns integer
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_release_worker is
'Gives back at once all the jobs that a worker holds, without spending retries, and ends its claims that wait for a '
'job: a worker that is known to be dead.

worker: the name it claimed with. A claim of that name that is taking a job at this very moment still gets it.

Returns how many jobs there were. Raises 22023 for a null or empty name, 42501 when not allowed.';
