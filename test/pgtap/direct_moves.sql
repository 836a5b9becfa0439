-- Every move from state to state by a direct UPDATE on public.jobs: the legal ones do what a verb does, the others are
-- PT409.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/job_in.sql
begin;
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();
create role tests_moves_worker bypassrls;
select jobs_ext.grant_role('tests_moves_worker', 'worker');
create function pg_temp.clock(instant timestamptz) returns void language sql security definer
as $$ select set_config('jobs_ext.now', instant::text, true) $$;

-- All moves, by a worker and by the owner. What is pending here is not due, so that no UPDATE
-- claims it (direct_rules.sql); between the two that wait nothing moves.
create temp table move as
select f.state as "from", t.state as "to",
       case when f.state = t.state then f.state <> 'in_progress'
            else (f.state, t.state) in (('pending', 'paused'), ('pending', 'cancelled'), ('pending', 'failed'),
                                        ('queued', 'in_progress'), ('queued', 'paused'), ('queued', 'cancelled'),
                                        ('queued', 'failed'), ('in_progress', 'completed'), ('in_progress', 'failed'),
                                        ('in_progress', 'pending'), ('in_progress', 'cancelled'),
                                        ('in_progress', 'paused'), ('paused', 'queued'), ('paused', 'cancelled'),
                                        ('pending', 'queued'), ('queued', 'pending'),
                                        ('blocked', 'cancelled')) end as legal
from unnest('{pending,queued,in_progress,paused,blocked,completed,failed,cancelled}'::text[]) f (state),
     unnest('{pending,queued,in_progress,paused,blocked,completed,failed,cancelled}'::text[]) t (state);
create temp table job as
select m."from", tests.job_in(m."from") as id, false as used from (select distinct "from" from move) m;
grant select on move, job to tests_moves_worker;
select tests.refuses(
  format('set local role %I; update jobs set status = %L where id = (select id from job where job."from" = %L)',
         r.role, m."to", m."from"),
  'PT409',
  case when m."from" = 'pending' and m."to" = 'in_progress' then 'job % is not due before 2100-01-01%'
       else format('job %% is %s and cannot become %s', m."from", m."to") end,
  'illegal_transition',
  format('%s: %s to %s', r.who, m."from", m."to"))
from move m, (values ('a worker', 'tests_moves_worker'), ('the owner', session_user)) r (who, role)
where not m.legal;
create temp table moved as
select m.*, r.*, tests.job_in(m."from", format('%s: %s to %s', r.who, m."from", m."to")) as id
from move m, (values ('a worker', 'tests_moves_worker'), ('the owner', session_user)) r (who, role)
where m.legal;
grant select on moved to tests_moves_worker;
set local role tests_moves_worker;
update jobs j set status = m."to", worker = case when m."from" = 'in_progress' then 'w' end
from moved m where m.id = j.id and m.who = 'a worker';
reset role;
update jobs j set status = m."to" from moved m where m.id = j.id and m.who = 'the owner';
select is(j.status::text, case when m."from" in ('pending', 'queued') and m."to" in ('pending', 'queued')
                               then m."from" else m."to" end, j.job_id)
from moved m join jobs j using (id) order by j.job_id;
select tests.in_step('the queue follows all legal moves');
select tests.refuses(format('update jobs set status = %L where id = %L', 'stuck', id),
                     '22023', 'unknown status "stuck"', 'no state: from ' || "from")
from job;

-- Waiting to running is a claim: a new attempt and a new lease, whatever else is asked for.
select job_type_set('timed', lease => '2 minutes', timeout => '1 hour', max_retries => 1, retry_delay_ms => 10000,
                    backoff => 'fixed')
\g /dev/null
select tests.job_in('queued', 'claimed', 'timed'), tests.job_in('queued', 'claimed plainly') \g /dev/null
set local role tests_moves_worker;
update jobs set status = 'in_progress', worker = 'by hand', lease_id = '00000000-0000-0000-0000-000000000000',
  lease_expires_at = 'infinity',
  attempt = 40, started_at = '2000-01-01', timeout_at = null where job_id = 'claimed';
select results_eq($$ select attempt, worker, started_at, lease_expires_at, timeout_at, heartbeat_at,
                            lease_id <> '00000000-0000-0000-0000-000000000000'
                     from jobs where job_id = 'claimed' $$,
                  $$ values (1, 'by hand', '2030-01-01 12:00+00'::timestamptz, '2030-01-01 12:02+00'::timestamptz,
                             '2030-01-01 13:00+00'::timestamptz, null::timestamptz, true) $$,
                  'a claim by hand, with the lease and the time limit of the type');
update jobs set status = 'in_progress' where job_id = 'claimed plainly';
select results_eq($$ select attempt, worker, lease_expires_at, timeout_at, lease_id is not null
                     from jobs where job_id = 'claimed plainly' $$,
                  $$ values (1, null, '2030-01-01 12:10+00'::timestamptz, null::timestamptz, true) $$,
                  'without a worker''s name, with the default lease');
select tests.refuses($$ update jobs set status = 'in_progress' where job_id = 'claimed' $$,
                     'PT409',
                     '%is in_progress and cannot become in_progress',
                     'illegal_transition',
                     'a running job is nobody else''s to claim');
select lives_ok($$ update jobs set progress = '{"half": true}' where job_id = 'claimed' $$,
                'but may be written otherwise');
select is((select (job_heartbeat(id, lease_id)).status from jobs where job_id = 'claimed'),
          'in_progress', 'its lease is a lease');

-- Running to waiting gives the job back; with a message or a retry counted it is a failure.
update jobs set status = 'pending', worker = 'by hand' where job_id = 'claimed';
select results_eq($$ select status::text, run_at, attempt, retries, error_message,
                            num_nulls(started_at, worker, lease_expires_at, timeout_at, heartbeat_at, finished_at)
                     from jobs where job_id = 'claimed' $$,
                  $$ values ('pending', '2030-01-01 12:00+00'::timestamptz, 1, 0, null, 6) $$, 'given back');
select pg_temp.clock('2030-01-01 12:01+00');
update jobs set status = 'in_progress', worker = 'second' where job_id = 'claimed';
update jobs set status = 'pending', run_at = '2030-01-01 12:30+00', worker = 'second' where job_id = 'claimed';
select results_eq($$ select status::text, run_at, attempt, retries from jobs where job_id = 'claimed' $$,
                  $$ values ('pending', '2030-01-01 12:30+00'::timestamptz, 2, 0) $$, 'given back until later');
update jobs set run_at = '2030-01-01 12:00+00' where job_id = 'claimed';
update jobs set status = 'in_progress', worker = 'third' where job_id = 'claimed';
update jobs set status = 'pending', error_message = 'no luck', worker = 'third' where job_id = 'claimed';
select results_eq($$ select status::text, run_at between '2030-01-01 12:01:05+00' and '2030-01-01 12:01:10+00',
                            attempt, retries, error_message
                     from jobs where job_id = 'claimed' $$,
                  $$ values ('pending', true, 3, 1, 'no luck') $$,
                  'failed, with a message: retried after the backoff of the type');
update jobs set run_at = '2030-01-01 12:00+00' where job_id = 'claimed';
update jobs set status = 'in_progress', worker = 'fourth' where job_id = 'claimed';
update jobs set status = 'pending', error_message = 'no luck again', run_at = '2030-01-02 00:00+00', worker = 'fourth'
where job_id = 'claimed';
select results_eq($$ select status::text, finished_at, attempt, retries, error_message
                     from jobs where job_id = 'claimed' $$,
                  $$ values ('failed', '2030-01-01 12:01+00'::timestamptz, 4, 1, 'no luck again') $$,
                  'failed for good when the retries are spent');
update jobs set status = 'pending', retries = retries + 1, run_at = '2030-01-02 00:00+00'
where job_id = 'claimed plainly';
select results_eq($$ select status::text, run_at, retries, error_message from jobs where job_id = 'claimed plainly' $$,
                  $$ values ('pending', '2030-01-02 00:00+00'::timestamptz, 1, null) $$,
                  'a retry counted by the client, at its time');
select results_eq($$ select j.job_id::text, a.attempt, a.worker, a.started_at, a.ended_at, a.outcome, a.error_message
                     from job_attempts a join jobs j on j.id = a.job where j.job_id like 'claimed%' order by 1, 2 $$,
                  $$ values ('claimed', 1, 'by hand', '2030-01-01 12:00+00'::timestamptz,
                             '2030-01-01 12:00+00'::timestamptz, 'released', null),
                            ('claimed', 2, 'second', '2030-01-01 12:01+00', '2030-01-01 12:01+00', 'released', null),
                            ('claimed', 3, 'third', '2030-01-01 12:01+00', '2030-01-01 12:01+00', 'failed', 'no luck'),
                            ('claimed', 4, 'fourth', '2030-01-01 12:01+00', '2030-01-01 12:01+00', 'failed',
                             'no luck again'),
                            ('claimed plainly', 1, null, '2030-01-01 12:00+00', '2030-01-01 12:01+00', 'failed',
                             null) $$,
                  'each attempt leaves its row');
reset role;
select tests.in_step();

-- Running to completed, failed or cancelled.
select tests.job_in('in_progress', 'ends ' || s) from unnest('{completed,failed,cancelled}'::text[]) s \g /dev/null
select pg_temp.clock('2030-01-01 12:01:01.5+00');
set local role tests_moves_worker;
update jobs set status = replace(job_id, 'ends ', ''), result = '{"r": 1}', error_message = 'a word',
  completed_at = '2000-01-01', finished_at = '2000-01-01', execution_time_ms = 7, lease_id = lease_id
where job_id like 'ends %';
reset role;
select results_eq($$ select status::text, result, error_message, completed_at, cancelled_at, finished_at,
                            execution_time_ms, num_nulls(lease_expires_at, timeout_at)
                     from jobs where job_id like 'ends %' order by 1 $$,
                  $$ values ('cancelled', '{"r": 1}'::jsonb, 'a word', null::timestamptz,
                             '2030-01-01 12:01:01.5+00'::timestamptz, '2030-01-01 12:01:01.5+00'::timestamptz, 1500,
                             2),
                            ('completed', '{"r": 1}', null, '2030-01-01 12:01:01.5+00', null,
                             '2030-01-01 12:01:01.5+00', 1500, 2),
                            ('failed', '{"r": 1}', 'a word', null, null, '2030-01-01 12:01:01.5+00', 1500, 2) $$,
                  'ended, stamped by the server');
select results_eq($$ select j.status::text, a.outcome, a.error_message
                     from job_attempts a join jobs j on j.id = a.job where j.job_id like 'ends %' order by 1 $$,
                  $$ values ('cancelled', 'cancelled', 'a word'), ('failed', 'failed', 'a word') $$,
                  'with a row for the attempts that did not succeed');

-- Waiting or paused to an end.
select tests.job_in(f, f || ' to ' || t)
from (values ('queued', 'failed'), ('queued', 'cancelled'), ('paused', 'cancelled'), ('pending', 'failed')) v (f, t)
\g /dev/null
set local role tests_moves_worker;
update jobs set status = 'failed', error_message = 'given up'
where job_id like '% to failed' and status in ('queued', 'pending');
update jobs set status = 'cancelled', error_message = 'not wanted'
where job_id like '% to cancelled' and status in ('queued', 'paused');
select results_eq($$ select job_id::text, status::text, error_message, finished_at, cancelled_at is not null,
                            execution_time_ms, attempt
                     from jobs
                     where job_id in ('queued to failed', 'queued to cancelled', 'paused to cancelled',
                                      'pending to failed')
                     order by 1 $$,
                  $$ values ('paused to cancelled', 'cancelled', 'not wanted', '2030-01-01 12:01:01.5+00'::timestamptz,
                             true, null::int, 0),
                            ('pending to failed', 'failed', 'given up', '2030-01-01 12:01:01.5+00', false, null, 0),
                            ('queued to cancelled', 'cancelled', 'not wanted', '2030-01-01 12:01:01.5+00', true, null,
                             0),
                            ('queued to failed', 'failed', 'given up', '2030-01-01 12:01:01.5+00', false, null, 0) $$,
                  'never started, and ended');

-- Paused and back.
reset role;
select (job_enqueue('bulk-update', job_id => 'paused now', run_at => '2030-01-01 11:00+00')).status,
       (job_enqueue('bulk-update', job_id => 'paused later', run_at => '2030-01-05 00:00+00')).status,
       (job_enqueue('bulk-update', job_id => 'paused until', run_at => '2030-01-05 00:00+00')).status \g /dev/null
set local role tests_moves_worker;
update jobs set status = 'paused' where job_id like 'paused %' and status in ('queued', 'pending');
reset role;
select tests.in_step('paused jobs are not in the queue');
set local role tests_moves_worker;
update jobs set status = 'queued' where job_id in ('paused now', 'paused later');
update jobs set status = 'queued', run_at = '2030-01-03 00:00+00' where job_id = 'paused until';
select results_eq($$ select job_id::text, status::text, run_at
                     from jobs where job_id in ('paused now', 'paused later', 'paused until') order by 1 $$,
                  $$ values ('paused later', 'queued', '2030-01-05 00:00+00'::timestamptz),
                            ('paused now', 'queued', '2030-01-01 12:01:01.5+00'),
                            ('paused until', 'queued', '2030-01-03 00:00+00') $$,
                  'a paused job is queued for its time, or for now if that is over');

-- cancel_requested_at asks for a cancellation, whenever it says it was set.
reset role;
select tests.job_in(s, 'request ' || s)
from unnest('{pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) s \g /dev/null
create temp table before as select * from jobs where job_id like 'request %';
set local role tests_moves_worker;
update jobs set cancel_requested_at = '2000-01-01' where job_id like 'request %';
select results_eq(
  $$ select job_id::text, status::text, cancel_requested_at, cancelled_at is not null, finished_at is not null
     from jobs where job_id like 'request %' order by 1 $$,
  $$ values ('request cancelled', 'cancelled', '2030-01-01 12:01:01.5+00'::timestamptz, true, true),
            ('request completed', 'completed', null, false, true),
            ('request failed', 'failed', null, false, true),
            ('request in_progress', 'in_progress', '2030-01-01 12:01:01.5+00', false, false),
            ('request paused', 'cancelled', '2030-01-01 12:01:01.5+00', true, true),
            ('request pending', 'cancelled', '2030-01-01 12:01:01.5+00', true, true),
            ('request queued', 'cancelled', '2030-01-01 12:01:01.5+00', true, true) $$,
  'waiting and paused jobs are cancelled, a running one is asked to stop, an ended one stays as it is');
update jobs set cancel_requested_at = null where job_id = 'request in_progress';
select isnt((select cancel_requested_at from jobs where job_id = 'request in_progress'),
            null, 'a request is not taken back');
update jobs set status = 'pending', worker = 'w' where job_id = 'request in_progress';
select results_eq($$ select status::text, cancelled_at from jobs where job_id = 'request in_progress' $$,
                  $$ values ('cancelled', '2030-01-01 12:01:01.5+00'::timestamptz) $$,
                  'given back, the job is cancelled');

-- A claim by SQL alone, as without the functions, ends by the functions.
reset role;
select tests.job_in('queued', 'mixed') \g /dev/null
set local role tests_moves_worker;
create temp table mine as
with claimed as (update jobs set status = 'in_progress', worker = 'sql'
                 where id = (select id from jobs where job_id = 'mixed' for update skip locked) returning id, lease_id)
select * from claimed;
select is((select (job_complete(id, lease_id, '{}')).status from mine),
          'completed', 'RETURNING gives the lease that counts');

-- Many rows in one statement, one of them illegal: none moves.
reset role;
select tests.refuses($$ update jobs set status = 'paused' where job_id like 'request %' or job_id like 'paused %' $$,
                     'PT409', '%cannot become paused', 'illegal_transition', 'all or nothing');
select tests.in_step();
select * from finish();
rollback;
