-- jobs_ext.check(): each kind of fault, planted by hand in each of the private tables, is found and left as it is,
-- then mended; and nothing is found where nothing is wrong.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
-- The lanes that are named below, before the queue is built. The ALTER has them read anew.
insert into jobs_ext.lanes
values (nextval('jobs_ext.lane_numbers'), 'alpha'), (nextval('jobs_ext.lane_numbers'), 'beta');
alter table jobs_ext.lanes set (fillfactor = 100);
set timezone = 'UTC';
set jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();

create function tests.check(mend boolean default false) returns text language sql as $$
  select coalesce(string_agg(concat_ws(' ', j.job_id, c.fault, case when c.mended then 'mended' end), E'\n'
                             order by j.job_id, c.fault),
                  'nothing')
  from jobs_ext.check(mend) c left join jobs j on j.id = c.job
$$;

select is(tests.check(), 'nothing', 'an empty table has no fault');

-- A job of each kind: the tables in which each stands are named in its job_id.
select job_enqueue('alpha', job_id => 'queue', priority => 3, run_at => '2030-01-02+00') \g /dev/null
select job_enqueue('alpha', job_id => 'queue, expiring', expires_at => '2030-01-03+00') \g /dev/null
select tests.run('queue (running)') \g /dev/null
select tests.run('ended (completed)') \g /dev/null
select job_complete(tests.id('ended (completed)'), tests.lease('ended (completed)')) \g /dev/null
select tests.run('failed, ended') \g /dev/null
select job_fail(tests.id('failed, ended'), tests.lease('failed, ended'), 'no', permanent => true) \g /dev/null
select job_enqueue('beta', job_id => 'paused') \g /dev/null
select job_pause(job_id => 'paused') \g /dev/null
select tests.run('blocked') \g /dev/null
select job_enqueue('beta', job_id => 'queue, children', run_at => '2030-01-02+00', parent_job_id => tests.id('blocked'))
\g /dev/null
select job_await_children(tests.id('blocked'), tests.lease('blocked')) \g /dev/null
-- Under ids that sort, and can be named.
update jobs set created_at = '2030-01-01+00' where job_id in ('blocked', 'paused');
select is(tests.check(), 'nothing', 'nor have jobs of every kind');
select tests.in_step('as the rules say too');
select is(tests.check(true), 'nothing', 'and nothing is there to be mended');

-- One assertion for each: found, nothing changed; mended, as the rules say; nothing is left.
create function tests.planted(plant text, expected text) returns setof text language plpgsql as $$
declare
  before text;
begin
  execute plant;
  before := tests.everything();
  return next is(tests.check(), expected, plant);
  return next is(tests.everything(), before, '… which is left as it is');
  return next is(tests.check(true), regexp_replace(expected, '$', ' mended', 'gn'), '… or mended');
  return next is(tests.check(), 'nothing', '… and gone');
  return next tests.in_step('… as the rules say');
end $$;

-- Missing.
select tests.planted($$delete from jobs_ext.queue where job = tests.id('queue')$$,
                     'queue queue: missing (lane 1, rank -3, due_at 2030-01-02 00:00:00+00)');
select tests.planted($$delete from jobs_ext.queue where job = tests.id('queue (running)')$$,
                     'queue (running) queue: missing (lane 0, rank 0, due_at 2030-01-01 12:10:00+00)');
select tests.planted($$delete from jobs_ext.failed$$,
                     'failed, ended failed: missing (created_at 2030-01-01 12:00:00+00)');
select tests.planted($$delete from jobs_ext.expiring$$,
                     'queue, expiring expiring: missing (expires_at 2030-01-03 00:00:00+00)');
select tests.planted($$delete from jobs_ext.ended where rank = 0$$,
                     'ended (completed) ended: missing (lane 1, rank 0, ended_at 2030-01-01 12:00:00+00)');
select tests.planted($$delete from jobs_ext.blocked$$,
                     'blocked blocked: missing (created_at 2030-01-01 00:00:00+00)');
select tests.planted($$delete from jobs_ext.paused$$,
                     'paused paused: missing (created_at 2030-01-01 00:00:00+00)');
select tests.planted($$delete from jobs_ext.children$$,
                     format('queue, children children: missing (parent %s)', tests.id('blocked')));

-- Without a job.
select tests.planted($$insert into jobs_ext.queue values (1, 7, '2030-01-01+00', gen_random_uuid())$$,
                     'queue: orphan (lane 1, rank 7, due_at 2030-01-01 00:00:00+00)');
select tests.planted($$insert into jobs_ext.failed values ('2030-01-01+00', gen_random_uuid())$$,
                     'failed: orphan (created_at 2030-01-01 00:00:00+00)');
select tests.planted($$insert into jobs_ext.expiring values ('infinity', gen_random_uuid())$$,
                     'expiring: orphan (expires_at infinity)');
select tests.planted($$insert into jobs_ext.ended values (99, 0, '2030-01-01+00', gen_random_uuid())$$,
                     'ended: orphan (lane 99, rank 0, ended_at 2030-01-01 00:00:00+00)');
select tests.planted($$insert into jobs_ext.blocked values ('2030-01-01+00', gen_random_uuid())$$,
                     'blocked: orphan (created_at 2030-01-01 00:00:00+00)');
select tests.planted($$insert into jobs_ext.paused values ('2030-01-01+00', gen_random_uuid())$$,
                     'paused: orphan (created_at 2030-01-01 00:00:00+00)');
select tests.planted($$insert into jobs_ext.children
                       values ('00000000-0000-0000-0000-000000000001', gen_random_uuid())$$,
                     'children: orphan (parent 00000000-0000-0000-0000-000000000001)');

-- Under another key than the job's: one that is missing, and one too many.
select tests.planted($$update jobs_ext.queue set rank = 4 where job = tests.id('queue')$$,
                     E'queue queue: missing (lane 1, rank -3, due_at 2030-01-02 00:00:00+00)\n'
                      'queue queue: wrong key (lane 1, rank 4, due_at 2030-01-02 00:00:00+00)');
select tests.planted($$update jobs_ext.failed set created_at = '2029-01-01+00'$$,
                     E'failed, ended failed: missing (created_at 2030-01-01 12:00:00+00)\n'
                      'failed, ended failed: wrong key (created_at 2029-01-01 00:00:00+00)');
select tests.planted($$update jobs_ext.expiring set expires_at = '2029-01-01+00'$$,
                     E'queue, expiring expiring: missing (expires_at 2030-01-03 00:00:00+00)\n'
                      'queue, expiring expiring: wrong key (expires_at 2029-01-01 00:00:00+00)');
select tests.planted($$update jobs_ext.ended set lane = 2 where rank = 1$$,
                     E'failed, ended ended: missing (lane 1, rank 1, ended_at 2030-01-01 12:00:00+00)\n'
                      'failed, ended ended: wrong key (lane 2, rank 1, ended_at 2030-01-01 12:00:00+00)');
select tests.planted($$update jobs_ext.children set parent = '00000000-0000-0000-0000-000000000001'$$,
                     format(E'queue, children children: missing (parent %s)\n'
                             'queue, children children: wrong key (parent 00000000-0000-0000-0000-000000000001)',
                            tests.id('blocked')));

-- Under a key though the job is to have none.
select tests.planted($$insert into jobs_ext.queue values (2, 0, '2030-01-01+00', tests.id('paused'))$$,
                     'paused queue: wrong key (lane 2, rank 0, due_at 2030-01-01 00:00:00+00)');
select tests.planted($$insert into jobs_ext.failed values ('2030-01-01+00', tests.id('queue'))$$,
                     'queue failed: wrong key (created_at 2030-01-01 00:00:00+00)');
select tests.planted($$insert into jobs_ext.blocked values ('2030-01-01+00', tests.id('queue'))$$,
                     'queue blocked: wrong key (created_at 2030-01-01 00:00:00+00)');
select tests.planted($$insert into jobs_ext.paused values ('2030-01-01+00', tests.id('queue'))$$,
                     'queue paused: wrong key (created_at 2030-01-01 00:00:00+00)');
select tests.planted($$insert into jobs_ext.children values (tests.id('blocked'), tests.id('queue'))$$,
                     format('queue children: wrong key (parent %s)', tests.id('blocked')));

-- A row that was written while its index was not: found by neither claims nor deletes.
create function tests.unindexed(what regclass, of_job uuid) returns void language plpgsql as $$
begin
  update pg_index set indisready = false, indisvalid = false where indrelid = what;
  execute format('with gone as (delete from %1$s where job = %2$L returning *) insert into %1$s table gone',
                 what, of_job);
  update pg_index set indisready = true, indisvalid = true where indrelid = what;
end $$;
select tests.planted(format($$select tests.unindexed('jobs_ext.%s', tests.id('%s'))$$, w.name, w.job),
                     format(E'%1$s %2$s: missing %3$s\n%1$s %2$s: not in its index %3$s', w.job, w.name, w.key))
from (values
  ('queue', 'queue', '(lane 1, rank -3, due_at 2030-01-02 00:00:00+00)'),
  ('failed', 'failed, ended', '(created_at 2030-01-01 12:00:00+00)'),
  ('expiring', 'queue, expiring', '(expires_at 2030-01-03 00:00:00+00)'),
  ('ended', 'ended (completed)', '(lane 1, rank 0, ended_at 2030-01-01 12:00:00+00)'),
  ('blocked', 'blocked', '(created_at 2030-01-01 00:00:00+00)'),
  ('paused', 'paused', '(created_at 2030-01-01 00:00:00+00)'),
  ('children', 'queue, children', format('(parent %s)', tests.id('blocked')))) as w (name, job, key);

-- All at once, and many: no memory is needed for them, nothing is left.
insert into jobs_ext.queue select 1, 0, '2030-01-01+00', gen_random_uuid() from generate_series(1, 500);
select job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'beta')) from generate_series(1, 500)))
\g /dev/null
delete from jobs_ext.queue where lane = 2 and job <> tests.id('queue, children');
select is((select count(*) from jobs_ext.check(true) c where c.mended), 1000::bigint, 'a thousand at once');
select tests.in_step('are gone');
select is((select count(*) from job_claim(array['beta'], 1000)), 500::bigint, 'what was brought back can be claimed');

-- A job that was added or removed by the transaction itself is no fault.
begin;
delete from jobs where job_id = 'queue';
select job_enqueue('alpha') \g /dev/null
select is(tests.check(), 'nothing', 'what the transaction did before is seen');
rollback;

-- Under an older snapshot.
begin isolation level repeatable read;
select count(*) from jobs \g /dev/null
select is(tests.check(), 'nothing', 'under REPEATABLE READ');
select tests.refuses('select jobs_ext.check(true)', '25001', '%READ COMMITTED%', 'which does not mend');
rollback;
begin read only;
select is(tests.check(), 'nothing', 'in a read-only transaction');
select tests.refuses('select jobs_ext.check(true)', '25006', '%read-only%', 'which does not mend');
rollback;

-- A type whose lane is gone: looking makes none, mending does.
select job_type_set('gamma') \g /dev/null
select job_enqueue('gamma', job_id => 'without a lane', run_at => '2030-01-02+00') \g /dev/null
delete from jobs_ext.lanes where job_type = 'gamma';
alter table jobs_ext.lanes set (fillfactor = 100);
begin read only;
select is(regexp_replace(tests.check(), 'key \(lane \d+', 'key (lane'),
          E'without a lane queue: missing (lane -1, rank 0, due_at 2030-01-02 00:00:00+00)\n'
           'without a lane queue: wrong key (lane, rank 0, due_at 2030-01-02 00:00:00+00)',
          'without its lane a job is found missing, by who may write nothing');
rollback;
select alike(tests.check(), '%missing (lane -1,%', 'or might write');
select is((select count(*) from jobs_ext.lanes where job_type = 'gamma'), 0::bigint, 'which makes no lane');
select is((select count(*) from jobs_ext.check(true) c where c.mended), 2::bigint, 'mending makes it');
select is(tests.check(), 'nothing', 'so that nothing is left');
select tests.in_step('and all is as the rules say');

-- Triggers that are off: the tables are to be built, nothing is compared, and mending builds them.
alter table jobs disable trigger user;
insert into jobs (job_id, job_type, run_at) values ('past the triggers', 'alpha', '2030-01-01+00');
alter table jobs enable trigger user;
select is(tests.check(), 'nothing', 'while the tables are yet to be built');
select is(tests.check(true), 'nothing', 'mending builds them');
select tests.in_step('as the rules say');
begin;
alter table jobs disable trigger user;
select is(tests.check(), 'nothing', 'while triggers are off');
select throws_ok('select jobs_ext.check(true)', '42804', null, 'nothing can be mended');
rollback;
truncate jobs, job_attempts;
select is(tests.check(), 'nothing', 'TRUNCATE leaves no fault');

select throws_ok('select jobs_ext.check(null)', '22023', null, 'mend is true or false');

-- Whoever may not see every job is not shown their ids.
alter table jobs enable row level security;
create role tests_reader;
grant select on jobs to tests_reader;
grant usage on schema jobs_ext to tests_reader;
grant execute on function jobs_ext.check to tests_reader;
set role tests_reader;
select throws_ok('select jobs_ext.check()', '42501', null, 'not under row security');
reset role;
alter role tests_reader bypassrls;
set role tests_reader;
select is((select count(*) from jobs_ext.check()), 0::bigint, 'who sees all jobs may look');
select throws_ok('select jobs_ext.check(true)', '42501', null, 'but not mend without UPDATE');
reset role;
revoke all on jobs from tests_reader;
revoke all on schema jobs_ext from tests_reader;
revoke all on function jobs_ext.check from tests_reader;
drop role tests_reader;

select * from finish();
