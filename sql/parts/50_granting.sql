-- Applies what 10_privileges.sql says.

create function jobs_ext.grant_on(objects text[], role name, kind text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  g record;
begin
  for g in
    -- By signature: the user may have a function of the same name.
    select p.sort, p.privilege, coalesce(f.signature, p.object) as object
    from jobs_ext.privileges(grant_on.kind) p
    left join lateral (
      select m.oid::regprocedure::text as signature
      from pg_proc m
      join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = m.oid and d.deptype = 'e'
      join pg_extension e on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
      where e.extname = 'jobs_ext'
        and p.object = m.pronamespace::regnamespace::text || '.' || m.proname
    ) f on p.sort = 'routine'
    where p.object = any (grant_on.objects)
  loop
    execute format('grant %s on %s %s to %I', g.privilege, g.sort, g.object, grant_on.role);
  end loop;
end $$;
comment on function jobs_ext.grant_on(text[], name, text) is
'Grants to a role what its kind may do with these objects.';

create function jobs_ext.revoke_all(sort text, object text, owner oid, acl aclitem[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  other oid;
begin
  for other in select distinct a.grantee from aclexplode(acl) a where a.grantee <> owner loop
    execute format('revoke all on %s %s from %s', sort, object,
                   case when other = 0 then 'public' else quote_ident(pg_get_userbyid(other)) end);
  end loop;
end $$;
comment on function jobs_ext.revoke_all(text, text, oid, aclitem[]) is
'Takes an object from everybody but its owner: from PUBLIC, and from whomever default privileges gave it to.';

create function jobs_ext.grant_role(role name, kind text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  grantee pg_roles;
  missing text;
begin
  if kind is null or kind not in ('producer', 'worker', 'operator', 'monitor') then
    raise exception 'unknown kind of role: %', coalesce(quote_ident(kind), 'null')
      using errcode = '22023', hint = 'The kinds are producer, worker, operator and monitor.';
  end if;
  select r.* into grantee from pg_roles r where r.rolname = grant_role.role;
  if not found then
    raise exception 'role % does not exist', coalesce('"' || role || '"', 'null') using errcode = '42704';
  end if;
  select p.object into missing from jobs_ext.privileges(grant_role.kind) p
  where p.sort = 'table' and to_regclass(p.object) is null limit 1;
  if found then
    raise exception 'relation "%" does not exist', missing
      using errcode = '42P01', hint = 'Make what is missing: select jobs_ext.install()';
  end if;

  perform jobs_ext.grant_on(array(select p.object from jobs_ext.privileges(grant_role.kind) p), role, kind);

  if exists (
    select from pg_class c
    where c.oid = 'public.jobs'::regclass and c.relrowsecurity
      and not grantee.rolsuper and not grantee.rolbypassrls and not pg_has_role(grantee.oid, c.relowner, 'usage')
      and (kind in ('worker', 'operator') or not exists (
        select from pg_policy y, unnest(y.polroles) as applies (role)
        where y.polrelid = c.oid
          and case when applies.role = 0 then true else pg_has_role(grantee.oid, applies.role, 'usage') end))
  ) then
    raise warning 'role "%" is subject to row level security on public.jobs', role
      using hint = case when kind in ('worker', 'operator')
        then 'Such a role can''t claim jobs: alter role … bypassrls.'
        else 'No policy shows it a job: create policy … on public.jobs to …, or alter role … bypassrls.' end;
  end if;
end $$;
comment on function jobs_ext.grant_role(name, text) is
'Gives a role what it needs, in addition to what it has. For the owner of the extension.

role: the role. kind: monitor (sees), producer (sees, enqueues, cancels, retries), worker (a producer '
'that claims, finishes, pauses and sets types), operator (a worker that pauses the whole queue, schedules, maintains).

Raises 22023 for an unknown kind, 42704 for an unknown role, 42P01 when the tables are missing, 42501 when not '
'allowed. Warns where row level security leaves the role nothing to see or to claim.';
