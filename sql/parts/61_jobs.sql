create function jobs_ext.install_jobs() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if jobs_ext.is_there('public.jobs'::text, 'r'::"char", 'public.job'::regtype) then
    return;
  end if;

  -- A job is updated at least twice in its life. With room left on the page these are heap-only updates, which touch no
  -- index; hence fillfactor, and no index over a column that changes. No foreign key: the user adds those that are wanted.
  create table public.jobs (
    id uuid default jobs_ext.uuid_v7() primary key,
    job_id varchar(100) not null unique,
    job_type varchar(50) not null,
    job_category varchar(50),
    status varchar(50) not null default 'pending',
    input_payload jsonb,
    result jsonb,
    error_message text,
    retries integer not null default 0,
    max_retries integer not null default 3,
    retry_delay_ms integer not null default 1000,
    execution_time_ms integer,
    created_at timestamptz not null default current_timestamp,
    started_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    updated_at timestamptz not null default current_timestamp,
    organisation_id uuid not null default '00000000-0000-0000-0000-000000000000',
    restaurant_id uuid,
    created_by uuid,
    parent_job_id uuid,
    metadata jsonb not null default '{}',
    priority integer not null default 0,
    run_at timestamptz not null default current_timestamp,
    attempt integer not null default 0,
    lease_id uuid,
    worker text,
    lease_expires_at timestamptz,
    timeout_at timestamptz,
    heartbeat_at timestamptz,
    finished_at timestamptz,
    cancel_requested_at timestamptz,
    progress jsonb,
    expires_at timestamptz,

    -- status::text, since a varchar in a list comes back from a dump in other words.
    constraint check_status check (
      status::text in ('pending', 'queued', 'in_progress', 'paused', 'completed', 'failed', 'cancelled')),
    constraint check_priority check (priority between -10 and 10),
    constraint check_retries check (retries >= 0 and retries <= max_retries),
    constraint check_retry_delay_ms check (retry_delay_ms >= 0),
    constraint check_attempt check (attempt >= 0),
    constraint check_started_timestamp check (
      case when status::text in ('pending', 'queued') then started_at is null
           when status::text in ('in_progress', 'completed') then started_at is not null
           else true end),
    constraint check_completed_timestamp check ((status = 'completed') = (completed_at is not null)),
    constraint check_finished_timestamp check (
      (status::text in ('completed', 'failed', 'cancelled')) = (finished_at is not null)),
    constraint check_lease check (
      status <> 'in_progress' or (lease_id is not null and lease_expires_at is not null))
  ) with (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.05,
    toast.autovacuum_vacuum_scale_factor = 0.05
  );

  -- Ascending, though it is read backwards: new rows then go to the right end of each run, which fills its pages.
  create index idx_jobs_created_at on public.jobs (created_at);
  create index idx_jobs_organisation_id on public.jobs (organisation_id, created_at);
  create index idx_jobs_restaurant_id on public.jobs (restaurant_id, created_at) where restaurant_id is not null;
  create index idx_jobs_created_by on public.jobs (created_by) where created_by is not null;
  create index idx_jobs_parent_job_id on public.jobs (parent_job_id) where parent_job_id is not null;

  comment on table public.jobs is 'Generic async job queue for all long-running operations: one row for each job, kept until it is archived';
  comment on column public.jobs.id is 'Unique id, sorted by time (UUID version 7)';
  comment on column public.jobs.job_id is 'Human-readable unique job identifier, chosen by the client to make enqueueing idempotent (e.g., "extract-ubereats-pizza-palace-20251209") or made by the server';
  comment on column public.jobs.job_type is 'Type of job, one of job_types';
  comment on column public.jobs.job_category is 'Group of job types, for reports; default: that of the type';
  comment on column public.jobs.status is 'Job status: pending (created, or waiting for its time), queued (ready), in_progress (executing), paused (held back), completed (success), failed (permanently), cancelled (stopped by a user, or expired)';
  comment on column public.jobs.input_payload is 'Job input parameters as JSONB, never changed - allows job reconstruction and audit trail';
  comment on column public.jobs.result is 'Job output/results as JSONB - stores processed data, metrics, generated content, etc.';
  comment on column public.jobs.error_message is 'Human-readable message of the last failure or cancellation - useful for debugging';
  comment on column public.jobs.retries is 'Number of retry attempts granted so far; job_retry starts anew';
  comment on column public.jobs.max_retries is 'Maximum number of retries allowed before permanent failure: a job with 3 runs at most 4 times';
  comment on column public.jobs.retry_delay_ms is 'Milliseconds before the first retry; later ones wait longer, by the backoff of the type';
  comment on column public.jobs.execution_time_ms is 'Execution time of the last attempt in milliseconds (finished_at - started_at)';
  comment on column public.jobs.created_at is 'When the job was created, by the server''s clock';
  comment on column public.jobs.started_at is 'When the last attempt began; null while the job waits';
  comment on column public.jobs.completed_at is 'When the job completed; null in every other status';
  comment on column public.jobs.cancelled_at is 'When the job was cancelled';
  comment on column public.jobs.updated_at is 'When the row last changed';
  comment on column public.jobs.organisation_id is 'Organisation that the job belongs to; the nil UUID: none';
  comment on column public.jobs.restaurant_id is 'Restaurant that the job is about';
  comment on column public.jobs.created_by is 'User who created the job';
  comment on column public.jobs.parent_job_id is 'For jobs that spawn sub-jobs (e.g., import multiple items): id of the spawning one';
  comment on column public.jobs.metadata is 'Job-specific metadata as JSONB - for storing custom fields per job type';
  comment on column public.jobs.priority is 'Job priority for queue ordering: -10 (lowest) to +10 (highest), 0 = normal';
  comment on column public.jobs.run_at is 'Not to be started before this time: of a delayed job, or of the next retry';
  comment on column public.jobs.attempt is 'How often the job was started; never reset';
  comment on column public.jobs.lease_id is 'The last claim: whoever knows it while the job is in progress is its worker';
  comment on column public.jobs.worker is 'Name of the last worker';
  comment on column public.jobs.lease_expires_at is 'When the job is taken from its worker unless a heartbeat comes';
  comment on column public.jobs.timeout_at is 'When this attempt is given up, heartbeat or not';
  comment on column public.jobs.heartbeat_at is 'When the worker was last heard of';
  comment on column public.jobs.finished_at is 'When the job ended as completed, failed or cancelled; null before';
  comment on column public.jobs.cancel_requested_at is 'When somebody asked a running job to stop';
  comment on column public.jobs.progress is 'What the worker last said about its progress';
  comment on column public.jobs.expires_at is 'A job not started by then is cancelled';

  if to_regrole('authenticated') is not null then
    alter table public.jobs enable row level security;
    create policy "Enable read access for org members" on public.jobs for select to authenticated
      using (organisation_id = (
        select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid));
    create policy "Enable insert for org members" on public.jobs for insert to authenticated
      with check (organisation_id = (
        select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid));
    create policy "Enable update for org members" on public.jobs for update to authenticated
      using (organisation_id = (
        select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid))
      with check (organisation_id = (
        select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid));
  end if;

  perform jobs_ext.hand_over('public.jobs'::regclass);
end $$;
comment on function jobs_ext.install_jobs() is 'Makes public.jobs where it is missing. Part of jobs_ext.install().';
