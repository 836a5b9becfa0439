-- What is made around a table that is adopted: types, views, triggers, the other tables.

create function jobs_ext.adopt_types(listed text) returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  new_types text[];
begin
  with named as (
    select distinct replace(m.found[1], '''''', '''') as job_type
    from regexp_matches(coalesce(listed, ''), '''((?:[^'']|'''')+)''', 'g') as m (found)
    union
    select j.job_type from only public.jobs j
  ), made as (
    insert into public.job_types (job_type)
    select n.job_type from named n
    where char_length(n.job_type) <= 50 and not exists (select from public.job_types t where t.job_type = n.job_type)
    returning job_type
  )
  select array_agg(m.job_type order by m.job_type) into new_types from made m;
  if new_types is not null then
    return next ('type', 'registered ' || array_to_string(new_types, ', '), null)::jobs_ext.adoption;
  end if;
end $$;
comment on function jobs_ext.adopt_types(text) is
'Part of jobs_ext.adopt(): registers the types of the jobs, and those that the definition of a constraint lists.';

-- A job leaves jobs for the archive by a DELETE, which foreign keys follow: rows that nobody ever thought of losing,
-- children of an old parent among them, would go with jobs that ended long ago, within seconds of the commit.
create function jobs_ext.followers_of_jobs() returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select string_agg(distinct c.conrelid::regclass::text, ', ') from pg_constraint c
  where c.contype = 'f' and c.confrelid = to_regclass('public.jobs') and c.confdeltype in ('c', 'n', 'd'));
comment on function jobs_ext.followers_of_jobs() is
'The tables of which rows are deleted or changed when a job is deleted: public.jobs too, where a child follows its '
'parent. Null: none.';

create function jobs_ext.adopt_keeping() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  followers constant text := jobs_ext.followers_of_jobs();
begin
  if followers is null then
    return;
  end if;
  update public.job_types t
  set keep_completed = coalesce(t.keep_completed, interval '100 years'),
      keep_failed = coalesce(t.keep_failed, interval '100 years')
  where exists (select from only public.jobs j where j.job_type = t.job_type)
    -- of jobs alone, and no job has a parent: nothing can follow yet
    and (followers <> 'public.jobs' or exists (select from only public.jobs j where j.parent_job_id is not null));
  if found then
    return next (
      'type', format('ended jobs stay in jobs for 100 years, since a delete takes rows of %s along, or changes them',
                     followers),
      'update public.job_types set keep_completed = null, keep_failed = null where ...')::jobs_ext.adoption;
  end if;
end $$;
comment on function jobs_ext.adopt_keeping() is
'Part of jobs_ext.adopt(): keeps jobs out of the archive where rows follow a delete.';

-- CREATE OR REPLACE, so that whatever depends on the seed's view stays: ours begin with the same columns.
create function jobs_ext.adopt_views() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  for r in
    select s.name, s.columns, c.oid::regclass as view, array(
      select a.attname || ' ' || format_type(a.atttypid, null) from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 order by a.attnum) as actual
    from (values
      ('jobs_queue_status', '{job_type character varying,status character varying,count bigint,'
        'latest_job timestamp with time zone,avg_duration_seconds numeric}'::text[]),
      ('jobs_failed_summary', '{id uuid,job_id character varying,job_type character varying,organisation_id uuid,'
        'restaurant_id uuid,error_message text,retries integer,max_retries integer,'
        'created_at timestamp with time zone,started_at timestamp with time zone}'),
      ('jobs_metrics', '{job_type character varying,total_jobs bigint,completed_count bigint,failed_count bigint,'
        'in_progress_count bigint,success_rate_percent numeric,avg_duration_minutes numeric}')) s (name, columns)
    join pg_class c on c.oid = to_regclass('public.' || s.name) and c.relkind = 'v'
  loop
    if r.actual = r.columns then
      case r.name
        when 'jobs_queue_status' then perform jobs_ext.make_jobs_queue_status('create or replace'::text);
        when 'jobs_failed_summary' then perform jobs_ext.make_jobs_failed_summary('create or replace'::text);
        when 'jobs_metrics' then perform jobs_ext.make_jobs_metrics('create or replace'::text);
      end case;
      return next ('view', format('replaced "%s", with the same columns first; what depends on it stays', r.name),
                   null)::jobs_ext.adoption;
    elsif r.actual[1:cardinality(r.columns)] <> r.columns then
      return next ('advice', format('view "%s" is of your own making and stays; ours of that name is not made', r.name),
        format('alter view public.%I rename to ...; select jobs_ext.install()', r.name))::jobs_ext.adoption;
    end if;
    return query select g.* from jobs_ext.adopt_grants(r.view) g where r.actual = r.columns;
  end loop;
end $$;
comment on function jobs_ext.adopt_views() is 'Part of jobs_ext.adopt(): ours in the place of the seed''s three.';

create function jobs_ext.adopt_rest(missing text[]) returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from unnest(array['jobs_ext_before_row', 'jobs_ext_after_row', 'jobs_ext_after_truncate']) as w (name)
    where not exists (
      select from pg_trigger t where t.tgrelid = 'public.jobs'::regclass and t.tgname = w.name and t.tgenabled = 'A')
  ) then
    return next ('trigger', 'made those of jobs_ext', null)::jobs_ext.adoption;
  end if;
  perform jobs_ext.install();
  return query
  select case when c.relkind = 'v' then 'view' else 'table' end, 'made ' || m.name, null
  from unnest(missing) as m (name) left join pg_class c on c.oid = to_regclass(m.name);
end $$;
comment on function jobs_ext.adopt_rest(text[]) is
'Part of jobs_ext.adopt(): the triggers, the other tables and views. missing: those that were not there.';
