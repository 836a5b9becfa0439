-- jobs_ext.adopt(): a table "jobs" of the seed's shape, with its rows, becomes the one of jobs_ext. Never a part of
-- CREATE EXTENSION, which runs as superuser: this opens the table, so what its owner put on it (constraints,
-- expressions of indexes) runs, as that owner. Each step looks at the catalogs for what is missing and says what it
-- did, so that it can be repeated; the lock that comes first keeps everybody away until the commit.

create function jobs_ext.adopt(jobs regclass,
  out step text, out detail text, out statement text) returns setof record
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  is_first boolean;
  new_columns text[];
  missing text[];
  types text;
  forced boolean;
  changes jobs_ext.adoption[] := '{}';
begin
  perform jobs_ext.require_owner_to_adopt(jobs);
  lock table only public.jobs in access exclusive mode;
  perform jobs_ext.require_owner_to_adopt(jobs); -- it may have changed hands while we waited
  perform jobs_ext.require_adoptable();
  perform jobs_ext.adopt_deferred();

  -- What is ours outlives DROP EXTENSION.
  is_first := not exists (
    select from pg_constraint c
    where c.conrelid = adopt.jobs and c.conname in ('check_finished_timestamp', 'check_lease'));
  select coalesce(array_agg(c.name), '{}') into new_columns from jobs_ext.columns_of_jobs() c
  where not exists (
    select from pg_attribute a
    where a.attrelid = adopt.jobs and a.attname = c.name and a.attnum > 0 and not a.attisdropped);
  select array_agg(distinct g.object) into missing from jobs_ext.privileges('operator'::text) g
  where g.sort = 'table' and g.object like 'public.%' and to_regclass(g.object) is null;
  select pg_get_constraintdef(c.oid) into types from pg_constraint c
  where c.conrelid = adopt.jobs and c.conname = 'check_job_type' and pg_get_constraintdef(c.oid) ~ '= (ANY|'')';

  -- The order: what is in the way of the rows goes, the rows are made right, then what holds for them is declared; our
  -- triggers come last, since they would refuse what an UPDATE has to do here.
  select c.relforcerowsecurity into forced from pg_class c where c.oid = adopt.jobs;
  if forced then
    alter table public.jobs no force row level security; -- each row has to be seen
  end if;
  changes := changes || array(select c from jobs_ext.adopt_checks_off() c);
  changes := changes || array(select c from jobs_ext.adopt_columns() c);
  changes := changes || array(select c from jobs_ext.adopt_storage() c);
  changes := changes || array(select c from jobs_ext.adopt_rows(new_columns, is_first) c);
  changes := changes || array(select c from jobs_ext.adopt_constraints() c);
  changes := changes || array(select c from jobs_ext.adopt_indexes() c);
  changes := changes || array(select c from jobs_ext.adopt_comments() c);
  changes := changes || array(select c from jobs_ext.adopt_policies() c);
  changes := changes || array(select c from jobs_ext.adopt_grants('public.jobs'::regclass) c);
  perform jobs_ext.install_job_types(); -- of which the views read
  changes := changes || array(select c from jobs_ext.adopt_types(types) c);
  changes := changes || array(select c from jobs_ext.adopt_views() c);
  changes := changes || array(select c from jobs_ext.adopt_keeping() c where new_columns <> '{}');
  changes := changes || array(select c from jobs_ext.adopt_rest(missing) c);
  changes := changes || array(select c from jobs_ext.advice_on_namesakes(new_columns) c where is_first);
  if forced then
    alter table public.jobs force row level security;
  end if;
  if exists (select from unnest(changes) as c where c.step <> 'advice') then
    perform jobs_ext.rebuild_queue();
  else
    changes := ('nothing', 'public.jobs is adopted already: nothing was changed', null)::jobs_ext.adoption || changes;
  end if;
  return query
  select c.step, c.detail, c.statement from unnest(changes) as c
  union all
  select a.step, a.detail, a.statement from jobs_ext.advice_on_indexes() a
  union all
  select a.step, a.detail, a.statement from jobs_ext.advice_on_jobs() a
  union all
  select a.step, a.detail, a.statement from jobs_ext.advice_on_nobodys() a;
end $$;
comment on function jobs_ext.adopt(regclass) is
'Makes a table of jobs that was there before the extension its own, with its rows, in any status: adds what it lacks '
'(columns, defaults, constraints, indexes, comments, triggers, the other tables and views), gives the rows what holds '
'for every job, and registers their types. A running job gets a lease of one minute; if its worker does not report '
'until then it is reaped, which counts as a failed attempt. Takes the place of constraints that have the names of '
'ours, of the seed''s trigger update_jobs_updated_at, of its three policies for every role (where there is a role '
'authenticated) and of its three views; gives PUBLIC, anon, authenticated and service_role what they would have on a '
'new table. All else stays: columns and their order, policies, indexes, views, triggers and foreign keys of the '
'user''s. Where rows follow a delete from jobs, ended jobs are kept out of the archive.

For the owner of the table, who must be the owner of the extension: what stands on the table runs as the caller. Locks '
'the table (ACCESS EXCLUSIVE) until the transaction ends, checks what is deferred at once until then, and updates '
'nearly every row.

jobs: public.jobs. Returns what was done: step (nothing: all was as it is to be; advice: nothing was done, but should '
'be considered), detail, and the statement that is left to the caller. May be repeated.

Raises 22023 for another table; 42501 for another role; 25001 outside READ COMMITTED; 42809 or 42710 when it is no '
'ordinary table, or when a trigger, table or view of another''s has a name of ours; 55000 when it lacks one of id, '
'job_id, job_type and status; 42804 when a column is of another type; 22001, 23502 or 23514 for a job that can''t be '
'one of ours, or that would end at once for what a column of yours says; 23503 where a foreign key does not take the '
'nil organisation; 23505 where two jobs have one id, job_id or job_key. Then nothing is changed.';
