-- DROP EXTENSION CASCADE takes these from tables that outlive it.
create function jobs_ext.install_triggers() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  wanted record;
  function_there regprocedure;
begin
  for wanted in
    select * from (values
      ('public.jobs', 'jobs_ext_before_row', 'before insert or update', 'row', 'jobs_ext.jobs_before_row()'),
      ('public.jobs', 'jobs_ext_after_row', 'after insert or update or delete', 'row', 'jobs_ext.jobs_after_row()'),
      ('public.jobs', 'jobs_ext_after_truncate', 'after truncate', 'statement', 'jobs_ext.jobs_after_truncate()'),
      ('public.job_types', 'jobs_ext_restored', 'before insert', 'row', 'jobs_ext.job_types_restored()'),
      ('public.job_types', 'jobs_ext_changed', 'after insert or update or delete', 'row',
       'jobs_ext.job_types_changed()'),
      ('public.job_types', 'jobs_ext_truncated', 'after truncate', 'statement', 'jobs_ext.job_types_changed()')
    ) as t (relation, name, events, level, function)
  loop
    select t.tgfoid into function_there from pg_trigger t
    where t.tgrelid = wanted.relation::regclass and t.tgname = wanted.name;
    if not found then
      execute format('create trigger %I %s on %s for each %s execute function %s',
                     wanted.name, wanted.events, wanted.relation, wanted.level, wanted.function);
    elsif function_there <> wanted.function::regprocedure then
      raise exception 'trigger "%" on "%" is not the one of jobs_ext', wanted.name, wanted.relation
        using errcode = '42710', hint = 'Rename or drop it.';
    end if;
    if exists (select from pg_trigger t where t.tgrelid = wanted.relation::regclass and t.tgname = wanted.name
               and t.tgenabled <> 'A') then
      -- Also for rows that come with session_replication_role = replica: from a dump, or from another server.
      execute format('alter table %s enable always trigger %I', wanted.relation, wanted.name);
    end if;
  end loop;

  if not exists (
    select from pg_attribute a
    where a.attrelid = 'public.jobs'::regclass and a.attname = 'id' and a.atthasdef
  ) then
    alter table public.jobs alter column id set default jobs_ext.uuid_v7();
  end if;
end $$;
comment on function jobs_ext.install_triggers() is
'Puts back the missing triggers, and the default of jobs.id. Part of jobs_ext.install().';
