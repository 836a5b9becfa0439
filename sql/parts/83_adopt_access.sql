-- Who may do what with a table that is adopted.

-- With the tables that foreign keys of jobs name, of which bind() then makes none.
create function jobs_ext.statement_to_bind() returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select format('select jobs_ext.bind(%s)', string_agg(format('%s => %L', b.argument, b.referenced), ', ' order by b.n))
  from (
    select w.n, w.argument, max(c.confrelid::regclass::text)
    from (values (1, 'organisations', 'organisation_id'), (2, 'restaurants', 'restaurant_id'),
                 (3, 'users', 'created_by')) w (n, argument, name)
    join pg_attribute a on a.attrelid = to_regclass('public.jobs') and a.attname = w.name
    join pg_constraint c on c.conrelid = a.attrelid and c.contype = 'f' and c.conkey = array[a.attnum]
    group by 1, 2) b (n, argument, referenced));
comment on function jobs_ext.statement_to_bind() is
'The call of jobs_ext.bind() with the tables that public.jobs refers to.';

-- The seed's policies are for every role there is. Those of the user's own stay, and then decide alone.
create function jobs_ext.adopt_policies() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  had_seeds boolean := false;
  had_rls constant boolean := (select c.relrowsecurity from pg_class c where c.oid = 'public.jobs'::regclass);
begin
  if to_regrole('authenticated') is null then
    return;
  end if;
  for r in
    select p.polname as name from pg_policy p
    where p.polrelid = 'public.jobs'::regclass and p.polroles = array[0::oid]
      and p.polname in ('Enable read access for org members', 'Enable insert for org members',
                        'Enable update for org members')
  loop
    execute format('drop policy %I on public.jobs', r.name);
    had_seeds := true;
    return next ('policy', format('dropped "%s": it is for every role', r.name), null)::jobs_ext.adoption;
  end loop;
  if (had_seeds or not exists (select from pg_policy p where p.polrelid = 'public.jobs'::regclass))
      and not exists (
        select from pg_policy p where p.polrelid = 'public.jobs'::regclass and p.polname like 'jobs\_ext\_%') then
    perform jobs_ext.put_policies('public.jobs'::text, jobs_ext.members_by_claim());
    return next (
      'policy', 'made those of jobs_ext, for authenticated: a member is who has the organisation in the claim org_id'
        || case when had_rls then '' else '; row level security is on now, so that other roles need policies' end,
      null)::jobs_ext.adoption;
    if had_seeds then
      return next (
        'advice', 'members were those of public.profiles; now who has no claim org_id sees no job',
        jobs_ext.statement_to_bind())::jobs_ext.adoption;
    end if;
  end if;
end $$;
comment on function jobs_ext.adopt_policies() is
'Part of jobs_ext.adopt(): ours in the place of the seed''s, where there is a role authenticated.';

-- What default privileges gave to the roles of the API when the table was made; roles of the user's own keep theirs.
create function jobs_ext.adopt_grants(relation regclass) returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  for r in
    select a.role, d.kind, a.said
    from (
      select 0::oid, null::name, 'public'
      union all
      select p.oid, p.rolname, quote_ident(p.rolname) from pg_roles p
      where p.rolname in ('anon', 'authenticated', 'service_role')) a (oid, role, said)
    left join jobs_ext.default_roles() d on d.role = a.role
    cross join lateral (
      select array(
        select distinct lower(g.privilege_type)
        from pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) g
        where c.oid = adopt_grants.relation and g.grantee = a.oid
        union
        select distinct format('%s (%s)', lower(g.privilege_type), t.attname)
        from pg_attribute t, aclexplode(t.attacl) g
        where t.attrelid = adopt_grants.relation and g.grantee = a.oid
        order by 1)) h (has)
    cross join lateral (
      select array(
        select w.privilege from jobs_ext.privileges(d.kind) g, unnest(string_to_array(g.privilege, ', ')) w (privilege)
        where g.sort = 'table' and to_regclass(g.object) = adopt_grants.relation
        order by 1)) m (may)
    where h.has <> m.may
  loop
    execute format('revoke all on %s from %s', relation, r.said);
    if r.kind is not null then
      perform jobs_ext.grant_on(
        array(select distinct g.object from jobs_ext.privileges(r.kind) g
              where g.sort = 'table' and to_regclass(g.object) = relation), r.role, r.kind);
    end if;
    return next ('grant', format('%s on %s as jobs_ext gives it', r.said, relation), null)::jobs_ext.adoption;
  end loop;
end $$;
comment on function jobs_ext.adopt_grants(regclass) is
'Part of jobs_ext.adopt(): what PUBLIC, anon, authenticated and service_role may do.';
