-- security_invoker: whoever looks sees the rows that row level security shows to them, not to the owner of the view.
-- status::text, since a varchar in a list comes back from a dump in other words.
-- The seed's three begin with the seed's columns, so that they can take the place of the seed's own views.
create function jobs_ext.make_jobs_queue_status(how text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  execute how || $view$ view public.jobs_queue_status with (security_invoker = true) as
  select
    j.job_type,
    j.status,
    count(*) as count,
    max(j.created_at) as latest_job,
    round(avg(extract(epoch from j.finished_at - j.started_at))
            filter (where isfinite(j.finished_at) and isfinite(j.started_at)), 2) as avg_duration_seconds,
    min(j.created_at) as oldest_job,
    count(*) filter (where j.status::text in ('pending', 'queued') and j.run_at <= statement_timestamp()
                           and not j.job_type::text = any (array(
                             -- The whole row: its columns stay its owner's to alter.
                             select to_jsonb(t) ->> 'job_type'
                             from public.job_types t where to_jsonb(t) ->> 'paused' = 'true'))) as due_count,
    min(j.run_at) filter (where j.status::text in ('pending', 'queued')) as next_run_at
  from public.jobs j
  where j.finished_at is null or j.finished_at > statement_timestamp() - interval '24 hours'
  group by j.job_type, j.status
  order by j.job_type, j.status$view$;
  comment on view public.jobs_queue_status is
    'Jobs by type and status: all that have not ended, however old, and those that ended in the last 24 hours';
  comment on column public.jobs_queue_status.latest_job is 'When the youngest of them was created';
  comment on column public.jobs_queue_status.avg_duration_seconds is
    'From start to end, of those that ended; null for the others';
  comment on column public.jobs_queue_status.oldest_job is 'When the oldest of them was created';
  comment on column public.jobs_queue_status.due_count is
    'How many could be claimed now: due, and of a type that is not paused (a pause of the whole queue is told by '
    'jobs_ext.maintenance)';
  comment on column public.jobs_queue_status.next_run_at is 'When the first of them is or was due';
end $$;
comment on function jobs_ext.make_jobs_queue_status(text) is
'Makes the view public.jobs_queue_status: "create", or "create or replace" where the seed''s of that name stands.';

create function jobs_ext.make_jobs_failed_summary(how text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  execute how || $view$ view public.jobs_failed_summary with (security_invoker = true) as
  select
    j.id,
    j.job_id,
    j.job_type,
    j.organisation_id,
    j.restaurant_id,
    j.error_message,
    j.retries,
    j.max_retries,
    j.created_at,
    j.started_at,
    j.finished_at,
    j.attempt,
    j.worker,
    j.retries < j.max_retries as retryable
  from jobs_ext.failed_jobs() j
  order by j.created_at desc, j.id desc$view$;
  comment on view public.jobs_failed_summary is
    'The jobs that failed for good and require attention, newest first. Jobs that wait for a retry are pending, in '
    'jobs_active';
  comment on column public.jobs_failed_summary.retryable is
    'Whether retries were left: it was given up before they were spent. job_retry() takes either';
end $$;
comment on function jobs_ext.make_jobs_failed_summary(text) is
'Makes the view public.jobs_failed_summary: "create", or "create or replace" where the seed''s of that name stands.';

create function jobs_ext.make_jobs_metrics(how text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  execute how || $view$ view public.jobs_metrics with (security_invoker = true) as
  select
    j.job_type,
    count(*) as total_jobs,
    count(*) filter (where j.status = 'completed') as completed_count,
    count(*) filter (where j.status = 'failed') as failed_count,
    count(*) filter (where j.status::text in ('pending', 'queued', 'in_progress')) as in_progress_count,
    round(100.0 * count(*) filter (where j.status = 'completed')
          / nullif(count(*) filter (where j.status::text in ('completed', 'failed')), 0), 2) as success_rate_percent,
    round(avg(extract(epoch from j.finished_at - j.started_at))
            filter (where isfinite(j.finished_at) and isfinite(j.started_at)) / 60, 2) as avg_duration_minutes,
    count(*) filter (where j.status::text in ('pending', 'queued')) as waiting_count,
    count(*) filter (where j.status = 'in_progress') as running_count,
    count(*) filter (where j.status = 'paused') as paused_count,
    count(*) filter (where j.status = 'cancelled') as cancelled_count,
    coalesce(sum(j.retries), 0) as retry_count,
    count(*) filter (where j.status = 'blocked') as blocked_count
  from public.jobs j
  where j.finished_at is null or j.finished_at > statement_timestamp() - interval '7 days'
  group by j.job_type
  order by total_jobs desc, j.job_type$view$;
  comment on view public.jobs_metrics is
    'Jobs by type: all that have not ended, however old, and those that ended in the last 7 days';
  comment on column public.jobs_metrics.in_progress_count is 'Waiting or running: waiting_count + running_count';
  comment on column public.jobs_metrics.success_rate_percent is
    'Completed ones among those that completed or failed; null where there is neither';
  comment on column public.jobs_metrics.avg_duration_minutes is
    'From start to end of the last attempt, of those that ended';
  comment on column public.jobs_metrics.retry_count is 'Retries that all these jobs were granted';
  comment on column public.jobs_metrics.blocked_count is 'Waiting for their children (job_await_children)';
end $$;
comment on function jobs_ext.make_jobs_metrics(text) is
'Makes the view public.jobs_metrics: "create", or "create or replace" where the seed''s of that name stands.';

create function jobs_ext.install_views() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if not jobs_ext.is_there('public.jobs_queue_status'::text, 'v'::"char", null::regtype) then
    perform jobs_ext.make_jobs_queue_status('create'::text);
    perform jobs_ext.hand_over('public.jobs_queue_status'::regclass);
  end if;

  if not jobs_ext.is_there('public.jobs_failed_summary'::text, 'v'::"char", null::regtype) then
    perform jobs_ext.make_jobs_failed_summary('create'::text);
    perform jobs_ext.hand_over('public.jobs_failed_summary'::regclass);
  end if;

  if not jobs_ext.is_there('public.jobs_metrics'::text, 'v'::"char", null::regtype) then
    perform jobs_ext.make_jobs_metrics('create'::text);
    perform jobs_ext.hand_over('public.jobs_metrics'::regclass);
  end if;

  if not jobs_ext.is_there('public.jobs_active'::text, 'v'::"char", null::regtype) then
    create view public.jobs_active with (security_invoker = true) as
    select j.* from jobs_ext.active_jobs() j;
    comment on view public.jobs_active is
      'The jobs that wait or run, and those that wait for their children';
    perform jobs_ext.hand_over('public.jobs_active'::regclass);
  end if;

  if not jobs_ext.is_there('public.jobs_running'::text, 'v'::"char", null::regtype) then
    create view public.jobs_running with (security_invoker = true) as
    select
      j.id,
      j.job_id,
      j.job_type,
      j.worker,
      j.attempt,
      j.started_at,
      case when isfinite(j.started_at) then statement_timestamp() - j.started_at end as running_for,
      case when isfinite(j.lease_expires_at) then j.lease_expires_at - statement_timestamp() end as lease_left,
      j.lease_expires_at,
      j.timeout_at,
      j.heartbeat_at,
      j.cancel_requested_at,
      j.progress
    from jobs_ext.running_jobs() j
    order by j.started_at, j.id;
    comment on view public.jobs_running is 'Who works on what, since when, and how long the lease still holds';
    comment on column public.jobs_running.lease_left is
      'Time until the job is taken from its worker; negative: about to be';
    perform jobs_ext.hand_over('public.jobs_running'::regclass);
  end if;

  if not jobs_ext.is_there('public.jobs_failed'::text, 'v'::"char", null::regtype) then
    create view public.jobs_failed with (security_invoker = true) as
    select j.* from jobs_ext.failed_jobs() j;
    comment on view public.jobs_failed is 'The jobs that failed for good, with all their columns';
    perform jobs_ext.hand_over('public.jobs_failed'::regclass);
  end if;

  if not jobs_ext.is_there('public.jobs_schedules'::text, 'v'::"char", null::regtype) then
    create view public.jobs_schedules with (security_invoker = true) as
    select s.* from jobs_ext.scheduled_jobs() s;
    comment on view public.jobs_schedules is
      'The recurring jobs of job_schedule(), those that pg_cron shows to the caller; none where it is missing';
    comment on column public.jobs_schedules.schedule is 'When it runs, in the time zone cron.timezone, else GMT';
    comment on column public.jobs_schedules.active is 'Whether pg_cron runs it';
    comment on column public.jobs_schedules.username is 'As whom it runs';
    comment on column public.jobs_schedules.last_run_at is
      'When it last ran, be it in vain; where pg_cron keeps no record of runs, when it last enqueued a job';
    comment on column public.jobs_schedules.last_status is 'How that run ended, says pg_cron: succeeded or failed';
    comment on column public.jobs_schedules.last_message is 'What the server said to that run';
    comment on column public.jobs_schedules.last_job is 'The last job that it enqueued: jobs.id';
    comment on column public.jobs_schedules.skipped is
      'How many runs were left out because the job before still waited';
    comment on column public.jobs_schedules.next_run_at is
      'When it comes next; null when never, inactive, or at the start of the server';
    perform jobs_ext.hand_over('public.jobs_schedules'::regclass);
  end if;
end $$;
comment on function jobs_ext.install_views() is 'Makes the missing views. Part of jobs_ext.install().';
