-- The steps of a job: set by its producer or its worker, done by the worker, decided on by people.

create function public.job_steps_set(
  id uuid,
  steps jsonb,
  lease_id uuid default null
) returns setof public.job_step
language c volatile parallel unsafe rows 10 as 'MODULE_PATHNAME';
comment on function public.job_steps_set is
'Sets the steps of a job. A step that has begun stays as it is, whatever is given, so a worker may call this at the '
'start of each attempt; pending ones become what is given, or go where they are not given. jobs.total_steps follows.

id: the job. steps: an array of at most 1000 objects {"step_number", "step_name", "description", "step_type", '
'"metadata"}; step_name must be there. step_number: 1 to 1000, each once; left out: the place in the array. step_type: '
'automatic (default) or action_required. lease_id: from the claim; null for a job that does not run, whose producer '
'may set its steps.

Returns all steps of the job, in order. Raises 22023 with the element that is malformed, PT404 for an unknown job, '
'PT409 when the lease is lost, the job runs and no lease_id is given, or it has ended, PT413 when metadata is too '
'large, 42501 when not allowed.';

create function public.job_step_start(
  id uuid,
  lease_id uuid,
  step_number integer
) returns public.job_step
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_step_start is
'Begins a step, or begins a failed one or one of an earlier attempt again. jobs.current_step follows.

id, lease_id: from the claim. step_number: which one.

Returns the step: in_progress when it is to be done now; completed, with its result and decision, when it was done '
'before and must be skipped; action_required when a person has not decided yet: job_step_await it again. Raises PT404 '
'for an unknown job or step, PT409 when the lease is lost, 22023 for a bad argument, 42501 when not allowed.';

create function public.job_step_complete(
  id uuid,
  lease_id uuid,
  step_number integer,
  result jsonb default null,
  received integer default null,
  processed integer default null,
  passed integer default null,
  failed integer default null,
  metadata jsonb default null
) returns public.job_step
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_step_complete is
'Completes a step. It is never run again, neither by this attempt nor by a later one.

id, lease_id: from the claim. step_number: which one. result: what the steps after it, and later attempts, need of it. '
'received, processed, passed, failed: how many records; null: as it was. metadata: replaces the step''s, an object; '
'null: as it was.

Returns the step. One that is completed already is returned as it is. Raises PT404 for an unknown job or step, PT409 '
'when the lease is lost or the step waits for a decision, PT413 when result or metadata is too large, 22023 for a bad '
'argument, 42501 when not allowed.';

create function public.job_step_fail(
  id uuid,
  lease_id uuid,
  step_number integer,
  error_message text default null,
  received integer default null,
  processed integer default null,
  passed integer default null,
  failed integer default null,
  metadata jsonb default null
) returns public.job_step
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_step_fail is
'Says that a step failed. The job goes on: job_fail, with or without a retry, is the worker''s to call. The step '
'may be begun again.

id, lease_id: from the claim. step_number: which one. error_message: what went wrong; more than 64 kB is cut. '
'received, processed, passed, failed, metadata: as in job_step_complete.

Returns the step. Raises PT404 for an unknown job or step, PT409 when the lease is lost, or the step is completed or '
'waits for a decision, PT413 when metadata is too large, 22023 for a bad argument, 42501 when not allowed.';

create function public.job_step_await(
  id uuid,
  lease_id uuid,
  step_number integer,
  metadata jsonb default null
) returns public.job_step
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_step_await is
'Has a person decide on a step: it is action_required, and the job paused, without a worker, a lease or a retry spent, '
'until job_step_resolve. In one transaction; the attempt is on record as released.

id, lease_id: from the claim. step_number: which one. metadata: replaces the step''s, an object, for the person to '
'see; null: as it was.

Returns the step: action_required when the worker must drop the job now; completed, with its decision, when somebody '
'has decided before: the job goes on. The same call again returns it again. A job that was asked to stop is cancelled '
'instead of paused. Raises PT404 for an unknown job or step, PT409 when the lease is lost, PT413 when metadata is too '
'large, 22023 for a bad argument, 42501 when not allowed.';

create function public.job_step_resolve(
  id uuid,
  step_number integer,
  decision jsonb
) returns public.job_step
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_step_resolve is
'Decides on a step that is action_required: it is completed, and the job that is paused for it queued again. For who '
'may update the job: a producer, or a member of its organisation under row level security.

id: the job. step_number: which step. decision: any JSON, for the worker. decided_by becomes sub of the JWT.

Returns the step. The same decision again returns it again. A job that job_resume has let go on stays as it is. Raises '
'PT404 for an unknown job or step, PT409 for a step that waits for no decision or was decided otherwise, and when the '
'job has ended, PT413 when decision is too large, 22023 for a bad argument, 42501 when not allowed.';
