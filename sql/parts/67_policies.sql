-- Row security, in one place: which tables members see a part of, and which part. At installation an organisation is
-- the one that the JWT names; jobs_ext.bind() puts another condition in its place (68_binding.sql).
--
-- One permissive policy for each table and command, to authenticated alone; what it asks of the request it asks once a
-- statement, in a sub-select of its own. Names of their own, because the seed's migration, run on top, makes policies
-- too, which Postgres then shows beside these.

create function jobs_ext.policies()
returns table (relation text, command text, name text, by_job text)
language sql immutable set search_path = pg_catalog, pg_temp
begin atomic
  values
    ('public.jobs', 'select', 'jobs_ext_members_read', null),
    ('public.jobs', 'insert', 'jobs_ext_members_insert', null),
    ('public.jobs', 'update', 'jobs_ext_members_update', null),
    ('public.jobs_archive', 'select', 'jobs_ext_members_read', null),
    ('public.job_attempts', 'select', 'jobs_ext_members_read', 'job'),
    ('public.job_steps', 'select', 'jobs_ext_members_read', 'job');
end;
comment on function jobs_ext.policies() is
'The policies for members, a row each: the table, the command, the name. by_job: null where a row stands for itself, '
'else the column that names its job, whose policies then decide.';

create function jobs_ext.members_by_claim() returns text
language sql immutable set search_path = pg_catalog, pg_temp
return 'organisation_id = (select jobs_ext.claimed_organisation())';
comment on function jobs_ext.members_by_claim() is
'The condition on organisation_id of the policies as they are installed: the organisation is that of the JWT.';

-- What belongs to a job is shown where the job is, so its organisation_id opens nothing, whoever wrote it. It only
-- finds a member's rows by an index, where ours are the policies that say whose a job is; null leaves it to the job.
create function jobs_ext.condition_by_job(relation regclass, by_job text, members text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
  by_organisation constant boolean := exists (
    select from pg_attribute a
    where a.attrelid = relation and a.attname = 'organisation_id' and a.atttypid = 'uuid'::regtype and a.attnum > 0
      and not a.attisdropped
  ) and not exists (
    select from pg_policy y
    where y.polrelid = to_regclass('public.jobs') and y.polpermissive and y.polcmd in ('r', '*')
      and (0 = any (y.polroles) or to_regrole('authenticated') = any (y.polroles))
      and not exists (select from jobs_ext.policies() p where p.relation = 'public.jobs' and p.name = y.polname));
begin
  return case when by_organisation then format('(%s or organisation_id is null) and ', members) else '' end
    || format('exists (select from public.jobs j where j.id = %I)', by_job);
end $$;
comment on function jobs_ext.condition_by_job(regclass, text, text) is
'The condition on what belongs to a job: that the member sees the job and, where no policies but ours let members see '
'jobs, that it is of the organisation or of none that is known.';

create function jobs_ext.put_policies(relation text, members text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  wanted record;
  condition text;
begin
  if to_regrole('authenticated') is null then
    return;
  end if;
  execute format('alter table %s enable row level security', relation);
  for wanted in select * from jobs_ext.policies() p where p.relation = put_policies.relation loop
    if exists (select from pg_policy y where y.polrelid = relation::regclass and y.polname = wanted.name) then
      execute format('drop policy %I on %s', wanted.name, relation);
    end if;
    condition := case when wanted.by_job is null then members
                      else jobs_ext.condition_by_job(relation::regclass, wanted.by_job, members) end;
    execute format('create policy %I on %s for %s to authenticated %s', wanted.name, relation, wanted.command,
                   case wanted.command
                     when 'insert' then format('with check (%s)', condition)
                     when 'update' then format('using (%1$s) with check (%1$s)', condition)
                     else format('using (%s)', condition) end);
  end loop;
end $$;
comment on function jobs_ext.put_policies(text, text) is
'Makes the policies of a table anew, with this condition on organisation_id, and turns row security on; nothing where '
'there is no role authenticated. Part of jobs_ext.install(), bind() and unbind().';
