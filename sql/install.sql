-- What CREATE EXTENSION leaves in a database: members, and tables that are the user's.
set client_min_messages = warning;
drop extension if exists jobs_ext cascade;
drop table if exists public.jobs, public.job_types, public.job_attempts, public.jobs_archive cascade;
create extension jobs_ext;
reset client_min_messages;
select e.extname, e.extversion, n.nspname, d.description
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
left join pg_description d on d.classoid = 'pg_extension'::regclass and d.objoid = e.oid
where e.extname = 'jobs_ext';
-- Members: functions, types, private tables. The tables and views of the API are not among them.
\a
\t on
select * from (select pg_describe_object(classid, objid, 0) as member
from pg_depend
where refclassid = 'pg_extension'::regclass and deptype = 'e'
  and refobjid = (select oid from pg_extension where extname = 'jobs_ext')
  and not (classid = 'pg_type'::regclass and objid in (select t.oid
                                                       from pg_type t left join pg_class c on c.oid = t.typrelid
                                                       where t.typrelid = 0 or c.relkind <> 'c'))) as members
order by member collate "C";
-- The tables of the API, column by column.
select c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid)
from pg_class c join pg_attribute a on a.attrelid = c.oid
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0
  and c.relname in ('jobs', 'job_types', 'job_attempts', 'job_steps', 'jobs_archive')
order by 1, 2;
select conrelid::regclass, conname, pg_get_constraintdef(oid) from pg_constraint
where conrelid in ('jobs'::regclass, 'job_types'::regclass, 'job_attempts'::regclass,
                   'job_steps'::regclass) and contype <> 'n'
order by conrelid::regclass::text collate "C", conname;
-- The months of the archive have names of their own every month.
select indexdef from pg_indexes where schemaname in ('public', 'jobs_ext') and tablename !~ '^jobs_archive_[0-9]'
order by tablename, indexname collate "C";
select count(*),
       bool_and(c.relname = 'jobs_archive_' || to_char(now() at time zone 'UTC' + n * interval '1 month', 'YYYY_MM'))
         as named
from (select c.relname, row_number() over (order by c.relname) - 1 as n
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'public.jobs_archive'::regclass and c.relname <> 'jobs_archive_default') c;
select tgrelid::regclass, tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
order by tgrelid::regclass::text collate "C", tgname;
-- The composite type job has the columns of jobs, in their order.
select count(*) from
  (select attnum, attname, atttypid from pg_attribute where attrelid = 'public.job'::regclass and attnum > 0) t
  full join
  (select attnum, attname, atttypid from pg_attribute where attrelid = 'public.jobs'::regclass and attnum > 0) j
  using (attnum, attname, atttypid)
where t is null or j is null;
-- Every function and type says what it is, names its parameters, and nothing runs with its owner's rights.
select p.oid::regprocedure from pg_proc p join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid
where d.deptype = 'e' and d.refobjid = (select oid from pg_extension where extname = 'jobs_ext')
  and (obj_description(p.oid, 'pg_proc') is null or p.prosecdef or (p.pronargs > 0 and p.proargnames is null));
-- Nobody but the owner got anything, since there are no roles of an API here.
select p.oid::regprocedure, p.proacl
from pg_proc p join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid
where d.deptype = 'e' and d.refobjid = (select oid from pg_extension where extname = 'jobs_ext')
  and has_function_privilege('pg_monitor', p.oid, 'execute');
select relname, relrowsecurity from pg_class where relname in ('jobs', 'job_types', 'job_attempts', 'job_steps',
                                                          'jobs_archive')
order by 1;
