-- What the functions return. A function can't return the row type of public.jobs, which a restore makes only after the
-- extension: so the type job repeats its columns, in the same order. install() refuses a table that lacks one of them.
create type public.job as (
  -- the seed's columns
  id uuid,
  job_id varchar(100),
  job_type varchar(50),
  job_category varchar(50),
  status varchar(50),
  input_payload jsonb,
  result jsonb,
  error_message text,
  retries integer,
  max_retries integer,
  retry_delay_ms integer,
  execution_time_ms integer,
  created_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz,
  cancelled_at timestamptz,
  updated_at timestamptz,
  organisation_id uuid,
  restaurant_id uuid,
  created_by uuid,
  parent_job_id uuid,
  metadata jsonb,
  priority integer,
  -- the queue's
  run_at timestamptz,
  attempt integer,
  lease_id uuid,
  worker text,
  lease_expires_at timestamptz,
  timeout_at timestamptz,
  heartbeat_at timestamptz,
  finished_at timestamptz,
  cancel_requested_at timestamptz,
  progress jsonb,
  expires_at timestamptz
);
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
'What a caller needs to know of a job after a call: the columns of public.jobs of the same names, without payload and result. "created" is null but for job_enqueue and job_enqueue_many: true for a new job, false for the one that had this job_id already.';

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
  paused boolean
);
comment on type public.job_type_settings is
'The settings of a job type: the columns of public.job_types, where each is explained.';
