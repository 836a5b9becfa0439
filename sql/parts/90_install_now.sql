-- Everything is taken from everybody, default privileges or not; then the owner is given all, to hand on, and the roles
-- of the API what they need. The private tables stay with the superuser.
do $$
declare
  owner constant name := jobs_ext.owner();
  extension oid;
  member record;
  r record;
begin
  select e.oid into extension from pg_extension e where e.extname = 'jobs_ext';
  for member in
    select 'routine' as sort, 'execute' as privilege, p.oid::regprocedure::text as name, p.proowner as owner,
           coalesce(p.proacl, acldefault('f', p.proowner)) as acl
    from pg_depend d join pg_proc p on d.classid = 'pg_proc'::regclass and d.objid = p.oid
    where d.refclassid = 'pg_extension'::regclass and d.refobjid = extension and d.deptype = 'e'
    union all
    select 'type', 'usage', format_type(t.oid, null), t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
    from pg_depend d join pg_type t on d.classid = 'pg_type'::regclass and d.objid = t.oid
    -- Not the array and row types that come along with others, which are members too from PostgreSQL 17 on.
    join pg_class rows on rows.oid = t.typrelid and rows.relkind = 'c'
    where d.refclassid = 'pg_extension'::regclass and d.refobjid = extension and d.deptype = 'e'
    union all
    select 'language', 'usage', l.lanname, l.lanowner, coalesce(l.lanacl, acldefault('l', l.lanowner))
    from pg_depend d join pg_language l on d.classid = 'pg_language'::regclass and d.objid = l.oid
    where d.refclassid = 'pg_extension'::regclass and d.refobjid = extension and d.deptype = 'e'
    union all
    -- jobs_ext.pauses: the owner's pg_dump reads it, the owner's restore fills it.
    select 'table', case when c.relkind = 'v' then 'select'
                         when c.oid = 'jobs_ext.pauses'::regclass then 'select, insert' end,
           c.oid::regclass::text, c.relowner,
           coalesce(c.relacl, acldefault('r', c.relowner))
    from pg_depend d join pg_class c on d.classid = 'pg_class'::regclass and d.objid = c.oid
    where d.refclassid = 'pg_extension'::regclass and d.refobjid = extension and d.deptype = 'e'
  loop
    perform jobs_ext.revoke_all(member.sort, member.name, member.owner, member.acl);
    if member.privilege is not null and owner <> pg_get_userbyid(member.owner) then
      execute format('grant %s on %s %s to %I with grant option', member.privilege, member.sort, member.name, owner);
    end if;
  end loop;

  for r in select d.role, d.kind from jobs_ext.default_roles() d loop
    perform jobs_ext.grant_on(
      array(select p.object from jobs_ext.privileges(r.kind) p
            where p.sort in ('routine', 'type') or p.object = 'jobs_ext' or p.object like 'jobs\_ext.%'),
      r.role, r.kind);
  end loop;
end $$;

do $$
declare
  table_owner constant name := (
    select pg_get_userbyid(c.relowner) from pg_class c where c.oid = to_regclass('public.jobs'));
begin
  if current_setting('shared_preload_libraries') !~ '(^|[,/" ])jobs_ext($|[,." ])' then
    raise warning 'jobs_ext is not in shared_preload_libraries'
      using detail = 'Every function works, but nothing happens by itself: no lease runs out, nobody is woken.',
            hint = 'Add it to shared_preload_libraries and restart the server, or have job_maintain() called.';
  end if;
  if jobs_ext.restoring() then
    if current_setting('jobs_ext.pause_after_restore')::boolean then
      insert into jobs_ext.pauses (since, role, reason)
      values (clock_timestamp(), jobs_ext.owner(), 'restored: jobs_ext.pause_after_restore is on');
    end if;
  elsif jobs_ext.awaits_adoption() then
    -- Not here: what stands on that table is its owner's, and this runs as superuser.
    set local client_min_messages = notice; -- CREATE EXTENSION keeps notices back
    if table_owner <> jobs_ext.owner() then
      raise notice 'table "jobs" is there already, and belongs to "%", not to "%", the owner of jobs_ext', table_owner,
          jobs_ext.owner()
        using detail = 'Until it is adopted, which takes one owner of both, no table is made and each call is refused.',
              hint = jobs_ext.way_to_one_owner(table_owner);
    else
      raise notice 'table "jobs" is there already: select jobs_ext.adopt(''public.jobs'')'
        using detail = 'It was not made by jobs_ext. Until it is adopted no table is made and each call is refused.',
              hint = 'Its owner makes it the queue of jobs_ext by that statement. If it is something else, rename it, '
                     'and: select jobs_ext.install()';
    end if;
  else
    perform jobs_ext.install();
  end if;
end $$;
