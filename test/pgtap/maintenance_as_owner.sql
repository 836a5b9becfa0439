-- Whoever calls for maintenance, a superuser too: what the owner of jobs put on it runs as that owner, confined.
\ir setup/begin.psql
select no_plan();

set timezone = 'UTC';
select current_user as superuser \gset
create role tests_owner;
create role tests_other_owner;
grant tests_other_owner to tests_owner;
grant create on schema public to tests_owner;
select format('grant create, temporary on database %I to tests_owner', current_database()) \gexec
grant usage on schema tap to tests_owner;
drop extension jobs_ext cascade;
drop table jobs, job_types, job_attempts, job_steps, jobs_archive cascade;
drop schema if exists jobs_ext cascade;
set role tests_owner;
create extension jobs_ext;
reset role;
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
create function tests.maintain() returns text language sql as $$
  select coalesce(string_agg(format('%s %s', c.key, c.value), ', ' order by c.key), '')
  from jsonb_each_text(job_maintain()) c where c.value not in ('0', 'false')
$$;
select is(pg_get_userbyid(relowner), 'tests_owner', relname || ' is not a superuser''s')
from pg_class where relnamespace = 'public'::regnamespace and relname in ('jobs', 'jobs_archive', 'job_attempts');

-- What a trigger saw and could do is noted here; it runs whatever statement stands in `attack`.
create table public.seen (place text, who text, really text, path text, came_of text);
create table public.attack (statement text);
grant all on public.seen, public.attack to tests_owner;
set role tests_owner;
create function public.spy() returns trigger language plpgsql as $$
declare
  came_of text := 'nothing';
  statement text;
begin
  select a.statement into statement from public.attack a;
  if statement is not null then
    begin
      execute statement;
      came_of := 'it worked';
    exception when others then
      came_of := sqlstate;
    end;
  end if;
  insert into public.seen
  values (tg_table_name, current_user, session_user,
          current_setting('search_path') || ' ' || current_setting('row_security'), came_of);
  return coalesce(new, old);
end $$;
create trigger spy before update or delete on public.jobs for each row execute function public.spy();
create trigger spy before insert on public.jobs_archive for each row execute function public.spy();
create trigger spy before insert or delete on public.job_attempts for each row execute function public.spy();
reset role;

-- One job that is reaped, one that expires, one that is deleted, one that is archived.
create function tests.prepare() returns void language plpgsql as $$
begin
  set local role tests_owner;
  alter table public.jobs disable trigger spy;
  alter table public.job_attempts disable trigger spy;
  reset role;
  delete from public.jobs;
  perform set_config('jobs_ext.now', '2030-01-01 00:00+00', false);
  perform tests.run('archive', max_retries => 0), tests.run('remove', 'beta', max_retries => 0),
          tests.run('reap', lease => '1 hour');
  perform public.job_fail(id, lease_id, 'oops') from public.jobs where job_id in ('archive', 'remove');
  perform public.job_enqueue('gamma', job_id => 'expire', expires_at => '2030-01-02+00');
  perform set_config('jobs_ext.now', '2030-03-01 00:00+00', false);
  set local role tests_owner;
  alter table public.jobs enable trigger spy;
  alter table public.job_attempts enable trigger spy;
  reset role;
  delete from public.seen;
end $$;
select job_type_set('beta', keep_failed => '0') \g /dev/null
select tests.prepare() \g /dev/null
set search_path = public, tap, pg_catalog;
set row_security = off;
select is(tests.maintain(), 'archived 1, deleted 1, expired 1, leases_reaped 1, retried 1',
          'a superuser calls job_maintain()');
select is(current_setting('search_path') || ' ' || current_setting('row_security') || ' ' || current_user,
          'public, tap, pg_catalog off ' || :'superuser', 'nothing is left of it');
set row_security = on;
set search_path = public, tap;
select results_eq($$ select distinct who, really, path from seen $$,
                  format('values (%L, %L, %L)', 'tests_owner', :'superuser', 'pg_catalog, pg_temp on'),
                  'its triggers ran as the owner, with a path of their own');
select is((select string_agg(place || ' ' || n, ', ' order by place)
           from (select place, count(*) as n from seen group by 1) s),
          'job_attempts 3, jobs 4, jobs_archive_2030_01 1', 'all of them');
select tests.in_step('in step');
select is(pg_get_userbyid(relowner), 'tests_owner', 'so does a month that was made')
from pg_class where relname = 'jobs_archive_2030_01';

-- What they try.
create function tests.attack(statement text) returns text language plpgsql as $$
declare
  counts text;
begin
  perform tests.prepare();
  delete from public.attack;
  insert into public.attack values (statement);
  counts := tests.maintain();
  delete from public.attack;
  return concat_ws('; ', counts, (select string_agg(distinct came_of, ', ') from public.seen),
                   case when exists (select from public.seen where who <> 'tests_owner') then 'as somebody else' end,
                   case when exists (select tests.out_of_step()) then 'out of step' end);
end $$;
create table public.treasure (); -- of the superuser's
set client_min_messages = error;
select is(tests.attack(v.statement),
          'archived 1, deleted 1, expired 1, leases_reaped 1, retried 1; ' || v.state, v.statement)
from (values
  ('alter role tests_owner superuser', '42501'),
  ('create role tests_made superuser', '42501'),
  (format('set role %I', current_user), '42501'),
  ('reset role', '42501'),
  ('set role tests_other_owner', '42501'),
  ('set session authorization default', '42501'),
  ('reset session authorization', '42501'),
  (format('set session authorization %I', current_user), '42501'),
  ('select rolpassword from pg_authid', '42501'),
  ('drop table public.treasure', '42501'),
  ('create temporary table t ()', '42501'),
  ('create temporary view v as select 1', '42501'),
  ('create temporary sequence s', '42501'),
  ('create type pg_temp.t as (a int)', '42501'),
  ('delete from jobs_ext.queue', '42501'),
  ('insert into jobs_ext.set_aside values (gen_random_uuid(), ''x'', 1, now(), now(), ''x'', ''x'')', '42501'),
  ('select jobs_ext.rebuild_queue()', 'it worked'),
  ('select pg_read_file(''PG_VERSION'')', '42501'),
  ('copy public.seen to program ''true''', '42501'),
  ('set search_path = public', 'it worked'),
  ('set session_replication_role = replica', '42501'),
  ('select set_config(''row_security'', ''off'', false)', 'it worked'),
  ('set constraints all deferred', 'it worked'),
  ('set jobs_ext.now = ''2100-01-01''', '42501')) v (statement, state);
select is(current_setting('search_path') || ' ' || current_setting('row_security') || ' '
          || current_setting('jobs_ext.now'),
          'public, tap on 2030-03-01 00:00+00', 'what they set is undone');
select is((select rolsuper from pg_roles where rolname = 'tests_owner'), false, 'the owner is what it was');
select is(to_regrole('tests_made'), null, 'nobody was made');

-- A deferred trigger would run later, as whoever commits: it runs at once, as the owner.
create function tests.deferred() returns text language plpgsql as $$
declare
  counts text;
begin
  perform tests.prepare();
  set local role tests_owner;
  create constraint trigger late after update or delete on public.jobs deferrable initially deferred
    for each row execute function public.spy();
  reset role;
  counts := tests.maintain();
  counts := concat_ws('; ', counts, (select string_agg(distinct who, ', ') from public.seen),
                      (select count(*) from public.seen where place = 'jobs'));
  return counts;
end $$;
select is(tests.deferred(), 'archived 1, deleted 1, expired 1, leases_reaped 1, retried 1; tests_owner; 8',
          'a deferred trigger runs at once');
select is((select string_agg(distinct who, ', ') || ' ' || count(*) from seen where place = 'jobs'),
          'tests_owner 8', 'and not at the end');
drop trigger late on jobs;
-- One on another table, deferred by the trigger itself, would escape: it is refused, and its job set aside.
set role tests_owner;
create table public.theirs (n int);
create constraint trigger late after insert on public.theirs deferrable initially deferred
  for each row execute function public.spy();
create function public.defer() returns trigger language plpgsql as $$
begin
  set constraints all deferred;
  insert into public.theirs values (1);
  return coalesce(new, old);
end $$;
create trigger a_defer before update or delete on public.jobs for each row execute function public.defer();
reset role;
select tests.prepare() \g /dev/null
delete from theirs;
select is(tests.maintain(), 'set_aside 4', 'a trigger that defers another');
select is((select string_agg(distinct sqlstate || ' ' || message, ', ') from jobs_ext.jobs_set_aside),
          '42501 cannot fire deferred trigger within security-restricted operation', 'can''t');
select is((select count(*) from theirs), 0::bigint, 'nothing is left of it');
drop trigger a_defer on jobs;
select tests.prepare() \g /dev/null
set jobs_ext.now = '2030-03-01 01:00+00';
select is(tests.maintain(), 'archived 1, deleted 1, expired 1, leases_reaped 1, retried 1', 'all is well again');

-- Constraints that the caller had deferred are checked, as the caller, before anything is done.
create table parent (n int primary key);
create table child (n int references parent deferrable initially deferred);
begin;
insert into child values (1);
select throws_ok('select job_maintain()', '23503', null, 'a deferred constraint of the caller''s');
rollback;

-- Functions and operators that a search_path would find.
create function public.tests_equal(uuid, uuid)
returns boolean language plpgsql as $$
begin
  insert into public.seen values ('operator', current_user);
  return true;
end $$;
create operator public.= (leftarg = uuid, rightarg = uuid, function = public.tests_equal);
create function public.jsonb_agg(jsonb)
returns jsonb language plpgsql as $$
begin
  insert into public.seen values ('function', current_user);
  return $1;
end $$;
create function public.to_char(timestamptz, text)
returns text language plpgsql as $$ begin insert into public.seen values ('function', current_user); return $2; end $$;
select tests.prepare() \g /dev/null
set search_path = public, pg_catalog, tap;
set jobs_ext.force_statement_path = on;
select is(tests.maintain(), 'archived 1, deleted 1, expired 1, leases_reaped 1, retried 1',
          'with operators and functions in the way of those of pg_catalog');
select is((select count(*) from public.seen where place in ('operator', 'function')),
          0::bigint, 'none of them is called');
reset jobs_ext.force_statement_path;
set search_path = public, tap;
drop operator public.= (uuid, uuid);
drop function public.jsonb_agg(jsonb), public.to_char(timestamptz, text);

-- An index on an expression, a check, a default: straight or by a statement, as the owner.
set role tests_owner;
create function public.spied()
returns void language sql as $$ insert into public.seen values ('expression', current_user) $$;
create function public.spied(text)
returns text language plpgsql immutable as $$ begin perform public.spied(); return $1; end $$;
create index on public.jobs_archive (public.spied(job_id));
alter table public.job_attempts add constraint spied check (public.spied(worker) is not null);
reset role;
drop trigger spy on jobs_archive;
drop trigger spy on jobs;
create function tests.prepare_again() returns void language plpgsql as $$
begin
  delete from public.jobs;
  perform set_config('jobs_ext.now', '2030-01-01 00:00+00', false);
  perform tests.run('archive', max_retries => 0), tests.run('reap', lease => '1 hour');
  perform public.job_fail(id, lease_id, 'oops') from public.jobs where job_id in ('archive');
  perform set_config('jobs_ext.now', '2030-03-01 00:00+00', false);
  delete from public.seen;
end $$;
select tests.prepare_again() \g /dev/null
select is(tests.maintain(), 'archived 1, leases_reaped 1, retried 1',
          'an expression in an index of the archive, and in a check of job_attempts');
select is((select string_agg(distinct who, ', ') from seen where place = 'expression'),
          'tests_owner', 'both as the owner');

-- Who may not: an error leaves nothing behind.
create role tests_owner_none;
select tests.refuses('set local role tests_owner_none; select job_maintain()', '42501', '%', 'it takes a privilege');
select * from finish();
