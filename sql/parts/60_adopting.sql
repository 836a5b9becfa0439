-- The tables and views of the API are the user's: they belong to the owner of the extension and are detached from it,
-- so that a dump holds them whole, with what the user added to them, and DROP EXTENSION leaves the jobs alone.

create function jobs_ext.owner() returns name
language sql stable set search_path = pg_catalog, pg_temp
return (
  select case when r.rolsuper then pg_get_userbyid(n.nspowner) else r.rolname end
  from pg_extension e
  join pg_roles r on r.oid = e.extowner
  join pg_namespace n on n.oid = e.extnamespace
  where e.extname = 'jobs_ext');
comment on function jobs_ext.owner() is
'Who owns the tables: the owner of the extension. When a superuser restored somebody else''s dump, the extension is '
'the superuser''s but the schema jobs_ext has the owner that it had, and that is who.';

create function jobs_ext.is_there(relation text, relkind "char", columns_of regtype default null) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  there pg_class;
  other_extension name;
  missing text;
begin
  select c.* into there from pg_class c where c.oid = to_regclass(relation);
  if not found then
    return false;
  end if;

  select e.extname into other_extension
  from pg_depend d join pg_extension e on e.oid = d.refobjid
  where d.classid = 'pg_class'::regclass and d.objid = there.oid and d.deptype = 'e'
    and d.refclassid = 'pg_extension'::regclass;
  if found then
    raise exception 'relation "%" belongs to the extension "%"', relation, other_extension
      using errcode = '42710', hint = 'Drop that extension, or rename its relation.';
  end if;

  if there.relowner <> (select r.oid from pg_roles r where r.rolname = jobs_ext.owner()) then
    raise exception 'relation "%" is there already and belongs to "%", not to "%"',
        relation, pg_get_userbyid(there.relowner), jobs_ext.owner()
      using errcode = '42710',
            hint = format('If it holds your jobs, give it to %I, or create the extension as %I. '
                          'If it is something else, rename it.',
                          jobs_ext.owner(), pg_get_userbyid(there.relowner));
  end if;

  if there.relkind <> is_there.relkind then
    raise exception 'relation "%" is there already and is not of the kind that jobs_ext makes', relation
      using errcode = '42710', hint = 'Rename it.';
  end if;

  select c.attname || ' ' || format_type(c.atttypid, c.atttypmod) into missing
  from pg_type t join pg_attribute c on c.attrelid = t.typrelid and c.attnum > 0 and not c.attisdropped
  where t.oid = columns_of and not exists (
    select from pg_attribute a
    where a.attrelid = there.oid and a.attname = c.attname and a.atttypid = c.atttypid
      and a.attnum > 0 and not a.attisdropped)
  order by c.attnum
  limit 1;
  if found then
    raise exception 'relation "%" is there already and lacks the column "%"', relation, missing
      using errcode = '55000',
            hint = 'If it holds your jobs, put the column back; if it is something else, rename it.';
  end if;
  return true;
end $$;
comment on function jobs_ext.is_there(text, "char", regtype) is
'Whether a relation of ours is there, to be adopted as it is. A stranger of that name is an error: 42710, or 55000 '
'when it lacks columns. Reads catalogs alone.';

-- What of a table is compared with the type job: columns by name and type, wherever they stand.
create function jobs_ext.awaits_adoption() returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return exists (
  select from pg_class c
  where c.oid = to_regclass('public.jobs') and c.relkind = 'r'
    and not exists (
      select from pg_depend d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
    and exists (
      select from pg_type t join pg_attribute o on o.attrelid = t.typrelid and o.attnum > 0 and not o.attisdropped
      where t.oid = 'public.job'::regtype and not exists (
        select from pg_attribute a
        where a.attrelid = c.oid and a.attname = o.attname and a.atttypid = o.atttypid
          and a.attnum > 0 and not a.attisdropped)));
comment on function jobs_ext.awaits_adoption() is
'Whether there is a table public.jobs that lacks columns of ours, hence was there before jobs_ext: adopt() makes it '
'ours. Reads catalogs alone.';

-- No index but this one, and no more columns in it: equal keys are kept once, 7 bytes an attempt.
create function jobs_ext.add_organisation(relation regclass, is_new boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  there pg_attribute;
begin
  select a.* into there from pg_attribute a
  where a.attrelid = relation and a.attname = 'organisation_id' and a.attnum > 0 and not a.attisdropped;
  if there.atttypid <> 'uuid'::regtype then
    raise exception 'column "organisation_id" of "%" is there already and is not a uuid', relation
      using errcode = '55000', hint = format('alter table %s rename column organisation_id to …', relation);
  end if;
  if there.atttypid is not null then
    return;
  end if;
  execute format('alter table only %s add column organisation_id uuid', relation);
  execute format('create index on %s (organisation_id)', relation);
  perform jobs_ext.expect_many_organisations(relation);
  execute format('comment on column %s.organisation_id is %L', relation,
                 'That of the job, with which it changes: by it a member''s rows are found, of which those are shown '
                   'whose job the member sees. Null: only the job tells');
  if not is_new then
    raise notice '"%" has the column organisation_id from now on, null in the rows that are there', relation
      using hint = 'Have its policy look rows up by it: select jobs_ext.bind()';
  end if;
end $$;
comment on function jobs_ext.add_organisation(regclass, boolean) is
'Gives a table of what belongs to a job the organisation of that job, with an index, where it lacks the column, as one '
'of an older version does. Its rows stay as they are. Raises 55000 for a column of that name and another type.';

create function jobs_ext.hand_over(relation regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  execute format('alter table %s owner to %I', relation, jobs_ext.owner());
  perform jobs_ext.revoke_all('table'::text, relation::text, c.relowner, c.relacl)
  from pg_class c where c.oid = relation;
  for r in select d.role, d.kind from jobs_ext.default_roles() d loop
    perform jobs_ext.grant_on(array[relation::text], r.role, r.kind);
  end loop;

  -- After the grants: pg_dump leaves out those that an extension's script made, and detaching forgets that it did.
  if exists (
    select from pg_depend d
    where d.classid = 'pg_class'::regclass and d.objid = relation and d.deptype = 'e'
  ) then
    execute format('alter extension jobs_ext drop %s %s',
                   (select case c.relkind when 'v' then 'view' else 'table' end from pg_class c where c.oid = relation),
                   relation);
  end if;
end $$;
comment on function jobs_ext.hand_over(regclass) is
'Gives a relation just made to the owner of the extension, with the default grants, and detaches it.';
