create function jobs_ext.install_jobs_archive() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if jobs_ext.is_there('public.jobs_archive', 'p', 'public.job') then
    return;
  end if;

  -- The partitions are nobody's business: they stand in the extension's schema.
  create table public.jobs_archive (
    like public.job,
    archived_at timestamptz not null default current_timestamp,
    primary key (id, finished_at)
  ) partition by range (finished_at);
  create index idx_jobs_archive_job_id on public.jobs_archive (job_id);
  create table jobs_ext.jobs_archive_default partition of public.jobs_archive default;

  comment on table public.jobs_archive is 'The jobs that ended long ago: the columns of jobs, as they were';
  comment on column public.jobs_archive.archived_at is 'When the job was moved here';
  comment on table jobs_ext.jobs_archive_default is 'What no other partition of public.jobs_archive takes';

  if to_regrole('authenticated') is not null then
    alter table public.jobs_archive enable row level security;
    create policy "Enable read access for org members" on public.jobs_archive for select to authenticated
      using (organisation_id = (
        select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid));
    alter table jobs_ext.jobs_archive_default enable row level security;
    create policy "Enable read access for org members" on jobs_ext.jobs_archive_default for select to authenticated
      using (organisation_id = (
        select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id', '')::uuid));
  end if;

  perform jobs_ext.hand_over('public.jobs_archive');
  perform jobs_ext.hand_over('jobs_ext.jobs_archive_default');
end $$;
comment on function jobs_ext.install_jobs_archive() is 'Makes public.jobs_archive where it is missing. Part of jobs_ext.install().';
