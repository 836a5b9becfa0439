-- Whose code runs as whom: the table of src/README.md, cell by cell. Wherever an owner can put code, a probe is put
-- that notes who runs it; then each moment comes. With pg_cron: test/tap/schedules_by_cron.pl.
\ir setup/begin.psql
select no_plan();

set timezone = 'UTC';
set jobs_ext.now = '2030-01-15+00';
create role tests_whose_owner;
create role tests_whose_other;
create role tests_whose_worker;
grant create on schema public to tests_whose_owner;
select format('grant create, temporary on database %I to tests_whose_owner', current_database()) \gexec
grant usage on schema tap to tests_whose_owner;
drop extension jobs_ext cascade;
drop table jobs, job_types, job_attempts, job_steps, jobs_archive cascade;
drop schema if exists jobs_ext cascade;
set role tests_whose_owner;
create extension jobs_ext;
select jobs_ext.grant_role('tests_whose_worker', 'operator') \g /dev/null
reset role;
\ir setup/jobs.sql

-- Volatile code in what calls itself immutable, as an attacker has it: Postgres runs it wherever it looks for
-- constants.
create table public.seen (place text, who text);
grant all on public.seen to public;
set role tests_whose_owner;
create function public.note(place text)
returns void language sql as $$ insert into public.seen values (place, current_user) $$;
create function public.probe(place text)
returns boolean language plpgsql immutable as $$ begin perform public.note(place); return true; end $$;
create function public.probe_time(timestamptz, place text)
returns timestamptz language plpgsql immutable as $$ begin perform public.note(place); return $1; end $$;
create function public.probe_text(text, place text)
returns text language plpgsql immutable as $$ begin perform public.note(place); return $1; end $$;
create function public.probe_trigger()
returns trigger language plpgsql as $$ begin perform public.note(tg_argv[0]); return coalesce(new, old); end $$;
reset role;
create function tests.seen() returns text language sql as $$
  select coalesce(string_agg(distinct who, ', '), 'nobody') || ' ran '
  || coalesce(string_agg(distinct place, ', '), 'nothing')
  from public.seen
$$;
create function tests.complaint(call text) returns text language plpgsql as $$
declare
  state text; message text; hint text;
begin
  execute call;
  return 'no error';
exception when others then
  get stacked diagnostics state = returned_sqlstate, message = message_text, hint = pg_exception_hint;
  return concat_ws(' | ', state, message, nullif(hint, ''));
end $$;
grant execute on all functions in schema tests to public;

--
-- Install, adopt, install() again: nothing of what is there runs at all.
--
create function tests.archive(parts text) returns void language plpgsql as $$
begin
  set local role tests_whose_owner;
  drop table public.jobs_archive;
  execute 'create table public.jobs_archive (like public.job, archived_at timestamptz default now(), '
          'attempts jsonb, steps jsonb) '
  || parts;
  reset role;
end $$;
create function tests.adopted() returns text language plpgsql as $$
declare
  result text;
begin
  delete from public.seen;
  set local role tests_whose_owner;
  drop extension jobs_ext cascade;
  create extension jobs_ext;
  perform jobs_ext.grant_role('tests_whose_worker', 'operator');
  reset role;
  result := tests.seen();
  perform jobs_ext.install();
  return concat_ws('; ', result, tests.seen());
end $$;
create function tests.planted(plant text) returns text language plpgsql as $$
declare
  partitions constant text :=
    'partition by range (finished_at); '
    'create table jobs_ext.jobs_archive_default partition of public.jobs_archive default';
begin
  perform tests.archive(case when plant ~ '^partition by' then plant else partitions || '; ' || plant end);
  return tests.adopted();
end $$;
select is(tests.planted(v.plant), 'nobody ran nothing; nobody ran nothing',
          'CREATE EXTENSION over an archive with a probe in ' || v.place)
from (values
  ('its partition key',
   $$partition by range (probe_time(finished_at, 'key'));
     create table jobs_ext.jobs_archive_default partition of public.jobs_archive default$$),
  ('constants of its partition key',
   $$partition by range ((case when probe('key') then finished_at end));
     create table jobs_ext.jobs_archive_default partition of public.jobs_archive default$$),
  ('an expression of an index',
   $$create index on public.jobs_archive (probe_text(job_id, 'index'), (probe('index')))$$),
  ('a predicate of an index', $$create index on public.jobs_archive (job_id) where probe('predicate')$$),
  ('the key of its default partition',
   $$partition by range (finished_at);
     create table jobs_ext.jobs_archive_default partition of public.jobs_archive default
       partition by range ((case when probe('default') then finished_at end));
     create table jobs_ext.theirs partition of jobs_ext.jobs_archive_default default;
     insert into public.jobs_archive (id, job_id, job_type, finished_at)
     values (gen_random_uuid(), 'x', 'x', '1960-01-01')$$),
  ('constraints and triggers',
   $$ alter table public.jobs_archive add check (probe('check')),
        alter archived_at set default probe_time(now(), 'default');
      create trigger t after insert on public.jobs_archive for each row execute function probe_trigger('trigger') $$)
) v (place, plant);

-- The other tables, with a trigger of ours missing and without the default of jobs.id, so that both are put back.
set role tests_whose_owner;
create index on public.jobs (probe_text(job_id, 'index')) where probe('predicate');
create index on public.job_types (probe_text(job_type, 'index')) where probe('predicate');
create index on public.job_attempts (probe_text(worker, 'index of attempts')) where probe('predicate of attempts');
alter table public.jobs add check (probe('check')), add column theirs boolean default probe('default');
create policy theirs on public.jobs using (probe('policy'));
create trigger theirs before insert or update on public.jobs for each row execute function probe_trigger('trigger');
create trigger theirs before insert or update on public.job_types
  for each row execute function probe_trigger('trigger');
create rule theirs as on delete to public.job_types do also select probe('rule');
reset role;
select is(tests.adopted(), 'nobody ran nothing; nobody ran nothing',
          'CREATE EXTENSION over jobs, job_types and job_attempts with probes');
set role tests_whose_owner;
alter table public.jobs alter id drop default;
drop trigger jobs_ext_after_row on public.jobs;
drop view jobs_active, jobs_metrics;
reset role;
delete from seen;
select jobs_ext.install() \g /dev/null
select is(tests.seen(), 'nobody ran nothing', 'nor does install() by a superuser, where it puts back what is missing');

-- A column of an older version's table, with its index.
set role tests_whose_owner;
alter table public.job_attempts drop organisation_id, add check (probe('check of attempts')),
  add column theirs boolean default probe('default');
create index on public.job_steps (probe_text(step_name, 'index of steps')) where probe('predicate of steps');
alter table public.job_steps drop organisation_id;
insert into public.job_attempts (job, attempt, ended_at, outcome) values (gen_random_uuid(), 1, now(), 'failed');
insert into public.job_steps (job, step_number, step_name, step_type, status)
values (gen_random_uuid(), 1, 'a', 'automatic', 'pending');
create trigger theirs before update on public.job_attempts for each row execute function probe_trigger('trigger');
create rule theirs as on update to public.job_steps do also select probe('rule');
reset role;
select is(tests.adopted(), 'nobody ran nothing; nobody ran nothing',
          'CREATE EXTENSION over job_attempts and job_steps that lack a column');
select is(array_agg(c.attrelid::regclass::text order by 1), '{job_attempts,job_steps}', '… which they have now')
from pg_attribute c
where c.attname = 'organisation_id' and c.attrelid in ('job_attempts'::regclass, 'job_steps'::regclass);
set role tests_whose_owner;
drop trigger theirs on public.job_attempts;
alter table public.job_attempts drop theirs, drop constraint job_attempts_check;
drop rule theirs on public.job_steps;
delete from public.job_attempts;
delete from public.job_steps;
reset role;

--
-- Worker and job_maintain(): as the owner, whoever calls.
--
select is(tests.planted($$ create index on public.jobs_archive (probe_text(job_id, 'index'))
                           where probe('predicate') $$),
          'nobody ran nothing; nobody ran nothing', 'an archive without months');
select job_type_set('alpha', max_retries => 0) \g /dev/null
delete from seen;
select is((job_maintain() ->> 'errors')::int, 0, 'maintenance makes them');
select is((select count(*) from pg_inherits where inhparent = 'jobs_archive'::regclass),
          4::bigint, '… three, beside the default one');
select is(tests.seen() ~ '^tests_whose_owner ran .*predicate',
          true, '… and what that runs, runs as the owner, says ' || tests.seen());
select tests.run('old') \g /dev/null
select job_fail(id, lease_id, 'oops') from jobs where job_id = 'old' \g /dev/null
set jobs_ext.now = '2030-06-15+00';
delete from seen;
select is(m ->> 'archived' || ' ' || (m ->> 'errors'), '1 0', 'a job is archived') from job_maintain() m;
select is(tests.seen(), 'tests_whose_owner ran index, predicate, predicate of attempts',
          '… and all that runs as the owner');

-- A function that fits better, beside the ones that maintenance calls.
grant usage, create on schema jobs_ext to tests_whose_other;
set role tests_whose_other;
create function jobs_ext.drop_archive_month(partition oid)
returns void language plpgsql as $$ begin insert into public.seen values ('overload', current_user); end $$;
create function jobs_ext.make_archive_month(month timestamp)
returns boolean language plpgsql as $$
begin
  insert into public.seen values ('overload', current_user);
  return true;
end $$;
create function jobs_ext.make_archive_month(month date)
returns boolean language plpgsql as $$
begin
  insert into public.seen values ('overload', current_user);
  return true;
end $$;
reset role;
set jobs_ext.archive_keep = '30 d';
set jobs_ext.now = '2031-01-15+00';
delete from seen;
select job_maintain(), job_maintain() \g /dev/null
select is((select count(*) from seen where place = 'overload'), 0::bigint, 'no overload is called');
select is(to_regclass('jobs_ext.jobs_archive_2030_01'), null, '… and an old month has been dropped');
reset jobs_ext.archive_keep;
set role tests_whose_other;
drop function jobs_ext.drop_archive_month(oid), jobs_ext.make_archive_month(timestamp),
  jobs_ext.make_archive_month(date);
reset role;

--
-- Another owner than that of jobs: refused.
--
create function tests.given_away(relation text, call text) returns text language plpgsql as $$
declare
  result text;
begin
  execute format('alter table %s owner to tests_whose_other', relation);
  result := tests.complaint(call);
  execute format('alter table %s owner to tests_whose_owner', relation);
  return result;
end $$;
select tests.run('r') \g /dev/null
select is(
  tests.given_away(v.relation, v.call),
  format('42501 | table "%s" belongs to "tests_whose_other", not to "tests_whose_owner", the owner of jobs | '
         'alter table %s owner to tests_whose_owner', split_part(v.relation, '.', 2), v.relation),
  v.relation || ' of another owner')
from (values
  ('public.job_attempts', $$select job_fail(id, lease_id, 'oops') from jobs where job_id = 'r'$$),
  ('public.job_types', $$select job_enqueue('beta')$$)
) v (relation, call);
set client_min_messages = error;
create function tests.left_of(relation text) returns text language plpgsql as $$
declare
  result jsonb;
begin
  execute format('alter table %s owner to tests_whose_other', relation);
  delete from public.seen;
  result := public.job_maintain();
  execute format('alter table %s owner to tests_whose_owner', relation);
  if exists (select from public.seen where who <> 'tests_whose_owner') then
    return tests.seen();
  end if;
  return format('%s archived, %s set aside or left',
                result ->> 'archived',
                (result ->> 'set_aside')::int + (result ->> 'left')::int + (result ->> 'errors')::int);
end $$;
set jobs_ext.now = '2031-02-15+00';
select job_maintain() \g /dev/null
set jobs_ext.now = '2031-07-15+00';
select matches(tests.left_of(r), '^0 archived, [1-9]',
               r || ' of another owner: nothing is archived, and nobody''s code runs as another')
from unnest('{public.jobs_archive,jobs_ext.jobs_archive_2031_02}'::text[]) r;
set client_min_messages = warning;
set jobs_ext.now = '2031-07-16+00';
select is((job_maintain() ->> 'archived')::int, 1, 'given back, it goes on');

--
-- Verbs: what stands on job_attempts runs as its owner, and nobody else's code as that owner.
--
set role tests_whose_owner;
drop trigger theirs on jobs;
alter table jobs drop column theirs;
reset role;
select tests.run('a'), tests.run('b', 'beta'), tests.run('c', 'gamma') \g /dev/null
create function tests.fail(key text) returns text language sql as $$
  select tests.complaint(format('select job_fail(id, lease_id, %L) from jobs where job_id = %L', 'oops', key))
$$;
grant execute on function tests.fail to tests_whose_worker;
select tests.run('expression') \g /dev/null
delete from seen;
set role tests_whose_worker;
select is(tests.fail('expression'), 'no error', 'a worker fails a job');
reset role;
select is((select string_agg(distinct who, ', ') from seen where place ~ 'of attempts'),
          'tests_whose_owner', 'an index on job_attempts runs as its owner');
select is((select string_agg(distinct who, ', ') from seen where place !~ 'of attempts'),
          'tests_whose_worker', '… and what stands on jobs as the worker, as in any UPDATE of his');
select is((select string_agg(distinct place, ', ' order by place) from seen),
          'check, index of attempts, predicate, predicate of attempts', '… both ran');

set role tests_whose_owner;
create table public.audit (note text);
create function public.audited() returns trigger language plpgsql as $$
begin
  begin
    insert into audit values ('unqualified');
  exception when undefined_table then null;
  end;
  return new;
end $$;
create function public.audited_with_path() returns trigger language plpgsql set search_path = public as $$
begin
  insert into audit values ('unqualified');
  return new;
end $$;
create trigger audited before insert on job_attempts for each row execute function audited();
create trigger audited_with_path before insert on job_attempts for each row execute function audited_with_path();
reset role;
select format('grant temporary on database %I to tests_whose_worker', current_database()) \gexec
set role tests_whose_worker;
create temporary table audit (note text);
create function pg_temp.attack()
returns trigger language plpgsql as $$
begin
  insert into public.seen values ('attack', current_user);
  return new;
end $$;
create trigger attack before insert on pg_temp.audit for each row execute function pg_temp.attack();
grant all on pg_temp.audit to public;
select is(
  tests.fail('a'),
  '42501 | nothing can run as "tests_whose_owner" in a session that holds temporary objects of "tests_whose_worker" | '
  'Drop what is temporary (discard temp), or call from another session.',
  'a temporary table of the caller''s');
select matches(tests.complaint('select job_maintain()'),
               '^42501 . nothing can run as "tests_whose_owner"', '… nor for maintenance that he calls');
drop table pg_temp.audit;
create domain pg_temp.audit as text check (value <> '');
select matches(tests.fail('a'), '^42501', 'a temporary type');
drop domain pg_temp.audit;
select is(tests.fail('a'), 'no error', 'without them the verb goes on');
reset role;
select is((select count(*) from seen where place = 'attack'), 0::bigint, 'nothing of the caller''s ran');
select is((select count(*) from audit), 1::bigint, 'what the owner''s trigger wrote stands where it belongs');
set role tests_whose_owner;
create temporary table audit (note text);
drop table pg_temp.audit;
drop trigger audited on job_attempts;
drop trigger audited_with_path on job_attempts;
create constraint trigger late after insert on job_attempts deferrable initially deferred
  for each row execute function probe_trigger('late');
reset role;
set role tests_whose_worker;
select matches(tests.fail('b'),
               '^42501 \| cannot fire deferred trigger within security-restricted operation \| .*NOT DEFERRABLE',
               'a deferred trigger on job_attempts, with a hint');
reset role;
set role tests_whose_owner;
drop trigger late on job_attempts;
create constraint trigger late after insert on job_attempts deferrable initially immediate
  for each row execute function probe_trigger('late');
reset role;
delete from seen;
set role tests_whose_worker;
select is(tests.fail('b'), 'no error', 'one that may be deferred, and is not');
reset role;
select is((select string_agg(distinct who, ', ') from seen where place = 'late'),
          'tests_whose_owner', 'runs as the owner');
--
-- CREATE EXTENSION over a table of jobs that is not ours, and adopt()
--
set role tests_whose_owner;
drop extension jobs_ext cascade;
drop table jobs, job_types, job_attempts, job_steps, jobs_archive cascade;
create table public.jobs (
  id uuid primary key default gen_random_uuid(), job_id varchar(100) not null unique, job_type varchar(50) not null,
  status varchar(50) not null default 'pending', mine text check (probe('check')), check (probe('table check')));
create index on public.jobs (probe_text(job_id, 'index')) where probe('predicate');
alter table public.jobs enable row level security, force row level security;
create policy theirs on public.jobs using (probe('policy'));
insert into public.jobs (job_id, job_type, status)
select 'j' || n, 'alpha', case n when 3 then 'completed' else 'pending' end from generate_series(1, 3) n;
create trigger theirs before insert or update on public.jobs
  for each row execute function probe_trigger('trigger');
create rule theirs as on update to public.jobs do also select probe('rule');
create view public.jobs_metrics as select probe('view') as mine from public.jobs;
reset role;
delete from seen;
set role tests_whose_owner;
create extension jobs_ext;
reset role;
select is(tests.seen(), 'nobody ran nothing', 'CREATE EXTENSION over a table that it does not take up');
select matches(tests.complaint($$select jobs_ext.adopt('public.jobs')$$),
               '^42501 . must be "tests_whose_owner".* . set role tests_whose_owner$', 'no superuser adopts it');
select matches(tests.complaint('select jobs_ext.install()'), '^55000 .*adopt', '… nor installs over it');
select matches(tests.complaint('select job_claim()'), '^42804 .*adopt', '… nor claims from it');
select is(tests.seen(), 'nobody ran nothing', '… and runs nothing of it');
set role tests_whose_owner;
select ok(count(*) > 10, 'its owner does') from jobs_ext.adopt('public.jobs');
reset role;
select is(tests.seen(), 'tests_whose_owner ran check, predicate, table check',
          '… and what keeps rows right runs as the owner; no trigger, rule, policy or view does');
select is((select string_agg(attempt || ' ' || (finished_at is not null), ', ' order by job_id) from jobs),
          '0 false, 0 false, 1 true', '… over all rows');
select * from finish();
