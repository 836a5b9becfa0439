create function jobs_ext.install_job_types() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if jobs_ext.is_there('public.job_types'::text, 'r'::"char", 'public.job_type_settings'::regtype) then
    return;
  end if;

  create table public.job_types (
    job_type varchar(50) primary key,
    description text,
    job_category varchar(50),
    max_retries integer not null default 3,
    backoff text not null default 'exponential',
    retry_delay_ms integer not null default 1000,
    retry_delay_max interval not null default '1 hour',
    lease interval,
    timeout interval,
    keep_completed interval,
    keep_failed interval,
    paused boolean not null default false,
    keep_attempts text not null default 'failed',

    constraint check_job_type check (job_type <> ''),
    constraint check_max_retries check (max_retries between 0 and 1000),
    constraint check_backoff check (backoff in ('exponential', 'linear', 'fixed')),
    constraint check_retry_delay_ms check (retry_delay_ms >= 0),
    constraint check_retry_delay_max check (retry_delay_max >= '0'),
    constraint check_lease check (lease > '0'),
    constraint check_timeout check (timeout > '0'),
    constraint check_keep_completed check (keep_completed >= '0'),
    constraint check_keep_failed check (keep_failed >= '0'),
    constraint check_keep_attempts check (keep_attempts in ('failed', 'all'))
  );

  comment on table public.job_types is
    'The types of job that may be enqueued, and how each is run. Written by job_type_set()';
  comment on column public.job_types.job_type is 'Name of the type';
  comment on column public.job_types.description is 'What such a job does, and its payload';
  comment on column public.job_types.job_category is 'Group of types, for claims and reports';
  comment on column public.job_types.max_retries is
    'How often a job is run again after its first attempt; a job may have its own';
  comment on column public.job_types.backoff is
    'How the delay grows from retry to retry: exponential, linear, or fixed (not at all)';
  comment on column public.job_types.retry_delay_ms is 'Milliseconds before the first retry; a job may have its own';
  comment on column public.job_types.retry_delay_max is 'No retry waits longer than this';
  comment on column public.job_types.lease is
    'How long a claim holds without a heartbeat; null: jobs_ext.default_lease';
  comment on column public.job_types.timeout is 'How long one attempt may take, heartbeats or not; null: any time';
  comment on column public.job_types.keep_completed is
    'How long a completed job stays in jobs before it is archived; null: jobs_ext.archive_after; zero: it is deleted '
    'by the next round of maintenance, and until then a repeated job_complete is answered';
  comment on column public.job_types.keep_failed is
    'How long a failed or cancelled job stays in jobs before it is archived; null: jobs_ext.archive_after; zero: it is '
    'deleted by the next round of maintenance';
  comment on column public.job_types.paused is 'While true, no job of this type is claimed';
  comment on column public.job_types.keep_attempts is
    'Which attempts leave a row in job_attempts: failed (all that did not succeed), or all. A success then writes one '
    'row and one index entry more';

  -- Into a table made for the data of a dump, the dump brings them.
  if not jobs_ext.restoring() then
    insert into public.job_types (job_type, job_category, description) values
      ('extract-menu', 'extraction', 'Extract a menu from a delivery platform'),
      ('import-csv', 'import', 'Import menu items from a CSV file'),
      ('image-upload', 'import', 'Upload images to the CDN'),
      ('add-item-tags', 'enrichment', 'Add tags to menu items'),
      ('add-option-sets', 'enrichment', 'Process item options and variations'),
      ('generate-content', 'enrichment', 'Write item descriptions with AI'),
      ('merge-menus', 'optimization', 'Merge several versions of a menu'),
      ('bulk-update', 'optimization', 'Change many items at once');
  end if;

  if to_regrole('authenticated') is not null then
    alter table public.job_types enable row level security;
    create policy "Enable read access" on public.job_types for select to authenticated using (true);
  end if;

  perform jobs_ext.hand_over('public.job_types'::regclass);
end $$;
comment on function jobs_ext.install_job_types() is
'Makes public.job_types where it is missing. Part of jobs_ext.install().';

-- A dump of the data alone, restored where CREATE EXTENSION has just made the table, must not fail on the types that
-- the table was made with.
create function jobs_ext.job_types_restored() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_relid <> to_regclass('public.job_types') then
    raise exception 'trigger "%" stands on another table than public.job_types', tg_name using errcode = '42804';
  end if;
  -- Two steps: only who restores, the owner, may execute restoring().
  if pg_has_role(current_user, (select c.relowner from pg_class c where c.oid = tg_relid), 'usage') then
    if jobs_ext.restoring() then
      delete from public.job_types t where t.job_type = new.job_type;
    end if;
  end if;
  return new;
end $$;
comment on function jobs_ext.job_types_restored() is
'Trigger on public.job_types: a row that is being restored takes the place of the one that is there.';
