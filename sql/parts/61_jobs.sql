create function jobs_ext.install_jobs() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  listed record;
begin
  if jobs_ext.is_there('public.jobs'::text, 'r'::"char", 'public.job'::regtype) then
    return;
  end if;

  -- A job is updated at least twice in its life. With room left on the page these are heap-only updates, which touch no
  -- index; hence fillfactor, and no index over a column that changes. No foreign key: the user adds those that are
  -- wanted.
  execute format($table$create table public.jobs (%s,

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
  )$table$,
    (select string_agg(format('%I %s %s', c.name, c.type, c.modifiers), ', ' order by c.n)
     from jobs_ext.columns_of_jobs() with ordinality as c(name, type, modifiers, comment, n)));

  -- Ascending, though it is read backwards: new rows then go to the right end of each run, which fills its pages.
  create index idx_jobs_created_at on public.jobs (created_at);
  create index idx_jobs_organisation_id on public.jobs (organisation_id, created_at);
  create index idx_jobs_restaurant_id on public.jobs (restaurant_id, created_at) where restaurant_id is not null;
  create index idx_jobs_created_by on public.jobs (created_by) where created_by is not null;
  create index idx_jobs_parent_job_id on public.jobs (parent_job_id) where parent_job_id is not null;

  comment on table public.jobs is
    'Generic async job queue for all long-running operations: one row for each job, kept until it is archived';
  for listed in select * from jobs_ext.columns_of_jobs() loop
    execute format('comment on column public.jobs.%I is %L', listed.name, listed.comment);
  end loop;

  perform jobs_ext.put_policies('public.jobs'::text, jobs_ext.members_by_claim());
  perform jobs_ext.hand_over('public.jobs'::regclass);
end $$;
comment on function jobs_ext.install_jobs() is 'Makes public.jobs where it is missing. Part of jobs_ext.install().';
