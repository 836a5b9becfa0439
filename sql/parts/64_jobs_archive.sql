-- The partitions are nobody's business: they stand in the extension's schema.
create function jobs_ext.make_archive_partition(partition text, bounds text, comment text) returns regclass
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  made regclass;
begin
  execute format('create table jobs_ext.%I partition of public.jobs_archive %s', partition, bounds);
  made := format('jobs_ext.%I', partition)::regclass;
  perform jobs_ext.expect_many_organisations(made);
  execute format('comment on table %s is %L', made, comment);
  -- Default privileges must not open what only the table above opens.
  perform jobs_ext.revoke_all('table'::text, made::text, c.relowner, c.relacl) from pg_class c where c.oid = made;
  -- Nor to anybody by a grant: a partition is read through the archive, whose policies count then, and these do not.
  if to_regrole('authenticated') is not null then
    execute format('alter table %s enable row level security', made);
    execute format('create policy "Read through jobs_archive alone" on %s for select to authenticated using (false)',
                   made);
  end if;
  return made;
end $$;
comment on function jobs_ext.make_archive_partition(text, text, text) is
'Makes a partition of public.jobs_archive, open to nobody but its owner.';

-- Maintenance calls this, as the owner of the archive. A reader of the archive must not wait for long behind it.
create function jobs_ext.make_archive_month(month timestamptz) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '100ms'
as $$
declare
  first constant timestamptz := date_trunc('month', month);
  past constant timestamptz := first + interval '1 month';
  other_jobs boolean := false;
begin
  -- Postgres would find these too, having read the whole partition under an exclusive lock.
  if exists (
    select from pg_inherits i
    where i.inhrelid = to_regclass('jobs_ext.jobs_archive_default') and i.inhparent = to_regclass('public.jobs_archive')
  ) then
    execute 'select exists (select from jobs_ext.jobs_archive_default a '
            'where a.finished_at >= $1 and a.finished_at < $2)'
      into other_jobs using first, past;
  end if;
  if other_jobs then
    return false;
  end if;
  perform jobs_ext.make_archive_partition(
    to_char(first, '"jobs_archive_"YYYY_MM'), format('for values from (%L) to (%L)', first, past),
    to_char(first, '"The archived jobs that finished in "YYYY-MM" (UTC)"'));
  return true;
exception
  -- Another default partition holds jobs of it; another partition takes a part of it; the name is taken.
  when check_violation or invalid_object_definition or duplicate_table then
    return false;
end $$;
comment on function jobs_ext.make_archive_month(timestamptz) is
'Makes the partition of public.jobs_archive for the month, in UTC, of this time.

Returns false when it can''t be: the default partition holds jobs of that month, another partition takes some of them, '
'or the name is taken. Then the month stays where it is. Raises 55P03 when the archive is locked for long.';

create function jobs_ext.drop_archive_month(partition regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms'
as $$
begin
  execute format('drop table %s', partition);
end $$;
comment on function jobs_ext.drop_archive_month(regclass) is
'Drops a partition of public.jobs_archive, with its jobs. Raises 55P03 when the archive is locked for long.';

-- One that is there is left as it is, months and all: what opens it would run what the owner put into its partition
-- key, its indexes or its default partition, and this may run as superuser. Maintenance makes its months, as its owner.
create function jobs_ext.install_jobs_archive() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if jobs_ext.is_there('public.jobs_archive'::text, 'p'::"char", 'public.job'::regtype) then
    return;
  end if;

  create table public.jobs_archive (
    like public.job,
    archived_at timestamptz not null default current_timestamp,
    attempts jsonb,
    steps jsonb,
    primary key (id, finished_at)
  ) partition by range (finished_at);
  create index idx_jobs_archive_job_id on public.jobs_archive (job_id);
  -- For job_children().
  create index idx_jobs_archive_parent_job_id on public.jobs_archive (parent_job_id) where parent_job_id is not null;
  -- What a member looks at, and what is erased with an organisation, costs what that organisation has.
  create index idx_jobs_archive_organisation_id on public.jobs_archive (organisation_id, finished_at);

  comment on table public.jobs_archive is
    'The jobs that ended long ago: the columns of jobs, as they were. A column of one''s own that is added to both '
    'tables travels along';
  comment on column public.jobs_archive.archived_at is 'When the job was moved here';
  comment on column public.jobs_archive.attempts is
    'What job_attempts held of it: an array of objects in the order of the attempts; null: nothing. Of very many the '
    'first 10 and the last 90 (1 MB of either), and between them how many were left out: {"left_out": 4200}';
  comment on column public.jobs_archive.steps is
    'What job_steps held of it: an array of objects in order; null: nothing. Where results, decisions and metadata are '
    'more than 1 MB, those of the later steps are null, and left_out says how many bytes they had';

  perform jobs_ext.put_policies('public.jobs_archive'::text, jobs_ext.members_by_claim());
  perform jobs_ext.hand_over('public.jobs_archive'::regclass);
  perform jobs_ext.hand_over(
    jobs_ext.make_archive_partition(
      'jobs_archive_default'::text, 'default'::text, 'What no other partition of public.jobs_archive takes'::text));
  -- Whether it holds jobs of a month is asked before that month gets a partition of its own.
  create index jobs_archive_default_finished_at on jobs_ext.jobs_archive_default (finished_at);

  -- Made ahead, so that no job has to wait for one.
  perform jobs_ext.hand_over(to_regclass('jobs_ext.jobs_archive_' || to_char(m.month at time zone 'UTC', 'YYYY_MM')))
  from generate_series(0, 2) n, lateral (select now() + n * interval '1 month') m (month)
  where jobs_ext.make_archive_month(m.month);
end $$;
comment on function jobs_ext.install_jobs_archive() is
'Makes public.jobs_archive where it is missing, with its partitions for the next months. Part of jobs_ext.install().';
