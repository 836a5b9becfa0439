-- What is rolled back was never done: each verb, and each SQL of a client's own, in a savepoint and in a transaction
-- that is rolled back, leaves every row of every table as it was; then the same call works as if for the first time.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select plan(249);

set jobs_ext.now = '2030-01-01 12:00:00+00';

-- One job in each state.
select job_type_set('beta', retry_delay_ms => 0), job_type_set('alpha', lease => '10 minutes', timeout => '30 minutes')
\g /dev/null
select tests.run('running'), tests.run('running too', 'alpha', 'w2'), tests.run('lease over', 'beta', lease => '1 s'),
       tests.run('to be cancelled'), tests.run('completed'), tests.run('failed', 'beta', max_retries => 0),
       tests.run('cancelled')
\g /dev/null
select job_cancel(job_id => 'to be cancelled'), job_cancel(job_id => 'cancelled', force => true),
       job_complete(tests.id('completed'), tests.lease('completed')),
       job_fail(tests.id('failed'), tests.lease('failed'))
\g /dev/null
select job_enqueue('alpha', job_id => 'waiting', expires_at => '2030-01-01 15:00+00'),
       job_enqueue('gamma', job_id => 'waiting too', priority => -1),
       job_enqueue('alpha', job_id => 'delayed', run_at => '2030-01-01 14:00+00', priority => 5),
       job_enqueue('alpha', job_id => 'paused'),
       job_enqueue('beta', job_id => 'expired', expires_at => '2030-01-01 12:00:01+00') \g /dev/null
select job_pause(job_id => 'paused') \g /dev/null
set jobs_ext.now = '2030-01-01 12:06:00+00';

create table tests.calls (place int generated always as identity, name text, call text);
insert into tests.calls (name, call) values
  ('job_enqueue', $$ select job_enqueue('alpha') $$),
  ('job_enqueue, with a job_id',
   $$ select job_enqueue('alpha', job_id => 'new', expires_at => '2030-01-01 15:00+00') $$),
  ('job_enqueue, of a type without a lane', $$ select job_enqueue('bulk-update') $$),
  ('job_enqueue_many',
   $$ select job_enqueue_many('[{"job_type": "alpha"}, {"job_type": "merge-menus", "job_id": "m"}]') $$),
  ('job_claim', $$ select job_claim() $$),
  ('job_claim of all', $$ select job_claim(max_jobs => 100) $$),
  ('job_heartbeat', $$ select job_heartbeat(tests.id('running'), tests.lease('running')) $$),
  ('job_heartbeat, with a lease',
   $$ select job_heartbeat(tests.id('running'), tests.lease('running'), '[1]', '1 hour') $$),
  ('job_heartbeat_many',
   $$ select job_heartbeat_many(jsonb_agg(jsonb_build_object('id', id, 'lease_id', lease_id)), '2 hours')
      from jobs where status = 'in_progress' $$),
  ('job_complete', $$ select job_complete(tests.id('running'), tests.lease('running'), '{"r": 1}') $$),
  ('job_fail', $$ select job_fail(tests.id('running'), tests.lease('running'), 'x', error_details => '{}') $$),
  ('job_fail, permanently', $$ select job_fail(tests.id('running'), tests.lease('running'), permanent => true) $$),
  ('job_fail, cancelled', $$ select job_fail(tests.id('to be cancelled'), tests.lease('to be cancelled')) $$),
  ('job_release', $$ select job_release(tests.id('running'), tests.lease('running')) $$),
  ('job_await_children', $$ select job_await_children(tests.id('running'), tests.lease('running')) $$),
  ('job_await_children, of a child that was just made',
   $$ select job_enqueue('alpha', parent_job_id => tests.id('running'));
      select job_await_children(tests.id('running'), tests.lease('running')) $$),
  ('job_enqueue, of a child', $$ select job_enqueue('alpha', parent_job_id => tests.id('running')) $$),
  ('job_next', $$ select job_next(tests.id('running'), tests.lease('running')) $$),
  ('job_finish_many',
   $$ select job_finish_many(jsonb_build_array(jsonb_build_object('id', tests.id('running'),
                                                                  'lease_id', tests.lease('running'), 'complete', 1),
                                               jsonb_build_object('id', tests.id('running too'),
                                                                  'lease_id', tests.lease('running too'),
                                                                  'fail', null),
                                               jsonb_build_object('id', tests.id('lease over'),
                                                                  'lease_id', tests.lease('lease over'),
                                                                  'release', null))) $$),
  ('job_release_worker', $$ select job_release_worker('w1') $$),
  ('job_cancel, waiting', $$ select job_cancel(job_id => 'waiting') $$),
  ('job_cancel, running', $$ select job_cancel(job_id => 'running') $$),
  ('job_cancel, by force', $$ select job_cancel(job_id => 'running', force => true) $$),
  ('job_retry, failed', $$ select job_retry(job_id => 'failed') $$),
  ('job_retry, cancelled', $$ select job_retry(job_id => 'cancelled') $$),
  ('job_pause', $$ select job_pause(job_id => 'waiting') $$),
  ('job_resume', $$ select job_resume(job_id => 'paused') $$),
  ('job_type_set', $$ select job_type_set('alpha', lease => '1 hour', paused => true) $$),
  ('job_type_set, a new type and a job of it', $$ select job_type_set('delta'); select job_enqueue('delta') $$),
  ('job_maintain', $$ select job_maintain() $$),
  ('a claim and its completion', $$ select job_complete(id, lease_id) from job_claim(max_jobs => 3) $$),
  ('insert',
   $$ insert into jobs (job_type, status) values ('alpha', 'pending'), ('beta', 'paused'), ('gamma', 'queued') $$),
  ('update of the status', $$ update jobs set status = 'in_progress' where job_id = 'waiting' $$),
  ('update of all priorities',
   $$ update jobs set priority = priority + 1 where status <> 'completed' and priority < 10 $$),
  ('delete', $$ delete from jobs where job_id = 'running' $$),
  ('delete of all', $$ delete from jobs $$),
  ('truncate', $$ truncate jobs $$),
  ('rebuild_queue and a claim', $$ select jobs_ext.rebuild_queue(); select job_claim() $$);

create table tests.results (path text, place int, name text, changed boolean, restored boolean, out_of_step bigint);

create type tests.seen as (changed boolean, restored boolean, out_of_step bigint);

-- A block with an exception handler is a savepoint.
create procedure tests.in_savepoint(call text, inout seen tests.seen)
language plpgsql as $$
declare
  before constant text := tests.everything();
begin
  begin
    execute call;
    seen.changed := seen.changed and tests.everything() <> before;
    seen.out_of_step := seen.out_of_step + (select count(*) from tests.out_of_step());
    raise exception using errcode = 'TEST0';
  exception when sqlstate 'TEST0' then null;
  end;
  seen.restored := seen.restored and tests.everything() = before;
  seen.out_of_step := seen.out_of_step + (select count(*) from tests.out_of_step());
end $$;

create procedure tests.roll_back(path text)
language plpgsql as $$
declare
  c tests.calls;
  seen tests.seen;
  before constant text := tests.everything();
begin
  for c in select * from tests.calls order by place loop
    -- In a savepoint, and again in another one; in one inside one that stays; then for good, but for the transaction.
    seen := row(true, true, 0);
    call tests.in_savepoint(c.call, seen);
    begin
      call tests.in_savepoint(c.call, seen);
      execute c.call;
    exception when sqlstate 'TEST1' then null;
    end;
    seen.changed := seen.changed and tests.everything() <> before;
    seen.out_of_step := seen.out_of_step + (select count(*) from tests.out_of_step());
    rollback;
    seen.restored := seen.restored and tests.everything() = before;
    seen.out_of_step := seen.out_of_step + (select count(*) from tests.out_of_step());
    insert into tests.results select path, c.place, c.name, seen.*;
    commit;
  end loop;
end $$;

call tests.roll_back('direct');
set jobs_ext.force_statement_path = on;
call tests.roll_back('statement');
reset jobs_ext.force_statement_path;

select unnest(array[
  ok(r.changed, format('%s, %s: does something, also again after a rollback', r.path, r.name)),
  ok(r.restored, format('%s, %s: rolled back to a savepoint and at the end, all is as before', r.path, r.name)),
  is(r.out_of_step, 0::bigint, format('%s, %s: the private tables are right all the time', r.path, r.name))])
from tests.results r order by r.path, r.place;

--
-- What a claim gave before it was rolled back is worth nothing
--
begin;
savepoint a;
select id, lease_id, job_id from job_claim() \gset first_
rollback to savepoint a;
select is(c.job_id, :'first_job_id', 'a claim that was rolled back: the next one gets the same job')
from job_claim() c;
select is((tests.job(:'first_job_id')).attempt, 1, 'for the first time');
select tests.refuses(
  format('select job_complete(%L, %L)', :'first_id', :'first_lease_id'),
  'PT409', '%' || :'first_id' || '%', 'lease_lost', 'under the lease of before nothing can be done');
rollback;
select tests.refuses(format('select job_complete(%L, %L)', :'first_id', :'first_lease_id'),
                     'PT409', '%' || :'first_id' || '%', 'lease_lost', 'nor after the transaction');

-- A savepoint that was released goes with the one around it.
begin;
savepoint a;
savepoint b;
select job_complete(tests.id('running'), tests.lease('running')) \g /dev/null
release savepoint b;
select is(tests.status('running'), 'completed', 'an inner savepoint that was released: done');
rollback to savepoint a;
select is(tests.status('running'), 'in_progress', 'the outer one rolled back: undone');
select is((job_release(tests.id('running'), tests.lease('running'))).status, 'pending', 'the lease holds again');
rollback;

-- What a session remembers of types and lanes is rolled back with them.
begin;
savepoint a;
select job_type_set('alpha', paused => true), job_type_set('epsilon'), job_enqueue('epsilon') \g /dev/null
select lane as lane from jobs_ext.lanes where job_type = 'epsilon' \gset
rollback to savepoint a;
select tests.refuses('select job_enqueue(''epsilon'')',
                     '22023', '%"epsilon"%', 'a type that was rolled back is not known');
select job_type_set('zeta') \g /dev/null
select is((job_enqueue('zeta', job_id => 'z')).created, true, 'another type takes its place');
select isnt((select l.lane from jobs_ext.lanes l where l.job_type = 'zeta'),
            :lane, 'with a lane of its own: the number is left out');
select tests.in_step('its job stands there');
select is((select c.job_id::text from job_claim('{alpha}') c),
          'waiting', 'a pause that was rolled back: the type is claimed');
rollback;

-- An error in a statement undoes what the verbs before it in the statement did.
select tests.refuses($$ select job_enqueue('alpha', job_id => 'half'), 1 / (select count(*) - count(*) from jobs) $$,
                     '22012', '%', 'an error in the same statement');
select is(tests.status('half'), null, 'nothing of it is left');

--
-- Two-phase commit
--
begin;
select job_enqueue('bulk-update', job_id => 'prepared'), job_complete(tests.id('running'), tests.lease('running'))
\g /dev/null
select count(*) from job_claim('{alpha}') \g /dev/null
prepare transaction 'jobs_ext_60';
select is(concat_ws(' ', tests.status('prepared'), tests.status('running'), tests.status('waiting')),
          'in_progress queued', 'prepared: nothing happened yet');
select is((select count(*) from job_claim('{alpha}')), 0::bigint, 'prepared: what it claimed is nobody else''s');
rollback prepared 'jobs_ext_60';
select is((select c.job_id::text from job_claim('{alpha}') c), 'waiting', 'rolled back: it can be claimed');
select tests.in_step('rolled back: the private tables are right');
begin;
select job_enqueue('bulk-update', job_id => 'prepared'), job_complete(tests.id('running'), tests.lease('running'))
\g /dev/null
prepare transaction 'jobs_ext_60';
commit prepared 'jobs_ext_60';
select is(concat_ws(' ', tests.status('prepared'), tests.status('running')),
          'queued completed', 'committed: it has happened');
select tests.in_step('committed: the private tables are right');
select is((select c.job_id::text from job_claim('{bulk-update}') c), 'prepared', 'committed: its job is claimed');

select * from finish();
