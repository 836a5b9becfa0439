-- The API: one C function each, no overloads, since PostgREST and people call them by name.
--
-- None of them has a SET clause. The C code resolves no name through search_path: its tables it opens by schema and
-- name, its statements are qualified. Setting search_path anyway would cost each call more than many of them take, and
-- a trigger or a check that the user puts on public.jobs would see it, where it should see the caller's.

create function public.job_enqueue(
  job_type text,
  input_payload jsonb default '{}',
  priority integer default 0,
  run_at timestamptz default null,
  max_retries integer default null,
  retry_delay_ms integer default null,
  job_id text default null,
  job_key text default null,
  job_category text default null,
  organisation_id uuid default null,
  restaurant_id uuid default null,
  created_by uuid default null,
  parent_job_id uuid default null,
  metadata jsonb default '{}',
  expires_at timestamptz default null,
  options jsonb default '{}'
) returns public.job_state
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function public.job_enqueue is
'Creates a job.

Null means the default everywhere but in job_type.
job_type: a type of public.job_types. input_payload: an object that the worker gets. priority: -10 (last) to 10 '
'(first). run_at: not before this time; default now, which a time in the past is under row security. max_retries: '
'runs after the first one, 1000 at most; under row security no more than the type''s. retry_delay_ms: milliseconds '
'before the first retry. These two and job_category come from the type by default.
job_key: the idempotency key, 1 to 255 characters, for as long as the job is in public.jobs: the same one again, for '
'the same organisation and type, gives back the job that is there, with created = false, whatever else the call says '
'(a payload, an expires_at that has passed, a parent that is gone).
job_id: 1 to 100 characters that address the job, unique over all organisations, so that it tells them when it is '
'taken. Given twice it works as a key too, for the same type and organisation. With a job_key, which decides first, '
'the job that is there must have this job_id. Default: made by the server.
organisation_id: default the claim org_id, or app_metadata.org_id, of the JWT, else the nil UUID. created_by: default '
'the claim sub, which is the only one allowed under row security; a claim that is no uuid counts as none. '
'parent_job_id: public.jobs.id of the job that this one is part of. metadata: an object of the caller''s. expires_at: '
'a job not started by then ends as cancelled. options: must be empty.

Returns the job''s state. Raises 22023 for a bad argument or an unknown type, PT409 when job_key or job_id belongs to '
'another job (of another type, and of job_id another organisation), PT413 when payload, metadata or the whole row is '
'too large, 42501 when not allowed.';

create function public.job_enqueue_many(jobs jsonb) returns setof public.job_state
language c volatile parallel unsafe rows 100 as 'MODULE_PATHNAME';
comment on function public.job_enqueue_many is
'Creates many jobs in one call: all of them or none.

jobs: an array of at most jobs_ext.max_batch objects, whose keys are the parameters of job_enqueue. A JSON null means '
'the default, as a key that is left out.

Returns their states in the same order. Raises what job_enqueue raises, with the number of the element in the message; '
'22023 also for an unknown key, PT413 also for too many elements.';
