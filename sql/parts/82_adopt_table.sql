-- What a table that is adopted gets: columns, constraints, indexes, storage, comments.

-- What would stand in the way of the rows, or is in place of something of ours.
create function jobs_ext.adopt_checks_off() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  if exists (
    select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
    where t.tgrelid = 'public.jobs'::regclass and t.tgname = 'update_jobs_updated_at'
      and p.proname = 'update_updated_at_column'
  ) then
    drop trigger update_jobs_updated_at on public.jobs;
    return next (
      'trigger', 'dropped "update_jobs_updated_at": jobs_ext keeps updated_at itself', null)::jobs_ext.adoption;
  end if;
  for r in
    select c.conname as name, c.conname = 'check_job_type' as of_types, pg_get_constraintdef(c.oid) as definition
    from pg_constraint c
    where c.conrelid = 'public.jobs'::regclass and c.contype = 'c'
      and (c.conname = 'check_job_type' or exists (
        select from jobs_ext.checks_of_jobs() o
        where o.name = c.conname and not jobs_ext.is_same_check(c.oid, o.expression)))
  loop
    execute format('alter table public.jobs drop constraint %I', r.name);
    return next ('constraint', format('dropped "%s": %s', r.name,
                                      case when r.of_types then 'public.job_types says which types there are'
                                           else 'jobs_ext has its own' end) || '; it was: ' || r.definition,
                 null)::jobs_ext.adoption;
  end loop;
end $$;
comment on function jobs_ext.adopt_checks_off() is
'Part of jobs_ext.adopt(): takes the seed''s trigger, and the constraints that have the names of ours.';

create function jobs_ext.is_same_check(there oid, expression text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return (
  select btrim(regexp_replace(pg_get_expr(c.conbin, c.conrelid), '\s+', ' ', 'g'))
         = btrim(regexp_replace(expression, '\s+', ' ', 'g')) and c.convalidated
  from pg_constraint c where c.oid = there);
comment on function jobs_ext.is_same_check(oid, text) is
'Whether a constraint says this, as Postgres prints it, and holds for all rows.';

create function jobs_ext.adopt_columns() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  defaults jsonb := '{}';
begin
  for r in
    select c.name, c.type, c.modifiers, a.attname is null as is_new, pg_get_expr(d.adbin, d.adrelid) as now,
           -- ours, out of "not null default … primary key"
           regexp_replace(substring(c.modifiers from 'default .*'), '^default | primary key$', '', 'g') as ours
    from jobs_ext.columns_of_jobs() with ordinality as c (name, type, modifiers, comment, n)
    left join pg_attribute a on a.attrelid = 'public.jobs'::regclass and a.attname = c.name and not a.attisdropped
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    order by c.n
  loop
    if r.is_new then
      execute format('alter table public.jobs add column %I %s %s', r.name, r.type, r.modifiers);
      return next ('column', format('added "%s"', r.name), null)::jobs_ext.adoption;
    elsif r.ours is not null and (r.now is null or r.name = 'id' and r.now <> r.ours) then
      execute format('alter table public.jobs alter column %I set default %s', r.name, r.ours);
      return next ('column', format('default of "%s" is %s', r.name, r.ours), null)::jobs_ext.adoption;
    end if;
  end loop;
end $$;
comment on function jobs_ext.adopt_columns() is
'Part of jobs_ext.adopt(): adds the missing columns, and the defaults where there are none.';

create function jobs_ext.adopt_storage() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  for r in
    select o.setting from unnest(jobs_ext.storage_of_jobs()) as o (setting)
    join pg_class c on c.oid = 'public.jobs'::regclass
    left join pg_class t on t.oid = c.reltoastrelid
    where not exists (
      select from unnest(case when o.setting like 'toast.%' then t.reloptions else c.reloptions end) as there (setting)
      where split_part(there.setting, '=', 1) = replace(split_part(o.setting, '=', 1), 'toast.', ''))
  loop
    execute format('alter table public.jobs set (%s)', r.setting);
    return next ('storage', 'set ' || r.setting, null)::jobs_ext.adoption;
  end loop;
  if exists (select from pg_attribute a
             where a.attrelid = 'public.jobs'::regclass and a.attname = 'organisation_id' and a.attoptions is null) then
    perform jobs_ext.expect_many_organisations('public.jobs'::regclass);
    return next ('storage', 'set n_distinct of "organisation_id"', 'analyze public.jobs')::jobs_ext.adoption;
  end if;
end $$;
comment on function jobs_ext.adopt_storage() is 'Part of jobs_ext.adopt(): storage parameters that are not set.';

create function jobs_ext.adopt_constraints() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  for r in
    select c.name from jobs_ext.columns_of_jobs() c
    join pg_attribute a on a.attrelid = 'public.jobs'::regclass and a.attname = c.name and not a.attisdropped
    where (c.modifiers like 'not null%' or c.name = 'id') and not a.attnotnull
  loop
    execute format('alter table public.jobs alter column %I set not null', r.name);
    return next ('column', format('"%s" is not null', r.name), null)::jobs_ext.adoption;
  end loop;
  for r in
    select c.name, c.expression from jobs_ext.checks_of_jobs() c
    where not exists (
      select from pg_constraint there where there.conrelid = 'public.jobs'::regclass and there.conname = c.name)
  loop
    execute format('alter table public.jobs add constraint %I check (%s)', r.name, r.expression);
    return next ('constraint', format('added "%s"', r.name), null)::jobs_ext.adoption;
  end loop;
end $$;
comment on function jobs_ext.adopt_constraints() is
'Part of jobs_ext.adopt(): what holds for every job of ours.';

create function jobs_ext.has_index(columns text[], is_key boolean, predicate text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return exists (
  select from pg_index i
  join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam
  where i.indrelid = to_regclass('public.jobs') and i.indisvalid and m.amname = 'btree'
    and columns = array(
      select a.attname::text from unnest(i.indkey::int2[]) with ordinality as k (number, n)
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
      where k.n <= case when is_key then i.indnkeyatts else least(i.indnkeyatts, cardinality(columns)) end
      order by k.n)
    and (not is_key or i.indisunique and i.indimmediate)
    and (i.indpred is null or lower(pg_get_expr(i.indpred, i.indrelid)) = format('(%s)', predicate)));
comment on function jobs_ext.has_index(text[], boolean, text) is
'Whether public.jobs has an index that serves as one that begins with these columns; is_key: as a key of just these. '
'predicate: of one that need not have all rows; null: it must.';

create function jobs_ext.adopt_indexes() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  free_name text;
begin
  if not jobs_ext.has_index('{id}'::text[], true, null::text) then
    if exists (select from pg_index i where i.indrelid = 'public.jobs'::regclass and i.indisprimary) then
      alter table public.jobs add unique (id);
      return next ('index', 'added a unique constraint on "id", since the primary key is another',
                   null)::jobs_ext.adoption;
    else
      alter table public.jobs add primary key (id);
      return next ('index', 'added the primary key on "id"', null)::jobs_ext.adoption;
    end if;
  end if;
  if not jobs_ext.has_index('{job_id}'::text[], true, null::text) then
    alter table public.jobs add unique (job_id);
    return next ('index', 'added the unique constraint on "job_id"', null)::jobs_ext.adoption;
  end if;
  for r in select i.name, i.is_unique, i.columns, i.predicate from jobs_ext.indexes_of_jobs() i loop
    if jobs_ext.has_index(r.columns, r.is_unique, r.predicate) then
      continue;
    end if;
    -- The seed's own of that name may have other columns.
    select min(n.name) into free_name
    from (select r.name || s.suffix from unnest(array['', '_2', '_3', '_4']) as s (suffix)) n (name)
    where to_regclass(format('public.%I', n.name)) is null;
    perform jobs_ext.make_index_of_jobs(free_name, r.is_unique, r.columns, r.predicate);
    return next ('index', format('added "%s" on (%s)', free_name, array_to_string(r.columns, ', ')),
                 null)::jobs_ext.adoption;
  end loop;
end $$;
comment on function jobs_ext.adopt_indexes() is 'Part of jobs_ext.adopt(): keys and indexes that are missing.';

create function jobs_ext.adopt_comments() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  made bigint := 0;
begin
  for r in
    select c.name, c.comment from jobs_ext.columns_of_jobs() c
    join pg_attribute a on a.attrelid = 'public.jobs'::regclass and a.attname = c.name and not a.attisdropped
    where col_description(a.attrelid, a.attnum) is null
  loop
    execute format('comment on column public.jobs.%I is %L', r.name, r.comment);
    made := made + 1;
  end loop;
  if made > 0 then
    return next ('comment', format('of %s columns that had none', made), null)::jobs_ext.adoption;
  end if;
end $$;
comment on function jobs_ext.adopt_comments() is 'Part of jobs_ext.adopt(): comments of columns that have none.';
