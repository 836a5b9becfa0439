-- What adopt() answers in, and what it refuses: a caller, a table, a row.

-- The steps that change something, and the advice, answer in rows of this.
create type jobs_ext.adoption as (step text, detail text, statement text);

create function jobs_ext.way_to_one_owner(table_owner name) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select case when r.rolsuper
           then format('drop extension jobs_ext; drop schema jobs_ext; set role %I; create extension jobs_ext',
                       table_owner)
           else format('alter table public.jobs owner to %I; or create the extension as %I.', r.rolname, table_owner)
           end
  from pg_roles r where r.rolname = jobs_ext.owner());
comment on function jobs_ext.way_to_one_owner(name) is
'What to do where public.jobs, which is to be adopted, has another owner than the extension.';

create function jobs_ext.require_owner_to_adopt(adopted regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  owner constant name := jobs_ext.owner();
  table_owner name;
begin
  if adopted is null or adopted is distinct from to_regclass('public.jobs') then
    raise exception 'only the table public.jobs can be adopted, not %', coalesce(adopted::text, 'null')
      using errcode = '22023', hint = 'Copy the rows of another table, once there is public.jobs.';
  end if;
  select pg_get_userbyid(c.relowner) into table_owner from pg_class c where c.oid = adopted;
  if table_owner <> owner then
    raise exception 'table "jobs" belongs to "%", not to "%", the owner of jobs_ext', table_owner, owner
      using errcode = '42501', hint = jobs_ext.way_to_one_owner(table_owner);
  elsif current_user <> owner then
    raise exception 'must be "%", the owner of public.jobs, to have it adopted', owner
      using errcode = '42501',
            detail = 'What stands on the table runs as whoever adopts it.', hint = format('set role %I', owner);
  elsif current_setting('transaction_isolation') <> 'read committed' then
    -- Its snapshot may be older than the lock, and miss rows.
    raise exception 'jobs_ext.adopt() must run at READ COMMITTED' using errcode = '25001';
  end if;
end $$;
comment on function jobs_ext.require_owner_to_adopt(regclass) is
'Raises 22023 unless it is public.jobs, 42501 unless the caller is its owner and that of the extension, 25001 outside '
'READ COMMITTED.';

create function jobs_ext.require_adoptable() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  there pg_class;
  misfit record;
begin
  perform jobs_ext.is_there('public.jobs'::text, 'r'::"char", null::regtype);
  select c.* into there from pg_class c where c.oid = 'public.jobs'::regclass;
  if there.relpersistence <> 'p' or there.relispartition
      or there.relam <> (select a.oid from pg_am a where a.amname = 'heap')
      or exists (select from pg_inherits i where i.inhrelid = there.oid or i.inhparent = there.oid) then
    raise exception 'table "jobs" is not an ordinary table'
      using errcode = '42809', detail = 'It is unlogged, has another access method, a parent or children.';
  end if;

  select o.attname as name, format_type(o.atttypid, o.atttypmod) as type,
         format_type(a.atttypid, a.atttypmod) as actual,
         a.atttypid = o.atttypid as fits into misfit
  from pg_type t join pg_attribute o on o.attrelid = t.typrelid and o.attnum > 0 and not o.attisdropped
  left join pg_attribute a
    on a.attrelid = there.oid and a.attname = o.attname and a.attnum > 0 and not a.attisdropped
  where t.oid = 'public.job'::regtype
    and case when a.attname is null then o.attname in ('id', 'job_id', 'job_type', 'status')
             else a.atttypid <> o.atttypid or a.attgenerated <> '' or a.attidentity <> '' end
  order by o.attnum
  limit 1;
  if not found then
    return;
  elsif misfit.actual is null then
    raise exception 'table "jobs" lacks the column "% %"', misfit.name, misfit.type
      using errcode = '55000', hint = 'If it is no table of jobs, rename it, and: select jobs_ext.install()';
  elsif misfit.fits then
    raise exception 'column "%" of table "jobs" is generated', misfit.name
      using errcode = '42804', hint = format('alter table public.jobs alter column %I drop expression (or identity)',
                                             misfit.name);
  end if;
  raise exception 'column "%" of table "jobs" has the type %, not %', misfit.name, misfit.actual, misfit.type
    using errcode = '42804',
          hint = format('alter table public.jobs alter column %I type %s using ...', misfit.name, misfit.type);
end $$;
comment on function jobs_ext.require_adoptable() is
'Raises 42809 or 42710 when public.jobs is no ordinary table of the user''s, 55000 when it lacks what no default can '
'give, 42804 when a column is of another type than ours.';

-- No table can be altered while a check of its rows is put off to the commit.
create function jobs_ext.adopt_deferred() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  names constant text := (
    select string_agg(distinct format('%I.%I', n.nspname, c.conname), ', ')
    from pg_constraint c join pg_namespace n on n.oid = c.connamespace
    where c.condeferrable and 'public.jobs'::regclass in (c.conrelid, c.confrelid));
begin
  if names is not null then
    execute format('set constraints %s immediate', names);
  end if;
end $$;
comment on function jobs_ext.adopt_deferred() is
'Part of jobs_ext.adopt(): has deferrable constraints of public.jobs, and foreign keys to it, checked now, and at once '
'until the transaction ends.';

create function jobs_ext.require_adoptable_rows(is_first boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  found_id text;
  found_value text;
  is_found boolean;
begin
  for r in
    select o.attname as name, format('j.%I', o.attname) as value, format('char_length(j.%I) > %s', o.attname,
           o.atttypmod - 4) as is_wrong,
           format('is longer than %s characters', o.atttypmod - 4) as wrong, '22001' as state
    from pg_type t join pg_attribute o on o.attrelid = t.typrelid and o.atttypmod > 4
    where t.oid = 'public.job'::regtype and o.atttypid = 'varchar'::regtype
    union all
    select n.name, 'null', format('j.%I is null', n.name), 'is null', '23502'
    from unnest(array['id', 'job_id', 'job_type', 'status']) n (name)
    union all
    select 'status', 'j.status', format('not %s', c.expression), 'is no status of a job', '23514'
    from jobs_ext.checks_of_jobs() c where c.name = 'check_status'
    union all
    select 'job_type', 'j.job_type', 'j.job_type::text = ''''', 'is empty', '23514'
    union all
    -- Ours is over as soon as there are no children that it waits for, and a column of that name ends jobs.
    select f.name, f.value, f.is_wrong, f.wrong, '23514'
    from (values ('status', 'j.status', 'j.status::text = ''blocked''', 'is one of jobs_ext''s own'),
                 ('expires_at', 'j.expires_at::text',
                  'j.expires_at <= statement_timestamp() and j.status::text in (''pending'', ''queued'', ''paused'')',
                  'is over, so that jobs_ext would cancel it at once')) f (name, value, is_wrong, wrong)
    where is_first
  loop
    execute format('select coalesce(j.id::text, ''without id, "'' || left(j.job_id, 100) || ''"''), left(%s, 100), '
                   'true from only public.jobs j where %s limit 1', r.value, r.is_wrong)
      into found_id, found_value, is_found;
    if is_found then
      raise exception 'the % of job % %', r.name, found_id, r.wrong || coalesce(': "' || found_value || '"', '')
        using errcode = r.state, hint = 'Update the row, or delete it, and adopt again.';
    end if;
  end loop;
end $$;
comment on function jobs_ext.require_adoptable_rows(boolean) is
'Part of jobs_ext.adopt(): raises 22001, 23502 or 23514 for a job that no value of ours can mend. is_first: the table '
'was never adopted, so that what has a name of ours may mean something else.';
