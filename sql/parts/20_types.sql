-- The columns of public.jobs, in the order of their change: from this one list the type job, the table and its archive
-- are made. Postgres logs of an update that stays on its page only what follows the first byte that differs: so what
-- never changes stands first, the payload included, and what the end of a job writes stands last.
-- src/store/columns.hpp is the one list in C++; each call compares the two by name, and by type and place.
create function jobs_ext.columns_of_jobs(out name text, out type text, out modifiers text, out comment text)
returns setof record
language sql immutable set search_path = pg_catalog, pg_temp
as $$
  values
    -- what never changes
    ('id', 'uuid', 'default jobs_ext.uuid_v7() primary key',
     'Unique id, sorted by time (UUID version 7)'),
    ('job_id', 'varchar(100)', 'not null unique',
     'Human-readable unique job identifier that addresses the job, chosen by the client (e.g., '
      '"extract-ubereats-pizza-palace-20251209") or made by the server'),
    ('job_key', 'text', '',
     'Idempotency key of the client''s, unique within its organisation: enqueueing with it again gives this job'),
    ('job_type', 'varchar(50)', 'not null',
     'Type of job, one of job_types'),
    ('job_category', 'varchar(50)', '',
     'Group of job types, for reports; default: that of the type'),
    ('organisation_id', 'uuid', 'not null default ''00000000-0000-0000-0000-000000000000''',
     'Organisation that the job belongs to; the nil UUID: none'),
    ('restaurant_id', 'uuid', '',
     'Restaurant that the job is about'),
    ('created_by', 'uuid', '',
     'User who created the job'),
    ('parent_job_id', 'uuid', '',
     'For jobs that spawn sub-jobs (e.g., import multiple items): id of the spawning one'),
    ('created_at', 'timestamptz', 'not null default current_timestamp',
     'When the job was created, by the server''s clock'),
    ('priority', 'integer', 'not null default 0',
     'Job priority for queue ordering: -10 (lowest) to +10 (highest), 0 = normal'),
    ('max_retries', 'integer', 'not null default 3',
     'Maximum number of retries allowed before permanent failure: a job with 3 runs at most 4 times'),
    ('retry_delay_ms', 'integer', 'not null default 1000',
     'Milliseconds before the first retry; later ones wait longer, by the backoff of the type'),
    ('input_payload', 'jsonb', '',
     'Job input parameters as JSONB, never changed - allows job reconstruction and audit trail'),
    ('metadata', 'jsonb', 'not null default ''{}''',
     'Job-specific metadata as JSONB - for storing custom fields per job type'),
    -- what seldom changes
    ('expires_at', 'timestamptz', '',
     'A job not started by then is cancelled'),
    ('total_steps', 'integer', '',
     'How many steps the job has in job_steps; null: none'),
    ('current_step', 'integer', '',
     'The step that was last begun, or that waits for a decision: a step_number of job_steps'),
    ('retries', 'integer', 'not null default 0',
     'Number of retry attempts granted so far; job_retry starts anew'),
    ('run_at', 'timestamptz', 'not null default current_timestamp',
     'Not to be started before this time: of a delayed job, or of the next retry'),
    -- what a claim writes
    ('attempt', 'integer', 'not null default 0',
     'How often the job was started; never reset'),
    ('started_at', 'timestamptz', '',
     'When the last attempt began; null while the job waits'),
    ('lease_id', 'uuid', '',
     'The last claim: whoever knows it while the job is in progress is its worker'),
    ('worker', 'text', '',
     'Name of the last worker'),
    -- what each move writes, and a heartbeat
    ('status', 'varchar(50)', 'not null default ''pending''',
     'Job status: pending (created, or waiting for its time), queued (ready), in_progress (executing), paused '
      '(held back), blocked (until its children have ended), completed (success), failed (permanently), cancelled '
      '(stopped by a user, or expired)'),
    ('updated_at', 'timestamptz', 'not null default current_timestamp',
     'When the row last changed'),
    ('lease_expires_at', 'timestamptz', '',
     'When the job is taken from its worker unless a heartbeat comes'),
    ('timeout_at', 'timestamptz', '',
     'When this attempt is given up, heartbeat or not'),
    ('heartbeat_at', 'timestamptz', '',
     'When the worker was last heard of'),
    ('cancel_requested_at', 'timestamptz', '',
     'When somebody asked a running job to stop'),
    ('progress', 'jsonb', '',
     'What the worker last said about its progress'),
    -- what the end writes
    ('finished_at', 'timestamptz', '',
     'When the job ended as completed, failed or cancelled; null before'),
    ('completed_at', 'timestamptz', '',
     'When the job completed; null in every other status'),
    ('cancelled_at', 'timestamptz', '',
     'When the job was cancelled'),
    ('execution_time_ms', 'integer', '',
     'Execution time of the last attempt in milliseconds (finished_at - started_at)'),
    ('error_message', 'text', '',
     'Human-readable message of the last failure or cancellation - useful for debugging'),
    ('result', 'jsonb', '',
     'Job output/results as JSONB - stores processed data, metrics, generated content, etc.')
$$;
comment on function jobs_ext.columns_of_jobs() is 'What public.jobs is made of: a row for each column, in order.';

-- As Postgres prints them, so that one that is there can be compared: src/store/user_objects.cpp and jobs_ext.adopt()
-- do. status::text, since a varchar in a list comes back from a dump in other words.
create function jobs_ext.checks_of_jobs(out name text, out expression text)
returns setof record
language sql immutable set search_path = pg_catalog, pg_temp
as $$
  values
    ('check_status', $c$((status)::text = ANY (ARRAY['pending'::text, 'queued'::text, 'in_progress'::text, $c$
                     || $c$'paused'::text, 'blocked'::text, 'completed'::text, 'failed'::text, 'cancelled'::text]))$c$),
    ('check_priority', $c$((priority >= '-10'::integer) AND (priority <= 10))$c$),
    ('check_retries', '((retries >= 0) AND (retries <= max_retries))'),
    ('check_retry_delay_ms', '(retry_delay_ms >= 0)'),
    ('check_attempt', '(attempt >= 0)'),
    ('check_started_timestamp', $c$
CASE
    WHEN ((status)::text = ANY (ARRAY['pending'::text, 'queued'::text])) THEN (started_at IS NULL)
    WHEN ((status)::text = ANY (ARRAY['in_progress'::text, 'completed'::text])) THEN (started_at IS NOT NULL)
    ELSE true
END$c$),
    ('check_completed_timestamp', $c$(((status)::text = 'completed'::text) = (completed_at IS NOT NULL))$c$),
    ('check_finished_timestamp',
     $c$(((status)::text = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) = $c$
     || $c$(finished_at IS NOT NULL))$c$),
    ('check_lease', $c$(((status)::text <> 'in_progress'::text) OR $c$
                    || $c$((lease_id IS NOT NULL) AND (lease_expires_at IS NOT NULL)))$c$)
$$;
comment on function jobs_ext.checks_of_jobs() is 'The constraints of public.jobs.';

-- No index over a column that a move of a job changes: a job is updated at least twice in its life, and these updates
-- are then heap-only ones. Ascending, though they are read backwards: new rows then go to the right end of each run,
-- which fills its pages.
create function jobs_ext.indexes_of_jobs(out name text, out is_unique boolean, out columns text[], out predicate text)
returns setof record
language sql immutable set search_path = pg_catalog, pg_temp
as $$
  values
    -- The key of an enqueue that may be repeated; without one a job is not in it, and pays nothing.
    ('idx_jobs_job_key', true, '{organisation_id,job_key}'::text[], 'job_key is not null'),
    ('idx_jobs_created_at', false, '{created_at}', null),
    ('idx_jobs_job_type', false, '{job_type,created_at}', null),
    ('idx_jobs_organisation_id', false, '{organisation_id,created_at}', null),
    ('idx_jobs_restaurant_id', false, '{restaurant_id,created_at}', 'restaurant_id is not null'),
    ('idx_jobs_created_by', false, '{created_by}', 'created_by is not null'),
    ('idx_jobs_parent_job_id', false, '{parent_job_id}', 'parent_job_id is not null')
$$;
comment on function jobs_ext.indexes_of_jobs() is 'The indexes of public.jobs besides those of id and job_id.';

-- What the functions return. A function can't return the row type of public.jobs, which a restore makes only after the
-- extension: so the type job has its columns, in the same order. install() refuses a table that lacks one of them.
do $$
begin
  execute format('create type public.job as (%s)',
    (select string_agg(format('%I %s', c.name, c.type), ', ' order by c.n)
     from jobs_ext.columns_of_jobs() with ordinality as c(name, type, modifiers, comment, n)));
end $$;
comment on type public.job is
'A job: the columns of public.jobs, where each is explained. Columns that a user added to the table are not in it.';

create type public.job_state as (
  id uuid,
  job_id text,
  job_type text,
  status text,
  attempt integer,
  retries integer,
  lease_id uuid,
  run_at timestamptz,
  lease_expires_at timestamptz,
  cancel_requested_at timestamptz,
  finished_at timestamptz,
  created boolean
);
comment on type public.job_state is
'What a caller needs to know of a job after a call: the columns of public.jobs of the same names, without payload and '
'result. "created" is null but for job_enqueue and job_enqueue_many: true for a new job, false for the one that had '
'this job_key or job_id already.';

create type public.job_step as (
  job uuid,
  step_number integer,
  step_name text,
  description text,
  step_type text,
  status text,
  received integer,
  processed integer,
  passed integer,
  failed integer,
  result jsonb,
  decision jsonb,
  decided_by uuid,
  error_message text,
  metadata jsonb,
  started_at timestamptz,
  completed_at timestamptz
);
comment on type public.job_step is
'A step of a job: the columns of public.job_steps, where each is explained.';

create type public.job_type_settings as (
  job_type varchar(50),
  description text,
  job_category varchar(50),
  max_retries integer,
  backoff text,
  retry_delay_ms integer,
  retry_delay_max interval,
  lease interval,
  timeout interval,
  keep_completed interval,
  keep_failed interval,
  paused boolean,
  keep_attempts text,
  payload_schema jsonb
);
comment on type public.job_type_settings is
'The settings of a job type: the columns of public.job_types, where each is explained.';

create type public.job_type_stats as (
  job_type varchar(50),
  waiting bigint,
  due bigint,
  running bigint,
  oldest_due timestamptz,
  enqueued bigint,
  claimed bigint,
  completed bigint,
  failed bigint,
  cancelled bigint,
  retried bigint,
  released bigint,
  reaped bigint,
  expired bigint,
  enqueued_last_minute bigint,
  claimed_last_minute bigint,
  completed_last_minute bigint,
  failed_last_minute bigint,
  enqueued_last_hour bigint,
  claimed_last_hour bigint,
  completed_last_hour bigint,
  failed_last_hour bigint,
  wait_p50 interval,
  wait_p95 interval,
  wait_p99 interval,
  run_p50 interval,
  run_p95 interval,
  run_p99 interval,
  counted_since timestamptz
);
comment on type public.job_type_stats is 'The statistics of a job type, from job_stats().';
comment on column public.job_type_stats.waiting is
'Jobs that wait in the queue, due or not; of more than a thousand an estimate: the worker counts them when the server '
'starts and after TRUNCATE, a rebuild or COMMIT PREPARED, and it is kept since. Until a count is done that follows a '
'COMMIT PREPARED, the figure is without what was prepared';
comment on column public.job_type_stats.due is
'Of those, how many are due, also of a type that is paused; of more than a thousand an estimate as well, and where '
'there are more than 100000 due ones and as many later ones, 100000';
comment on column public.job_type_stats.running is
'Jobs that run; where more than a thousand run of all types together, an estimate';
comment on column public.job_type_stats.oldest_due is 'Since when the first of the due ones is due; null: none is';
comment on column public.job_type_stats.enqueued is 'New jobs';
comment on column public.job_type_stats.claimed is 'Attempts that began';
comment on column public.job_type_stats.completed is 'Jobs that completed';
comment on column public.job_type_stats.failed is 'Jobs that failed for good';
comment on column public.job_type_stats.cancelled is 'Jobs that were cancelled, or expired';
comment on column public.job_type_stats.retried is
'How often a job was queued again after an attempt that failed or was reaped, or by job_retry';
comment on column public.job_type_stats.released is 'Attempts that were given back, with no retry spent';
comment on column public.job_type_stats.reaped is
'Attempts that were ended since their lease or run-time limit was over; their jobs are also retried, failed or '
'cancelled';
comment on column public.job_type_stats.expired is 'Of the cancelled ones, those that had not started by expires_at';
comment on column public.job_type_stats.enqueued_last_minute is 'Of enqueued, those of the last 60 seconds';
comment on column public.job_type_stats.claimed_last_minute is 'Of claimed, those of the last 60 seconds';
comment on column public.job_type_stats.completed_last_minute is 'Of completed, those of the last 60 seconds';
comment on column public.job_type_stats.failed_last_minute is 'Of failed, those of the last 60 seconds';
comment on column public.job_type_stats.enqueued_last_hour is 'Of enqueued, those of the last 60 minutes';
comment on column public.job_type_stats.claimed_last_hour is 'Of claimed, those of the last 60 minutes';
comment on column public.job_type_stats.completed_last_hour is 'Of completed, those of the last 60 minutes';
comment on column public.job_type_stats.failed_last_hour is 'Of failed, those of the last 60 minutes';
comment on column public.job_type_stats.wait_p50 is
'Half of the attempts that began of late did so within this time after their job was due. Of late: in the last hour, '
'or two, in which there were any. All these times are within 5 %';
comment on column public.job_type_stats.wait_p95 is 'The same for 95 of 100 attempts';
comment on column public.job_type_stats.wait_p99 is 'The same for 99 of 100 attempts';
comment on column public.job_type_stats.run_p50 is
'Half of the attempts that ended of late, however they did, ended within this time after their claim';
comment on column public.job_type_stats.run_p95 is 'The same for 95 of 100 attempts';
comment on column public.job_type_stats.run_p99 is 'The same for 99 of 100 attempts';
comment on column public.job_type_stats.counted_since is
'Since when all this is counted; null: it is not, and so are the columns from enqueued on';
