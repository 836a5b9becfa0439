-- What Supabase's database linter would say, in words of our own, of the lints that can fire on us: a row for each
-- finding. Extension members count where `members` is true, as for the lints that look at those too. Exposed are the
-- schemas that the linter takes for the API's.
create schema if not exists tests;

-- The tables of ours that a user owns, and all else in the two schemas.
create view tests.relations as
select c.oid, c.relname, c.relkind, c.relrowsecurity, c.reloptions, c.relispartition,
       n.nspname = 'public' as is_exposed,
       exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
         as is_member
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'jobs_ext') and c.relname ~ '^job|^(queue|failed|expiring|ended|lanes|state|set_aside)$';

create view tests.lints as
with rls as (
  select y.*, c.relname, c.relrowsecurity, c.is_exposed,
         regexp_replace(lower(coalesce(pg_get_expr(y.polqual, y.polrelid), '') || ' '
                              || coalesce(pg_get_expr(y.polwithcheck, y.polrelid), '')), '\s+', ' ', 'g') as text
  from pg_policy y join tests.relations c on c.oid = y.polrelid)
select '0001 unindexed_foreign_keys' as lint, c.conrelid::regclass::text || ' ' || c.conname as object
from pg_constraint c join tests.relations t on t.oid = c.conrelid
where c.contype = 'f' and not t.is_member and not exists (
  select from pg_index i
  where i.indrelid = c.conrelid
    and (string_to_array(i.indkey::text, ' ')::smallint[])[1:cardinality(c.conkey)] = c.conkey)
union all
-- A call of auth.…() or current_setting(), or of any function of ours that asks the request, outside of a sub-select.
select '0003 auth_rls_initplan', format('%s %s', r.polrelid::regclass, r.polname)
from rls r
where r.relrowsecurity and regexp_replace(
  r.text, 'select (auth\.(uid|jwt|role|email)|current_setting|jobs_ext\.claimed_(user|organisation))\(', '', 'g')
  ~ '(auth\.(uid|jwt|role|email)|current_setting|claimed_(user|organisation))\('
union all
select '0004 no_primary_key', t.oid::regclass::text from tests.relations t
where t.relkind in ('r', 'p') and not t.is_member
  and not exists (select from pg_index i where i.indrelid = t.oid and i.indisprimary)
union all
select '0006 multiple_permissive_policies', format('%s %s %s', r.polrelid::regclass, role.name, command)
from rls r, unnest(case r.polcmd when '*' then '{r,a,w,d}' else array[r.polcmd] end) command,
     lateral (select coalesce(a.rolname, 'public') as name
              from unnest(r.polroles) o left join pg_roles a on a.oid = o) role
where r.polpermissive group by 2, r.polrelid, role.name, command having count(*) > 1
union all
select '0007 policy_exists_rls_disabled', r.polrelid::regclass::text from rls r where not r.relrowsecurity
union all
select '0008 rls_enabled_no_policy', t.oid::regclass::text from tests.relations t
where t.relrowsecurity and not t.is_member and not exists (select from pg_policy y where y.polrelid = t.oid)
union all
select '0009 duplicate_index', min(x.oid::regclass::text)
from pg_index i join pg_class x on x.oid = i.indexrelid join tests.relations t on t.oid = i.indrelid
where not t.is_member
group by i.indrelid, replace(pg_get_indexdef(i.indexrelid), x.relname, '') having count(*) > 1
union all
select '0010 security_definer_view', t.oid::regclass::text from tests.relations t
where t.relkind = 'v' and t.is_exposed and not t.is_member
  and not coalesce(t.reloptions::text ~* 'security_invoker=(true|on|yes|1)', false)
union all
-- Of ours too, though the linter passes over members: but for C, which resolves nothing by search_path
-- (hostile_search_path.sql), and procedures, which could not commit.
select '0011 function_search_path_mutable', p.oid::regprocedure::text
from pg_proc p join pg_language l on l.oid = p.prolang
where (p.pronamespace = 'jobs_ext'::regnamespace or p.pronamespace = 'public'::regnamespace and p.proname ~ '^job_')
  and l.lanname <> 'c' and p.prokind = 'f' and not coalesce(p.proconfig::text ~ 'search_path=', false)
union all
select '0013 rls_disabled_in_public', t.oid::regclass::text from tests.relations t
where t.relkind in ('r', 'p') and t.is_exposed and not t.relrowsecurity
  and (has_table_privilege('anon', t.oid, 'select, insert, update, delete')
       or has_table_privilege('authenticated', t.oid, 'select, insert, update, delete'))
union all
select '0014 extension_in_public', e.extname from pg_extension e
where e.extname = 'jobs_ext' and e.extnamespace = 'public'::regnamespace
union all
select '0015 rls_references_user_metadata', format('%s %s', r.polrelid::regclass, r.polname) from rls r
where r.text ~ 'user_metadata'
union all
select '0016 materialized_view_in_api', t.oid::regclass::text from tests.relations t
where t.relkind in ('m', 'f') and t.is_exposed
union all
select '0018 unsupported_reg_types', format('%s.%s', t.oid::regclass, a.attname)
from tests.relations t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
where t.relkind in ('r', 'p') and a.atttypid in ('regproc'::regtype, 'regprocedure'::regtype, 'regnamespace'::regtype,
  'regoper'::regtype, 'regoperator'::regtype, 'regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype)
union all
select '0022 extension_versions_outdated', e.extname
from pg_extension e join pg_available_extensions v on v.name = e.extname
where e.extname = 'jobs_ext' and e.extversion <> v.default_version
union all
select '0023 sensitive_columns_exposed', format('%s.%s', t.oid::regclass, a.attname)
from tests.relations t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0
where t.is_exposed and not t.relrowsecurity and t.relkind in ('r', 'p')
  and a.attname ~ '(^|_)(password|secret|token|session_id|api_key)(_|$)'
union all
select '0024 rls_policy_always_true', format('%s %s', r.polrelid::regclass, r.polname) from rls r
where r.polcmd in ('a', 'w', 'd', '*') and trim(r.text, '() ') in ('true', 'true) (true', '1=1')
union all
select '0028 security_definer_executable', p.oid::regprocedure::text from pg_proc p
where p.prosecdef and p.pronamespace = 'public'::regnamespace and p.proname ~ '^job'
  and (has_function_privilege('anon', p.oid, 'execute') or has_function_privilege('authenticated', p.oid, 'execute'));
