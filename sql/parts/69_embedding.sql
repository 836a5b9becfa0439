-- What PostgREST embeds in a job: select('*, job_steps (*), job_attempts (*), children (*)'). Functions of the row,
-- which it takes for relationships, and no foreign keys, which would send each delete of a job by SQL.
--
-- Made by install(), since the type of the row comes with the table; as the tables they are the owner's, in a dump, and
-- outlive the extension. They run as the caller, who sees what a SELECT of its own shows. The bodies are texts, parsed
-- at the call, because an owner may add columns to a table.
create function jobs_ext.install_embedding() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  wanted record;
begin
  for wanted in
    select * from (values
      ('job_steps', 'public.job_steps', 'select s.* from public.job_steps s where s.job = $1.id order by s.step_number',
       'The steps of a job, in order'),
      ('job_attempts', 'public.job_attempts',
       'select a.* from public.job_attempts a where a.job = $1.id order by a.attempt',
       'The recorded attempts of a job, in order'),
      ('children', 'public.jobs',
       'select c.* from public.jobs c where c.parent_job_id = $1.id order by c.created_at, c.id',
       'The jobs that name this one in parent_job_id, in order; not those that are archived, which job_children() has')
    ) as v (name, gives, body, comment)
  loop
    continue when to_regprocedure(format('public.%I(public.jobs)', wanted.name)) is not null;
    execute format('create function public.%I(public.jobs) returns setof %s language sql stable rows 10 '
                   'set search_path = pg_catalog, pg_temp as %L', wanted.name, wanted.gives, wanted.body);
    execute format('comment on function public.%I(public.jobs) is %L', wanted.name,
                   wanted.comment || ': what PostgREST embeds by this name.');
    execute format('alter function public.%I(public.jobs) owner to %I', wanted.name, jobs_ext.owner());
    if exists (
      select from pg_depend d
      where d.classid = 'pg_proc'::regclass and d.deptype = 'e'
        and d.objid = format('public.%I(public.jobs)', wanted.name)::regprocedure
    ) then
      execute format('alter extension jobs_ext drop function public.%I(public.jobs)', wanted.name);
    end if;
  end loop;
end $$;
comment on function jobs_ext.install_embedding() is
'Makes public.job_steps(jobs), job_attempts(jobs) and children(jobs) where they are missing; those that are there '
'stay. Part of jobs_ext.install().';
