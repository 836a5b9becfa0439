-- Tenants: what ties `jobs` to the tables of an application, when its owner asks for it. Without it there is nothing of
-- the kind: no foreign key, and members of the organisation that their JWT names.
--
-- All of it is made by the caller, who owns the tables: constraints, indexes and policies, which the owner may alter,
-- a dump holds, and DROP EXTENSION leaves but for what names a function of ours. What bind() made says so in its
-- comment, by which it is found again: what was there before, as in a table of the seed's, is never taken away.

-- The caller's rights are enough for all that follows; a superuser's are too many: opening and planning over a table
-- runs what its owner put there (src/README.md, "Whose code runs as whom").
create function jobs_ext.require_owner_of_jobs() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  owner pg_roles;
begin
  select r.* into owner from pg_class c join pg_roles r on r.oid = c.relowner where c.oid = to_regclass('public.jobs');
  if not found then
    raise exception 'relation "public.jobs" does not exist'
      using errcode = '42P01', hint = 'Make it: select jobs_ext.install()';
  end if;
  if not pg_has_role(current_user, owner.oid, 'usage')
     or not owner.rolsuper and (select r.rolsuper from pg_roles r where r.rolname = current_user) then
    raise exception 'must be "%", the owner of "public.jobs"', owner.rolname
      using errcode = '42501', hint = format('set role %I', owner.rolname);
  end if;
end $$;
comment on function jobs_ext.require_owner_of_jobs() is
'Raises 42501 unless the caller owns public.jobs, and for a superuser who only may what its owner may.';

create function jobs_ext.mark_of_bind() returns text
language sql immutable set search_path = pg_catalog, pg_temp
return 'Made by jobs_ext.bind()';
comment on function jobs_ext.mark_of_bind() is 'The comment on each constraint and index that jobs_ext.bind() made.';

-- The index is made where none leads with the column: a delete of what is referred to looks for its jobs.
create function jobs_ext.bound_columns()
returns table (name name, on_delete text, action "char", index_columns text, index_predicate text)
language sql immutable set search_path = pg_catalog, pg_temp
begin atomic
  values ('organisation_id'::name, 'cascade', 'c'::"char", 'organisation_id, created_at', null::text),
         ('restaurant_id', 'set null', 'n', 'restaurant_id, created_at', 'restaurant_id is not null'),
         ('created_by', 'set null', 'n', 'created_by', 'created_by is not null');
end;
comment on function jobs_ext.bound_columns() is
'The columns of public.jobs that jobs_ext.bind() makes foreign keys of, with what a delete does and the index for it.';

create function jobs_ext.require_key(referenced regclass, argument text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = referenced and i.indnkeyatts = 1 and a.attname = 'id' and a.atttypid = 'uuid'::regtype
      and i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null
  ) then
    raise exception '%: "%" has no primary key or unique constraint on a column "id" of type uuid', argument, referenced
      using errcode = '42830', hint = format('alter table %s add primary key (id)', referenced);
  end if;
end $$;
comment on function jobs_ext.require_key(regclass, text) is
'Raises 42830 unless the table is unique by its column id, a uuid.';

-- Which jobs the foreign key would not hold for, before Postgres says so of the first one alone.
create function jobs_ext.require_referenced(column_name name, referenced regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  missing text[];
  sample text;
  nil constant text := '00000000-0000-0000-0000-000000000000';
begin
  execute format(
    'select array_agg(m.id) from (
       select distinct j.%1$I::text as id from public.jobs j
       where j.%1$I is not null and not exists (select from %2$s r where r.id = j.%1$I)
       order by 1 limit 6) m', column_name, referenced)
    into missing;
  if missing is null then
    return;
  end if;
  sample := array_to_string(missing[1:5], ', ') || case when cardinality(missing) > 5 then ', …' else '' end;
  raise exception '"%" has no row for the % of some jobs: %', referenced, column_name, sample
    using errcode = '23503',
          hint = case
            when column_name = 'organisation_id' and missing = array[nil] then
              format('Jobs of nobody''s have the nil UUID: insert into %s (id, …) values (''%s'', …), or delete them.',
                     referenced, nil)
            when column_name = 'organisation_id' then
              format('Insert what is missing into %s, or: select jobs_ext.erase_organisation(…).', referenced)
            else format('Insert what is missing, or: update public.jobs set %1$I = null where %1$I = any (…).',
                        column_name) end;
end $$;
comment on function jobs_ext.require_referenced(name, regclass) is
'Raises 23503, with the first five, for values of a column of public.jobs that are no id of the table.';

create function jobs_ext.drop_bound(kind text, column_name name) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  bound record;
begin
  for bound in
    select 'constraint' as kind, c.conname as name
    from pg_constraint c
    where c.conrelid = 'public.jobs'::regclass and c.contype = 'f'
      and obj_description(c.oid, 'pg_constraint') = jobs_ext.mark_of_bind()
      and (column_name is null or c.conkey = array[(
        select a.attnum from pg_attribute a where a.attrelid = c.conrelid and a.attname = column_name)])
    union all
    select 'index', x.relname
    from pg_index i join pg_class x on x.oid = i.indexrelid
    where i.indrelid = 'public.jobs'::regclass and obj_description(x.oid, 'pg_class') = jobs_ext.mark_of_bind()
      and (column_name is null or i.indkey[0] = (
        select a.attnum from pg_attribute a where a.attrelid = i.indrelid and a.attname = column_name))
  loop
    continue when bound.kind <> drop_bound.kind;
    execute format(case kind when 'constraint' then 'alter table public.jobs drop constraint %I'
                             else 'drop index public.%I' end, bound.name);
  end loop;
end $$;
comment on function jobs_ext.drop_bound(text, name) is
'Drops the foreign keys (constraint) or indexes (index) of public.jobs that jobs_ext.bind() made, of one column or, '
'where that is null, all.';

create function jobs_ext.bind_column(column_name name, referenced regclass, argument text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  wanted record;
  number smallint;
  made oid;
begin
  select * into wanted from jobs_ext.bound_columns() b where b.name = column_name;
  select a.attnum into number from pg_attribute a
  where a.attrelid = 'public.jobs'::regclass and a.attname = column_name and not a.attisdropped;
  perform jobs_ext.require_key(referenced, argument);

  if not exists (
    select from pg_index i
    where i.indrelid = 'public.jobs'::regclass and i.indkey[0] = number and i.indisvalid
      and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', column_name))
  ) then
    execute format('create index %I on public.jobs (%s) %s', 'idx_jobs_' || column_name, wanted.index_columns,
                   'where ' || wanted.index_predicate);
    execute format('comment on index public.%I is %L', 'idx_jobs_' || column_name, jobs_ext.mark_of_bind());
  end if;

  if exists (
    select from pg_constraint c
    where c.conrelid = 'public.jobs'::regclass and c.contype = 'f' and c.conkey = array[number]
      and c.confrelid = referenced and c.confdeltype = wanted.action and c.convalidated
  ) then
    return; -- also one that is not bind()'s
  end if;
  perform jobs_ext.drop_bound('constraint'::text, column_name);
  perform jobs_ext.require_referenced(column_name, referenced);
  execute format('alter table public.jobs add foreign key (%I) references %s (id) on delete %s',
                 column_name, referenced, wanted.on_delete);
  select max(c.oid) into made from pg_constraint c
  where c.conrelid = 'public.jobs'::regclass and c.contype = 'f' and c.conkey = array[number]
    and c.confrelid = referenced and c.confdeltype = wanted.action;
  execute format('comment on constraint %I on public.jobs is %L',
                 (select c.conname from pg_constraint c where c.oid = made), jobs_ext.mark_of_bind());
end $$;
comment on function jobs_ext.bind_column(name, regclass, text) is
'Makes a column of public.jobs a foreign key to the id of a table, in the place of one that bind() made before. Part '
'of jobs_ext.bind().';

create function jobs_ext.is_for_members(roles oid[]) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return exists (
  select from unnest(roles) r (role)
  where case when r.role = 0 then true else pg_has_role(to_regrole('authenticated'), r.role, 'usage') end);
comment on function jobs_ext.is_for_members(oid[]) is
'Whether a policy to these roles (pg_policy.polroles) is one for authenticated too: as PUBLIC, or as a member of one.';

-- Many an application lets its users update their own profile, all of it.
create function jobs_ext.members_write_profiles(profiles regclass) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return exists (
  select from pg_class r,
       (values ('insert', 'a'::"char"), ('update', 'w'::"char")) w (privilege, command),
       unnest('{organisation_id,role}'::text[]) c (name)
  where r.oid = profiles and has_column_privilege('authenticated', r.oid, c.name, w.privilege)
    and (not r.relrowsecurity or exists (
      select from pg_policy y
      where y.polrelid = r.oid and y.polpermissive and y.polcmd in ('*', w.command)
        and jobs_ext.is_for_members(y.polroles))));
comment on function jobs_ext.members_write_profiles(regclass) is
'Whether authenticated has the privilege and a policy to write organisation_id or role of profiles. What else keeps it '
'from that, the condition of the policy or a trigger, is not looked at.';

-- Members by public.profiles, as in the seed. A range, and not "own organisation or super admin": an OR with something
-- that is no column of the table is looked at for each row of it, a range is read in the index, from one organisation
-- to the same one, or from the first to the last.
create function jobs_ext.members_by_profiles() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
  profiles constant regclass := to_regclass('public.profiles');
begin
  if profiles is null or (
    select count(*) from pg_attribute a
    where a.attrelid = profiles and not a.attisdropped
      and (a.attname in ('id', 'organisation_id') and a.atttypid = 'uuid'::regtype or a.attname = 'role')) < 3 then
    return null;
  end if;
  perform jobs_ext.require_key(profiles, 'membership'::text);
  if exists (select from unnest('{id,organisation_id,role}'::text[]) c (name)
             where not has_column_privilege('authenticated', profiles, c.name, 'select')) then
    raise exception 'the role authenticated may not read "%"', profiles
      using errcode = '42501',
            hint = format('grant select (id, organisation_id, role) on %s to authenticated, or name a function that '
                          'may: membership => …', profiles);
  end if;
  if jobs_ext.members_write_profiles(profiles) then
    raise warning 'members may write organisation_id and role in "%", by which they see jobs', profiles
      using hint = format('Unless a policy or a trigger of yours keeps them from it: revoke insert, update on %s from '
                          'authenticated, and grant update on the columns that are theirs.', profiles);
  end if;
  return format(
    'organisation_id between
       (select case when p.role::text = %1$L then %2$L::uuid else p.organisation_id end
        from %4$s p where p.id = (select jobs_ext.claimed_user()))
       and (select case when p.role::text = %1$L then %3$L::uuid else p.organisation_id end
            from %4$s p where p.id = (select jobs_ext.claimed_user()))',
    'super_admin', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', profiles);
end $$;
comment on function jobs_ext.members_by_profiles() is
'The condition on organisation_id of a member by public.profiles (id, organisation_id, role), and of a super_admin; '
'null where there is no such table. Raises 42501 where authenticated may not read it; warns where it may write it.';

create function jobs_ext.membership_function(membership text) returns regprocedure
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
  -- Nothing, for an empty name, which PostgreSQL 15 calls invalid and 17 unknown.
  named constant text := case when split_part(membership, '(', 1) like '%.%' then '' else 'public.' end
                         || nullif(membership, '');
  called constant regprocedure := case when named like '%(%' then to_regprocedure(named)
                                       else to_regproc(named)::regprocedure end;
begin
  if called is null then
    raise exception 'membership: no function "%", or several', membership
      using errcode = '42883', hint = 'Name it with its schema, and with its arguments where there are several.';
  end if;
  if not has_function_privilege('authenticated', called, 'execute') then
    raise exception 'the role authenticated may not execute %', called
      using errcode = '42501', hint = format('grant execute on function %s to authenticated', called);
  end if;
  return called;
end $$;
comment on function jobs_ext.membership_function(text) is
'The function that bind(membership => …) names. Raises 42883 where there is none or several, 42501 where authenticated '
'may not execute it.';

-- Once a statement and not once a row: a set of organisations is an array that the index on organisation_id is read by.
-- What asks about one organisation is asked about each that is there, where authenticated may read which there are.
create function jobs_ext.members_by_function(membership regprocedure, organisations regclass) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
  f pg_proc;
  call text;
begin
  select p.* into f from pg_proc p where p.oid = membership;
  call := format('%s.%I', f.pronamespace::regnamespace, f.proname);
  if f.prokind <> 'f' or f.pronargs > 2
     or exists (select from unnest(f.proargtypes) t (type) where t.type <> 'uuid'::regtype)
     or f.prorettype not in ('uuid'::regtype, 'bool'::regtype)
     or f.prorettype = 'bool'::regtype and (f.proretset or f.pronargs = 0)
     or f.prorettype = 'uuid'::regtype and f.pronargs = 2 then
    raise exception 'membership: % does not say who is a member of what', membership
      using errcode = '42P13',
            hint = 'It takes nothing, or the user, and returns the organisations (setof uuid); or it takes an '
                   'organisation, or the user and an organisation, and returns a boolean. Users and organisations are '
                   'of type uuid.';
  end if;
  if f.prorettype = 'uuid'::regtype then
    return format('organisation_id = any (array(select %s(%s)))', call,
                  case when f.pronargs = 1 then '(select jobs_ext.claimed_user())' end);
  end if;
  call := call || case when f.pronargs = 2 then '((select jobs_ext.claimed_user()), %s)' else '(%s)' end;
  if organisations is not null and has_column_privilege('authenticated', organisations, 'id', 'select') then
    return format('organisation_id = any (array(select o.id from %s o where %s))', organisations, format(call, 'o.id'));
  end if;
  raise notice '% is called for each row that a member looks at', membership
    using hint = 'Bind a table of organisations whose column id authenticated may select, or name a function that '
                 'returns the organisations of the user (setof uuid).';
  return format(call, 'organisation_id');
end $$;
comment on function jobs_ext.members_by_function(regprocedure, regclass) is
'The condition on organisation_id of a member by this function. Raises 42P13 for a function that can''t tell.';

-- What the policies say now is known from what they depend on.
create function jobs_ext.bound_membership() returns regprocedure
language sql stable set search_path = pg_catalog, pg_temp
return (
  select d.refobjid::regprocedure
  from pg_policy y
  join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = y.oid and d.refclassid = 'pg_proc'::regclass
  where y.polrelid = to_regclass('public.jobs') and y.polname = 'jobs_ext_members_read'
    and not exists (
      select from pg_depend m join pg_extension e on m.refclassid = 'pg_extension'::regclass and m.refobjid = e.oid
      where m.classid = 'pg_proc'::regclass and m.objid = d.refobjid and m.deptype = 'e' and e.extname = 'jobs_ext')
  limit 1);
comment on function jobs_ext.bound_membership() is
'The function that jobs_ext.bind() was given as membership; null where there is none.';

create function jobs_ext.bound_organisations() returns regclass
language sql stable set search_path = pg_catalog, pg_temp
return (
  select c.confrelid::regclass
  from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
  where c.conrelid = to_regclass('public.jobs') and c.contype = 'f' and a.attname = 'organisation_id'
  order by c.oid desc limit 1);
comment on function jobs_ext.bound_organisations() is
'The table that public.jobs.organisation_id refers to; null where it refers to none.';

create function jobs_ext.policies_of_others()
returns table (name name, relation regclass)
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  select y.polname, y.polrelid::regclass
  from (select distinct p.relation from jobs_ext.policies() p) t
  join pg_policy y on y.polrelid = to_regclass(t.relation) and y.polpermissive
  where jobs_ext.is_for_members(y.polroles)
    and not exists (select from jobs_ext.policies() p where p.relation = t.relation and p.name = y.polname);
end;
comment on function jobs_ext.policies_of_others() is
'The permissive policies for members that are not those of jobs_ext.policies(): what they let through adds up.';

create function jobs_ext.put_all_policies(members text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  bound text;
  other record;
begin
  if to_regrole('authenticated') is null then
    return;
  end if;
  -- In the order in which verbs and upkeep open them, jobs first: each is locked until the end of the transaction.
  for bound in
    select distinct p.relation, p.relation <> 'public.jobs' as is_later
    from jobs_ext.policies() p
    where to_regclass(p.relation) is not null
    order by is_later, p.relation desc
  loop
    perform jobs_ext.put_policies(bound, members);
  end loop;
  for other in select * from jobs_ext.policies_of_others() loop
    raise notice 'policy "%" on "%" lets members see or do more', other.name, other.relation
      using hint = 'Permissive policies add up. Drop it, unless that is meant.';
  end loop;
end $$;
comment on function jobs_ext.put_all_policies(text) is
'Makes the policies of all tables anew, and tells of those of others that add to them.';

create function jobs_ext.bind_members(membership text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  by_function regprocedure;
  members text;
begin
  if to_regrole('authenticated') is null then
    if membership is not null then
      raise exception 'there is no role authenticated' using errcode = '42704',
        hint = 'Its policies are what bind() makes of membership; write those of other roles yourself.';
    end if;
    return;
  end if;
  by_function := case when membership is null then jobs_ext.bound_membership()
                      else jobs_ext.membership_function(membership) end;
  members := case when by_function is null then jobs_ext.members_by_profiles()
                  else jobs_ext.members_by_function(by_function, jobs_ext.bound_organisations()) end;
  if members is null then
    raise notice 'members are still those of the organisation that their JWT names'
      using hint = 'There is no public.profiles (id uuid, organisation_id uuid, role) to ask: have a JWT hook set '
                   'app_metadata.org_id, or name a function, membership => ….';
    members := jobs_ext.members_by_claim();
  end if;
  perform jobs_ext.put_all_policies(members);
end $$;
comment on function jobs_ext.bind_members(text) is
'Makes the policies by a function, by what was bound before, or by public.profiles. Part of jobs_ext.bind().';

-- For queries of the seed's that ask for a status and nothing else. (priority desc, created_at) without the status that
-- the seed's idx_jobs_queue begins with: two statuses are asked for, and the first row of an order is read only from
-- what is in that order. By finished_at the two views over all jobs find what has not ended, or not long ago.
create function jobs_ext.status_indexes()
returns table (name name, definition text)
language sql immutable set search_path = pg_catalog, pg_temp
begin atomic
  values ('idx_jobs_status'::name, '(status, created_at)'),
         ('idx_jobs_waiting', '(priority desc, created_at) where status::text in (''pending'', ''queued'')'),
         ('idx_jobs_finished_at', '(finished_at)');
end;
comment on function jobs_ext.status_indexes() is
'The indexes of public.jobs that jobs_ext.bind(status_index => true) makes, over what the moves of a job change.';

create function jobs_ext.bind_status_index(wanted boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  i record;
  there regclass;
  has_made boolean := false;
begin
  for i in select * from jobs_ext.status_indexes() loop
    there := to_regclass(format('public.%I', i.name));
    if wanted and there is null then
      execute format('create index %I on public.jobs %s', i.name, i.definition);
      execute format('comment on index public.%I is %L', i.name, jobs_ext.mark_of_bind());
      has_made := true;
    elsif not wanted and obj_description(there, 'pg_class') = jobs_ext.mark_of_bind() then
      execute format('drop index %s', there);
    end if;
  end loop;
  if has_made then
    raise notice 'each claim, completion and failure now writes all indexes of jobs'
      using hint = 'That is the price of an index on status: no update of it is heap-only any more. jobs_active, '
                   'jobs_failed and job_list() do without.';
  end if;
end $$;
comment on function jobs_ext.bind_status_index(boolean) is
'Makes or drops the indexes of jobs_ext.status_indexes(). Part of jobs_ext.bind().';

-- Whoever deletes an organisation need not know of jobs: the triggers note it for the archive.
create function jobs_ext.unwatch_organisations(trigger_name name, organisations regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  statement constant text := format('drop trigger %I on %s', trigger_name, organisations);
begin
  execute statement;
exception when insufficient_privilege then
  raise exception 'must be owner of table "%"', organisations
    using errcode = '42501',
          hint = format('Jobs were bound to it by who may make a trigger there, but only its owner may drop one. Let '
                        'its owner: %s; then call this again.', statement);
end $$;
comment on function jobs_ext.unwatch_organisations(name, regclass) is
'Drops a trigger that jobs_ext.watch_organisations() made. Raises 42501 where only another may.';

create function jobs_ext.watch_organisations(organisations regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  wanted record;
begin
  perform jobs_ext.unwatch_organisations(t.tgname, t.tgrelid::regclass)
  from pg_trigger t
  where t.tgfoid = 'jobs_ext.organisation_deleted()'::regprocedure and t.tgparentid = 0
    and (organisations is null or t.tgrelid <> organisations);
  if organisations is null then
    return;
  end if;
  for wanted in
    select * from (values
      ('jobs_ext_organisation_deleted', 'after delete', 'row'),
      ('jobs_ext_organisations_truncated', 'before truncate', 'statement')
    ) as v (name, event, level)
    where not exists (
      select from pg_trigger t
      where t.tgrelid = organisations and t.tgname = v.name
        and t.tgfoid = 'jobs_ext.organisation_deleted()'::regprocedure)
  loop
    execute format('create trigger %I %s on %s for each %s execute function jobs_ext.organisation_deleted()',
                   wanted.name, wanted.event, organisations, wanted.level);
  end loop;
end $$;
comment on function jobs_ext.watch_organisations(regclass) is
'Puts the triggers that note which organisations are deleted on this table and on no other; null: on none. Part of '
'jobs_ext.bind() and unbind().';

create function jobs_ext.bind(
  organisations regclass default null,
  restaurants regclass default null,
  users regclass default null,
  membership text default null,
  status_index boolean default null
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  nil_is_there boolean;
begin
  perform jobs_ext.require_owner_of_jobs();
  if organisations is not null then
    perform jobs_ext.bind_column('organisation_id'::name, organisations, 'organisations'::text);
    perform jobs_ext.watch_organisations(organisations);
    execute format('select exists (select from %s o where o.id = %L)', organisations,
                   '00000000-0000-0000-0000-000000000000') into nil_is_there;
    if not nil_is_there then
      raise notice 'a job that names no organisation is refused from now on'
        using hint = format('Or insert the nil UUID, which such jobs have, into %s.', organisations);
    end if;
  end if;
  if restaurants is not null then
    perform jobs_ext.bind_column('restaurant_id'::name, restaurants, 'restaurants'::text);
  end if;
  if users is not null then
    perform jobs_ext.bind_column('created_by'::name, users, 'users'::text);
  end if;
  if status_index is null or num_nonnulls(organisations, restaurants, users, membership) > 0 then
    perform jobs_ext.bind_members(membership);
  end if;
  if status_index is not null then
    perform jobs_ext.bind_status_index(status_index);
  end if;
end $$;
comment on function jobs_ext.bind(regclass, regclass, regclass, text, boolean) is
'Ties the jobs to the tables of an application. For the owner of public.jobs; what it makes is that owner''s, and in a '
'dump. Null leaves what is there; called again with another table or function it replaces what it made.

organisations: a table, unique by "id uuid". public.jobs.organisation_id becomes a foreign key to it, on delete '
'cascade: with an organisation go its jobs, at once, and what it has in the archive, in batches, by the worker or '
'job_maintain(); TRUNCATE ... CASCADE does the same for all. What it has when it is made again is its own. For an '
'organisation with very many jobs call jobs_ext.erase_organisation() first.
restaurants, users: likewise for restaurant_id and created_by, on delete set null.
membership: of whom a user is a member, for the policies of the role authenticated on jobs, jobs_archive and what '
'belongs to a job. The name of a function, with its arguments where there are several, that returns the organisations '
'of the caller, f() returns setof uuid, or of the user, f(uuid); or says whether somebody is one, f(user uuid, '
'organisation uuid) returns boolean, or f(organisation uuid). It is called as the caller, once a statement where it '
'can be; the user is the claim sub. Null: the one that was given before (unbind() forgets it), else public.profiles '
'(id, organisation_id, role), where super_admin sees all; its own policies must not read jobs, and members must not '
'write organisation_id and role (a warning where they have the privilege).
status_index: true makes the indexes for queries by status alone, on (status, created_at), on (finished_at) and, of '
'what waits, on (priority desc, created_at); false drops them. Their price is that no claim and no completion is a '
'heap-only update any more.

Adds the indexes that the foreign keys need, holding public.jobs. Raises 42501 for anybody but the owner, for a '
'superuser who is not, and where authenticated may not read profiles or execute the function; 42830 for a table '
'without such a key; 23503 with the ids, for jobs that refer to nothing; 42883 and 42P13 for a function that is not '
'there, or not of one of these kinds; 42704 for membership without a role authenticated. Changes nothing on an error.';

create function jobs_ext.unbind() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform jobs_ext.require_owner_of_jobs();
  perform jobs_ext.drop_bound('constraint'::text, null::name);
  perform jobs_ext.drop_bound('index'::text, null::name);
  perform jobs_ext.watch_organisations(null::regclass);
  perform jobs_ext.put_all_policies(jobs_ext.members_by_claim());
end $$;
comment on function jobs_ext.unbind() is
'Takes back what jobs_ext.bind() made: foreign keys, indexes, policies. Members are then, as at installation, those of '
'the organisation that their JWT names. It also puts back policies that DROP EXTENSION CASCADE took. Raises 42501 for '
'anybody but the owner of public.jobs.';
