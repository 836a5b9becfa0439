-- A job that makes maintenance fail is set aside and tried again, ever more seldom; the others go on.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select no_plan();

set timezone = 'UTC';
set jobs_ext.now = '2030-03-15 12:00:00+00';
create function tests.maintain() returns text language sql as $$
  select coalesce(string_agg(format('%s %s', c.key, c.value), ', ' order by c.key), '')
  from jsonb_each_text(job_maintain()) c where c.value not in ('0', 'false')
$$;
create function tests.at(moment timestamptz) returns text language sql as $$
  select set_config('jobs_ext.now', moment::text, false); select tests.maintain()
$$;
create function tests.set_aside() returns text language sql as $$
  select coalesce(string_agg(concat_ws(' ', coalesce(j.job_id, '?'), s.task, s.failures, s.sqlstate, s.message), ', '
                             order by j.job_id),
                  '')
  from jobs_ext.jobs_set_aside s left join public.jobs j on j.id = s.job
$$;
create function refuse() returns trigger language plpgsql as $$
begin
  if coalesce(new.metadata, old.metadata) ? 'refuse' then
    raise exception 'not %', coalesce(new.job_id, old.job_id) using errcode = 'TEST1', detail = 'poisoned';
  end if;
  return coalesce(new, old);
end $$;
create trigger refuse before update or delete on jobs for each row execute function refuse();
set client_min_messages = error; -- the WARNINGs are looked at in test/tap/clock_and_older_snapshots.pl

--
-- A lease that ran out
--
select tests.run('bad', lease => '1 s'), tests.run('good', lease => '1 s') \g /dev/null
alter table jobs disable trigger refuse;
update jobs set metadata = '{"refuse": 1}' where job_id = 'bad';
alter table jobs enable trigger refuse;
select tests.id('bad') as id, tests.lease('bad') as lease \gset
select is(tests.at('2030-03-15 12:01+00'),
          'leases_reaped 1, retried 1, set_aside 1', 'one job fails, the other is reaped');
select is(tests.set_aside(), 'bad reap 1 TEST1 not bad', 'it is set aside, with the reason');
select is(row(s.job, s.since)::text, row(:'id'::uuid, timestamptz '2030-03-15 12:01+00')::text, 'since when')
from jobs_ext.jobs_set_aside s;
select ok(s.retry_at between '2030-03-15 12:01:00.5+00' and '2030-03-15 12:01:01+00',
          'to be tried again within a second')
from jobs_ext.jobs_set_aside s;
select is(tests.status('bad'), 'in_progress', 'the job is as it was');
select tests.in_step('in step');
select is(tests.maintain(), '', 'it is not tried before that');
select is(tests.at('2030-03-15 12:01:01+00'), 'set_aside 1', 'then it is, and fails again');
select is(tests.set_aside(), 'bad reap 2 TEST1 not bad', 'which is counted');
select ok(s.retry_at between '2030-03-15 12:01:02+00' and '2030-03-15 12:01:03+00' and s.since = '2030-03-15 12:01+00',
          'the next time comes later')
from jobs_ext.jobs_set_aside s;
-- Up to an hour.
create function tests.fail_on(times int) returns text language plpgsql as $$
declare
  answer text;
begin
  for i in 1..times loop
    perform set_config('jobs_ext.now', (select min(retry_at) from jobs_ext.jobs_set_aside)::text, false);
    perform tests.maintain();
  end loop;
  select format('%s failures, %s', failures,
                case when retry_at - current_setting('jobs_ext.now')::timestamptz between '30 min' and '1 hour'
                       then 'up to an hour'
                     else 'otherwise' end)
  into answer from jobs_ext.jobs_set_aside;
  return answer;
end $$;
select is(tests.fail_on(20), '22 failures, up to an hour', 'and later, but at least once an hour');
-- Its worker may still end it: what maintenance wanted is needed no longer.
alter table jobs disable trigger refuse;
select is((job_complete(:'id', :'lease')).status, 'completed', 'its worker completes it');
alter table jobs enable trigger refuse;
select is(tests.set_aside(), 'bad reap 22 TEST1 not bad', 'it stands there until it is looked at again');
select is(tests.at('2030-04-01 12:00+00'), '', 'then there is nothing to do');
select is(tests.set_aside(), '', 'and it stands there no longer');

-- When the reason goes away it works.
select tests.run('late', lease => '1 s') \g /dev/null
alter table job_attempts add constraint c check (false) not valid;
select is(tests.at('2030-04-01 12:01+00'), 'set_aside 1', 'a constraint on job_attempts');
select is(tests.set_aside(), 'late reap 1 23514 new row for relation "job_attempts" violates check constraint "c"',
          'is a reason as well');
alter table job_attempts drop constraint c;
select is(tests.at('2030-04-01 12:02+00'), 'leases_reaped 1, retried 1', 'without it the job is reaped');
select is(tests.set_aside(), '', 'and stands there no longer');
select job_cancel(job_id => 'late') \g /dev/null

-- A trigger that keeps the row from being written is no better than one that raises.
create function swallow() returns trigger language plpgsql as 'begin return null; end';
create trigger swallow before update on jobs for each row execute function swallow();
select job_enqueue('alpha', job_id => 'swallowed', expires_at => '2030-04-01 12:02:30+00') \g /dev/null
select is(tests.at('2030-04-01 12:03+00'), 'set_aside 1', 'a trigger that swallows the update');
select is(tests.set_aside(), 'swallowed expire 1 09000 a trigger or rule on jobs kept it from being changed',
          'says so');
drop trigger swallow on jobs;
-- Gone.
alter table jobs disable trigger refuse;
delete from jobs where job_id = 'swallowed';
alter table jobs enable trigger refuse;
select is(tests.at('2030-04-01 12:04+00'), '', 'a job that is gone');
select is(tests.set_aside(), '', 'is forgotten');

alter table jobs disable trigger refuse;
delete from jobs;
alter table jobs enable trigger refuse;

--
-- Archiving and deleting
--
select job_type_set('beta', keep_completed => '0', keep_failed => '0') \g /dev/null
create table items (job uuid references jobs, name text);
create function tests.ended(key text, job_type text) returns void language plpgsql as $$
begin
  perform tests.run(key, job_type);
  perform public.job_complete(tests.id(key), tests.lease(key));
end $$;
select tests.ended(v.k, v.t)
from (values
  ('to archive 1', 'alpha'),
  ('to archive 2', 'alpha'),
  ('to archive 3', 'alpha'),
  ('to delete 1', 'beta'),
  ('to delete 2', 'beta')) v (k, t)
\g /dev/null
insert into items select id from jobs where job_id in ('to archive 2', 'to delete 1');
select is(tests.at('2030-06-01 00:00+00'), 'archived 2, deleted 1, set_aside 2', 'a foreign key that forbids it');
select ok(tests.set_aside() ~ '^to archive 2 archive 1 23503 .*, to delete 1 remove 1 23503 .*$', 'of each task');
select is((select string_agg(job_id, ', ' order by job_id) from jobs),
          'to archive 2, to delete 1', 'they are as they were');
select is((select count(*) from jobs_archive where job_id = 'to archive 2'), 0::bigint, 'and not in the archive');
-- job_type_set() changes what is to be done: the row of the other task goes.
select job_type_set('beta', keep_completed => '200 years') \g /dev/null
select is(tests.at('2030-06-01 00:01+00'), 'set_aside 1', 'one of them is kept now');
select ok(tests.set_aside() ~ '^to archive 2 archive 2 23503 [^,]*$', 'and stands there no longer');
delete from items;
select is(tests.at('2030-06-01 02:00+00'), 'archived 1', 'when nothing refers to it any more the other is archived');
select is(tests.set_aside(), '', 'and nothing is set aside');

-- A delete that a trigger swallows leaves nothing in the archive.
create trigger swallow before delete on jobs for each row execute function swallow();
select tests.ended('kept', 'alpha') \g /dev/null
select is(tests.at('2030-08-01 00:00+00'), 'set_aside 1', 'a trigger that swallows the delete');
select is(tests.set_aside(), 'kept archive 1 09000 a trigger or rule on jobs kept it from being deleted', 'says so');
select is((select count(*) from jobs_archive where job_id = 'kept'), 0::bigint, 'it is not in the archive');
drop trigger swallow on jobs;
create trigger swallow before insert on jobs_archive for each row execute function swallow();
select is(tests.at('2030-08-01 01:00+00'), 'set_aside 1', 'a trigger that swallows the archived row');
select is(tests.status('kept'), 'completed', 'the job is not lost');
drop trigger swallow on jobs_archive;
create rule swallow as on insert to jobs_archive do instead nothing;
select is(tests.at('2030-08-01 02:00+00'), 'set_aside 1', 'or a rule that does');
drop rule swallow on jobs_archive;
create rule swallow as on delete to jobs do instead nothing;
select is(tests.at('2030-08-01 03:00+00'), 'set_aside 1', 'or one that keeps the job');
drop rule swallow on jobs;
select is((select count(*) from jobs_archive where job_id = 'kept'), 0::bigint, 'it is in one place alone');
select is(tests.at('2030-08-01 04:00+00'), 'archived 1', 'at last it goes');

-- TRUNCATE takes what is set aside along.
select tests.ended('truncated', 'alpha') \g /dev/null
create trigger swallow before delete on jobs for each row execute function swallow();
select is(tests.at('2030-10-01 00:00+00'), 'set_aside 1', 'one more');
truncate jobs cascade;
select is(tests.set_aside(), '', 'TRUNCATE');
drop trigger swallow on jobs;

--
-- Many at once: more than a piece, and others behind them
--
select job_enqueue_many((select jsonb_agg(jsonb_build_object(
                                            'job_type', 'alpha',
                                            'metadata', case when i <= 600 then '{"refuse": 1}' else '{}' end::jsonb,
                                            'expires_at', timestamptz '2030-10-02 00:00+00' + i * interval '1 ms'))
                         from generate_series(1, 700) i))
\g /dev/null
-- As often as there is more, or until that is the answer: each call takes its time.
create function tests.at_length(moment timestamptz, wanted text default null, most_calls int default 100)
returns text language plpgsql as $$
declare
  answer jsonb;
  expired int := 0;
  set_aside int := 0;
  sum text;
begin
  perform set_config('jobs_ext.now', moment::text, false);
  for i in 1..most_calls loop
    answer := public.job_maintain();
    expired := expired + (answer ->> 'expired')::int;
    set_aside := set_aside + (answer ->> 'set_aside')::int;
    sum := format('expired %s, set_aside %s', expired, set_aside);
    exit when case when wanted is null then not (answer ->> 'more')::boolean else sum = wanted end;
  end loop;
  return sum;
end $$;
select is(tests.at_length('2030-10-03 00:00+00'),
          'expired 100, set_aside 600', 'six hundred that fail do not keep a hundred behind them');
select is((select count(*) from jobs_ext.jobs_set_aside), 600::bigint, 'all are set aside');
select is(tests.maintain(), '', 'and skipped');
set jobs_ext.now = '2030-10-01 00:00:00+00';
select job_enqueue('alpha', job_id => 'another', expires_at => '2030-10-02 00:00:00.1+00') \g /dev/null
select is(tests.at('2030-10-03 00:00+00'), 'expired 1', 'they do not count');
drop trigger refuse on jobs;
select is(tests.at_length('2030-10-03 01:00+00'), 'expired 600, set_aside 0', 'all at once when the trigger is gone');
select is(tests.set_aside(), '', 'none is set aside');
select tests.in_step('many: in step');

--
-- More than are set aside at all
--
truncate jobs cascade;
create trigger refuse before update or delete on jobs for each row execute function refuse();
set jobs_ext.now = '2030-10-02 12:00:00+00';
select job_enqueue_many((select jsonb_agg(jsonb_build_object(
                                            'job_type', 'alpha',
                                            'metadata', case when i <= 10020 then '{"refuse": 1}' else '{}' end::jsonb,
                                            'expires_at', timestamptz '2030-10-03 02:00+00' + i * interval '1 ms'))
                         from generate_series(1, 10025) i))
\g /dev/null
select is(tests.at_length('2030-10-03 03:00+00'),
          'expired 5, set_aside 10000', 'ten thousand are set aside, and the others go on');
select is((select count(*) from jobs_ext.jobs_set_aside), 10000::bigint, 'no more');
select is(tests.maintain(), 'left 20', 'what fails beside them is tried each time');
drop trigger refuse on jobs;
select is(tests.at_length('2030-10-03 05:00+00'),
          'expired 10020, set_aside 0', 'all of them when the trigger is gone');
select tests.in_step('more than many: in step');
truncate jobs cascade;

--
-- What is not a job's fault sets nothing aside: the task fails as a whole, the others go on
--
create function server_error() returns trigger language plpgsql as $$
begin
  execute format('do $do$ begin raise exception %L using errcode = %L; end $do$',
                 'of the server', current_setting('tests.state'));
end $$;
select job_enqueue('alpha', job_id => 'expires', expires_at => '2030-10-04+00') \g /dev/null
select tests.run('leased', lease => '1 s') \g /dev/null
create trigger server_error before update on jobs
  for each row when (old.job_id = 'leased') execute function server_error();
create function tests.with_error(state text) returns text language plpgsql as $$
begin
  perform set_config('tests.state', state, false);
  return tests.at('2030-10-05 00:00+00');
end $$;
begin;
select is(tests.with_error('53100'), 'errors 1, expired 1', 'a full disk: the task failed, another did its work');
rollback;
select is(tests.with_error(s),
          case s when '53100' then 'errors 1, expired 1' else 'errors 1' end,
          s || ': the task fails')
from unnest('{53100,58030,53300}'::text[]) s;
select is(tests.set_aside(), '', 'nothing is set aside');
select is(tests.status('leased'), 'in_progress', 'the job is as it was');
create function tests.raised(state text) returns text language plpgsql as $$
begin
  return tests.with_error(state);
exception when query_canceled or others then
  return sqlstate;
end $$;
select is(tests.raised(s), s, s || ' ends the call') from unnest('{57014,53200}'::text[]) s;
-- What may be of the server, but meets this one job again when it is alone.
create function tests.undone(state text) returns text language plpgsql as $$
declare
  answer text;
begin
  begin
    answer := tests.with_error(state) || ': ' || tests.set_aside();
    raise exception using errcode = 'TESTU';
  exception when sqlstate 'TESTU' then
    return answer;
  end;
end $$;
select is(tests.undone(s), 'set_aside 1: leased reap 1 ' || s || ' of the server', s || ': it is set aside')
from unnest('{55P03,40P01,40001}'::text[]) s;
begin isolation level repeatable read;
select is(tests.raised('40001'), '40001', '40001 ends the call where it means that the snapshot is too old');
rollback;
drop trigger server_error on jobs;
select is(tests.maintain(), 'leases_reaped 1, retried 1', 'without it all is well');

--
-- What looks like the server's fault, but meets the same job again while others pass, is that job's
--
truncate jobs cascade;
set jobs_ext.now = '2030-10-04 00:00:00+00';
select tests.run('bad', lease => '1 s') \g /dev/null
select tests.run('good', lease => '1 s') \g /dev/null
create function tests.raise_for_bad() returns trigger language plpgsql as $$
begin
  execute format('do $do$ begin raise exception %L using errcode = %L; end $do$',
                 'of nobody knows whom', current_setting('tests.state'));
end $$;
create trigger of_bad before update on jobs
  for each row when (old.job_id like 'bad%' and new.status <> 'in_progress') execute function tests.raise_for_bad();
-- In one call.
select is(tests.undone(s), 'leases_reaped 1, retried 1, set_aside 1: bad reap 1 ' || s || ' of nobody knows whom',
          s || ' of one job: it is set aside, the other is reaped')
from unnest('{53100,58030,53300}'::text[]) s;
-- 57014 ends the call; the next one of the session comes to the other first.
select is(tests.raised('57014'), '57014', 'a cancel ends the call');
select is(tests.with_error('57014'),
          'leases_reaped 1, retried 1, set_aside 1', '… the next one goes on, past the job at which it was');
select is(tests.set_aside(), 'bad reap 1 57014 of nobody knows whom', '… which is set aside');
drop trigger of_bad on jobs;
select is(tests.at('2030-10-06 00:00+00'), 'leases_reaped 1, retried 1', 'without it all is well');
-- Where no other is due, it would undo what the other tasks do, each time.
truncate jobs cascade;
set jobs_ext.now = '2030-10-04 00:00:00+00';
select tests.run('bad', lease => '1 s') \g /dev/null
select job_enqueue('alpha', job_id => 'expires', expires_at => '2030-10-04 00:00:01+00') \g /dev/null
create trigger of_bad before update on jobs
  for each row when (old.job_id like 'bad%' and new.status <> 'in_progress') execute function tests.raise_for_bad();
select is(tests.raised('57014'), '57014', 'a cancel at the only job ends the call') from generate_series(1, 2);
select is(tests.with_error('57014'), 'expired 1, set_aside 1', '… twice');
drop trigger of_bad on jobs;

-- A cancel of the caller's own is never kept from the caller, whatever passed before. Where each call meets one at the
-- same job, the next one sets that aside without trying it.
truncate jobs cascade;
set jobs_ext.now = '2030-10-04 00:00:00+00';
select tests.run('slow', lease => '1 s') \g /dev/null
select tests.run('good', lease => '1 s') \g /dev/null
create function tests.be_slow() returns trigger language plpgsql as $$
begin
  perform pg_sleep(3600);
  return new;
end $$;
create trigger slow before update on jobs
  for each row when (old.job_id = 'slow' and new.status <> 'in_progress') execute function tests.be_slow();
set jobs_ext.now = '2030-10-05 00:00:00+00';
set statement_timeout = '1 s';
select is(tests.raised('57014'), '57014', 'a statement_timeout ends the call');
select is(tests.raised('57014'), '57014', '… each');
select is(tests.raised('57014'), '57014', '… time');
reset statement_timeout;
select is(tests.with_error('57014'),
          'leases_reaped 1, retried 1, set_aside 1', '… until the job is set aside, untried');
select is(tests.set_aside(), 'slow reap 1 57014 each of the last calls was canceled at it',
          '… as the one at which they were canceled');
drop trigger slow on jobs;
select is(tests.at('2030-10-06 00:00+00'), 'leases_reaped 1, retried 1', 'without the trigger all is well');

-- Several fail, and nothing passes: nobody knows whose fault it is, however often.
truncate jobs cascade;
set jobs_ext.now = '2030-10-04 00:00:00+00';
select tests.run('bad ' || n, lease => '1 s') from generate_series(1, 3) n \g /dev/null
create trigger of_bad before update on jobs
  for each row when (old.job_id like 'bad%' and new.status <> 'in_progress') execute function tests.raise_for_bad();
set tests.state = '53100';
set jobs_ext.now = '2030-10-07 00:00:00+00';
select is(tests.maintain(), 'errors 1', '53100 of all jobs: the task fails') from generate_series(1, 4);
select is(tests.set_aside(), '', 'nothing is set aside');
drop trigger of_bad on jobs;
select is(tests.maintain(), 'leases_reaped 3, retried 3', 'all at once when that is over');

-- More of them than a piece takes, in front of the others.
truncate jobs cascade;
set jobs_ext.now = '2030-10-07 00:00:00+00';
set tests.state = '53300';
select job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'alpha',
                                                             'job_id',
                                                             case when i <= 600 then 'bad ' else 'good ' end || i,
                                                             'expires_at',
                                                             timestamptz '2030-10-08 00:00+00' + i * interval '1 ms'))
                         from generate_series(1, 700) i))
\g /dev/null
create trigger of_bad before update on jobs
  for each row when (old.job_id like 'bad%') execute function tests.raise_for_bad();
select is(tests.at_length('2030-10-09 00:00+00', 'expired 100, set_aside 600', 50),
          'expired 100, set_aside 600',
          'six hundred of which each looks like the server''s fault do not keep a hundred behind them');
drop trigger of_bad on jobs;
select is(tests.at_length('2030-10-09 02:00+00'), 'expired 600, set_aside 0', 'all at once when the trigger is gone');
select tests.in_step('of nobody knows whom: in step');
truncate jobs cascade;

--
-- Who sees it
--
create role tests_aside_none;
create role tests_aside_monitor;
create role tests_aside_producer;
create role tests_aside_worker;
create role tests_aside_operator;
select jobs_ext.grant_role(('tests_aside_' || k)::name, k)
from unnest('{monitor,producer,worker,operator}'::text[]) k \g /dev/null
select is((select string_agg(k, ' ' order by n)
           from unnest('{none,monitor,producer,worker,operator}'::text[]) with ordinality k (k, n)
           where has_table_privilege('tests_aside_' || k, 'jobs_ext.jobs_set_aside', 'select')
             and has_schema_privilege('tests_aside_' || k, 'jobs_ext', 'usage')),
          'monitor worker operator', 'monitors, workers and operators see what is set aside');
select is(has_table_privilege('tests_aside_operator', 'jobs_ext.jobs_set_aside',
                              'insert, update, delete, truncate, references, trigger'),
          false, 'nobody writes it');
select is(has_table_privilege('tests_aside_operator', 'jobs_ext.set_aside', 'select'),
          false, 'nor sees what is under it');
set role tests_aside_monitor;
select is_empty('select * from jobs_ext.jobs_set_aside', 'it can be looked at');
reset role;

select * from finish();
