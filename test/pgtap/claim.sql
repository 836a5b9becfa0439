-- job_claim: which jobs, in which order, what it writes, when it waits, what it refuses.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select plan(84);

set jobs_ext.now = '2030-01-01 12:00:00+00';

create function tests.claim(max_jobs int default 1, job_types text[] default null, job_category text default null)
returns text language sql as $$
  select coalesce(string_agg(c.job_id, ' ' order by c.ordinality), '')
  from public.job_claim(job_types, max_jobs, job_category => job_category) with ordinality c
$$;

--
-- What a claim writes and gives
--
select is(tests.claim(), '', 'nothing to claim: no row, no error');

select job_type_set('alpha', lease => '5 minutes', timeout => '1 hour') \g /dev/null
select job_enqueue('alpha', '{"menu": 7}', job_id => 'first', priority => 3, metadata => '{"m": 1}') \g /dev/null
set jobs_ext.now = '2030-01-01 12:01:00+00';
create temp table claimed as select * from job_claim(worker => 'w1');
select is(c.status, 'in_progress', 'a claimed job is in progress') from claimed c;
select is(c.attempt, 1, 'its first attempt is 1') from claimed c;
select is(c.worker, 'w1', 'it names its worker') from claimed c;
select is(c.started_at, '2030-01-01 12:01:00+00', 'it starts now') from claimed c;
select is(c.updated_at, '2030-01-01 12:01:00+00', 'it is updated now') from claimed c;
select is(c.lease_expires_at, '2030-01-01 12:06:00+00', 'its lease is the type''s') from claimed c;
select is(c.timeout_at, '2030-01-01 13:01:00+00', 'its run-time limit is the type''s') from claimed c;
select isnt(c.lease_id, null, 'it has a lease') from claimed c;
select is(row(c.input_payload, c.metadata, c.priority, c.created_at)::text,
          row('{"menu": 7}'::jsonb, '{"m": 1}'::jsonb, 3, '2030-01-01 12:00:00+00'::timestamptz)::text,
          'what the producer gave comes with it') from claimed c;
select is(to_jsonb(c), to_jsonb(j), 'the row that comes back is the row that was written') from claimed c, jobs j;
select tests.in_step('a running job stands in lane 0');

-- A second attempt.
select job_release(id, lease_id) from claimed \g /dev/null
set jobs_ext.now = '2030-01-01 12:02:00+00';
create temp table claimed_again as select * from job_claim(worker => 'w2');
select is(c.attempt, 2, 'the next claim is attempt 2') from claimed_again c;
select is(c.worker, 'w2', 'the next claim has its own worker') from claimed_again c;
select isnt(a.lease_id, b.lease_id, 'each claim has a new lease') from claimed a, claimed_again b;
select is(c.started_at, '2030-01-01 12:02:00+00', 'the next attempt starts at its own claim') from claimed_again c;
select job_complete(id, lease_id) from claimed_again \g /dev/null

-- lease: the caller's, the type's, or jobs_ext.default_lease.
select tests.run('lease asked for', 'alpha', lease => '90 s') \g /dev/null
select is((tests.job('lease asked for')).lease_expires_at, '2030-01-01 12:03:30+00', 'lease: as long as asked for');
select is((tests.job('lease asked for')).timeout_at,
          '2030-01-01 13:02:00+00', 'a lease does not change the run-time limit');
select tests.run('lease over the limit', 'alpha', lease => '2 hours') \g /dev/null
select tests.in_step('a run-time limit before the end of the lease decides when a job is looked at');
select tests.run('default lease', 'gamma') \g /dev/null
select is((tests.job('default lease')).lease_expires_at,
          '2030-01-01 12:12:00+00', 'lease: ten minutes where nobody says');
select is((tests.job('default lease')).timeout_at, null, 'no run-time limit where the type has none');
set jobs_ext.default_lease = '30s';
select tests.run('set lease', 'gamma') \g /dev/null
select is((tests.job('set lease')).lease_expires_at, '2030-01-01 12:02:30+00', 'lease: jobs_ext.default_lease');
reset jobs_ext.default_lease;

-- worker null
select tests.run('nameless', 'gamma', worker => null) \g /dev/null
select is((tests.job('nameless')).worker, null, 'a worker may have no name');
truncate jobs, job_attempts;

--
-- Order
--
set jobs_ext.now = '2030-01-01 12:00:00+00';
select job_enqueue('alpha', job_id => 'normal', run_at => '2030-01-01 08:00+00'),
       job_enqueue('alpha', job_id => 'low', priority => -10, run_at => '2030-01-01 07:00+00'),
       job_enqueue('alpha', job_id => 'high', priority => 10, run_at => '2030-01-01 09:00+00'),
       job_enqueue('alpha', job_id => 'below', priority => -1, run_at => '2030-01-01 06:00+00'),
       job_enqueue('alpha', job_id => 'above', priority => 1, run_at => '2030-01-01 10:00+00') \g /dev/null
select is(tests.claim(10), 'high above normal below low', 'order: priority first, high to low');

select job_enqueue('alpha', job_id => 'later', run_at => '2030-01-01 11:00+00'),
       job_enqueue('alpha', job_id => 'now'),
       job_enqueue('alpha', job_id => 'earlier', run_at => '2030-01-01 10:00+00') \g /dev/null
select is(tests.claim(10), 'earlier later now', 'order: within a priority by due time');

set jobs_ext.now = '2030-01-01 12:00:01+00';
select job_enqueue('alpha', job_id => 'oldest', run_at => '2030-01-01 11:00+00') \g /dev/null
set jobs_ext.now = '2030-01-01 12:00:02+00';
select job_enqueue('alpha', job_id => 'middle', run_at => '2030-01-01 11:00+00') \g /dev/null
set jobs_ext.now = '2030-01-01 12:00:03+00';
select job_enqueue('alpha', job_id => 'youngest', run_at => '2030-01-01 11:00+00') \g /dev/null
select is(tests.claim(10), 'oldest middle youngest', 'order: due at the same time by age');
select job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'alpha', 'job_id', 'm' || i) order by i)
                         from generate_series(1, 9) i))
\g /dev/null
select is(tests.claim(10), 'm1 m2 m3 m4 m5 m6 m7 m8 m9', 'order: made in one call in the order of the call');

select job_enqueue('alpha', job_id => 'a1', run_at => '2030-01-01 10:00+00'),
       job_enqueue('alpha', job_id => 'a3', run_at => '2030-01-01 10:02+00'),
       job_enqueue('gamma', job_id => 'g2', run_at => '2030-01-01 10:01+00'),
       job_enqueue('beta', job_id => 'b4', run_at => '2030-01-01 10:03+00'),
       job_enqueue('beta', job_id => 'b0', priority => 1),
       job_enqueue('gamma', job_id => 'g5', priority => -1, run_at => '2030-01-01 09:00+00') \g /dev/null
select is(tests.claim(10), 'b0 a1 g2 a3 b4 g5', 'order: across types as within one');

select job_enqueue('alpha', job_id => 'one by one ' || i, priority => i % 3,
                   run_at => '2030-01-01 11:00+00'::timestamptz + i * interval '1 s')
from generate_series(1, 6) i \g /dev/null
select is(concat_ws(', ', tests.claim(), tests.claim(), tests.claim(), tests.claim(), tests.claim(), tests.claim(),
                    tests.claim()),
          'one by one 2, one by one 5, one by one 1, one by one 4, one by one 3, one by one 6, ',
          'one at a time: the best that is left each time, then nothing');

--
-- How many
--
select job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'alpha',
                                                             'run_at',
                                                             '2030-01-01 11:00+00'::timestamptz + i * interval '1 s',
                                                             'job_id', 'n' || i))
                         from generate_series(1, 5) i))
\g /dev/null
select is(tests.claim(2), 'n1 n2', 'max_jobs: no more than asked for');
select is(tests.claim(10000), 'n3 n4 n5', 'max_jobs: fewer when there are no more; 10000 is allowed');
select job_enqueue('alpha', job_id => 'stays') \g /dev/null
select tests.refuses('select job_claim(max_jobs => 0)', '22023', '%max_jobs%: 0', 'max_jobs 0 is refused');
select tests.refuses('select job_claim(max_jobs => -1)', '22023', '%max_jobs%: -1', 'max_jobs below 0 is refused');
select tests.refuses('select job_claim(max_jobs => 10001)', '22023', '%max_jobs%: 10001', 'max_jobs 10001 is refused');
select tests.refuses('select job_claim(max_jobs => 2147483647)',
                     '22023', '%max_jobs%: 2147483647', 'max_jobs 2^31 - 1 is refused');
select tests.refuses('select job_claim(max_jobs => null)', '22023', '%max_jobs%null%', 'max_jobs null is refused');
select is(tests.claim(), 'stays', 'a refused claim takes nothing');

--
-- Types and categories
--
select job_enqueue('alpha', job_id => 'a', run_at => '2030-01-01 10:00+00'),
       job_enqueue('beta', job_id => 'b', run_at => '2030-01-01 10:01+00', job_category => 'own category'),
       job_enqueue('gamma', job_id => 'g', run_at => '2030-01-01 09:00+00') \g /dev/null
create function tests.claimable(job_types text[] default null, job_category text default null) returns text
language plpgsql as $$
declare
  result text;
begin
  begin
    result := tests.claim(100, job_types, job_category);
    raise exception using errcode = 'TEST0';
  exception when sqlstate 'TEST0' then return result;
  end;
end $$;
select is(tests.claimable(), 'g a b', 'no types: any');
select is(tests.claimable('{beta}'), 'b', 'job_types: one');
select is(tests.claimable('{beta, alpha, beta}'),
          'a b', 'job_types: several, in order of the jobs, named twice or not');
select is(tests.claimable('{import-csv}'), '', 'job_types: one without jobs');
select is(tests.claimable('{}'), '', 'job_types: an empty list asks for none');
select is(tests.claimable(null, 'letters'), 'a b', 'job_category: the jobs of its types');
select is(tests.claimable('{beta, gamma}', 'letters'), 'b', 'job_types and job_category: those that are both');
select is(tests.claimable(null, 'own category'), '', 'job_category: of the type, not what the job was given');
select is(tests.claimable(null, 'no such category'), '', 'job_category: one that no type has');
select tests.refuses($$ select job_claim('{alpha, alhpa}') $$, '22023', '%"alhpa"%', 'an unknown type is refused');
select tests.refuses($$ select job_claim(array['alpha', null]) $$,
                     '22023', '%job_types%null%', 'null among the types is refused');
select tests.refuses($$ select job_claim('{{alpha}, {beta}}') $$,
                     '22023', '%job_types%', 'types in two dimensions are refused');
select job_type_set('beta', job_category => 'rays') \g /dev/null
select is(tests.claimable(null, 'rays'), 'g b', 'a type that moves to another category takes its jobs along');

-- Paused.
select job_type_set('alpha', paused => true) \g /dev/null
select is(tests.claimable(), 'g b', 'a paused type: none of its jobs');
select is(tests.claimable('{alpha}'), '', 'a paused type: not even by name');
select job_type_set('alpha', paused => false), job_pause(job_id => 'g') \g /dev/null
select is(tests.claimable(), 'a b', 'a paused job is not claimed; those of a type that goes on are');
-- A type that was deleted: its jobs are not lost.
delete from job_types where job_type = 'beta';
select is(tests.claimable(), 'a b', 'jobs of a type that is no longer registered are claimed');
truncate jobs, job_attempts;

--
-- Time
--
select job_enqueue('alpha', job_id => 'delayed', run_at => '2030-01-01 13:00+00', priority => 10) \g /dev/null
set jobs_ext.now = '2030-01-01 12:59:59.999999+00';
select is(tests.claim(), '', 'a delayed job is not claimed before its time');
set jobs_ext.now = '2030-01-01 13:00:00+00';
select is(tests.claim(), 'delayed', 'a delayed job is claimed at its time');

select job_enqueue('alpha', job_id => 'expiring', expires_at => '2030-01-01 14:00+00'),
       job_enqueue('alpha', job_id => 'in time', priority => 1, expires_at => '2030-01-01 14:00+00'),
       job_enqueue('alpha', job_id => 'behind it', priority => -1) \g /dev/null
set jobs_ext.now = '2030-01-01 13:59:59.999999+00';
select is(tests.claim(), 'in time', 'a job is claimed until it expires');
set jobs_ext.now = '2030-01-01 14:00:00+00';
select is(tests.claim(), 'behind it', 'an expired job is passed over');
select is(row(j.status, j.error_message, j.finished_at, j.cancelled_at, j.started_at, j.attempt)::text,
          row('cancelled', 'expired before it was started', timestamptz '2030-01-01 14:00:00+00',
              timestamptz '2030-01-01 14:00:00+00', null, 0)::text,
          'an expired job ends as cancelled, with the reason') from tests.job('expiring') j;
select is(tests.status('in time'), 'in_progress', 'a job that started in time goes on');
select tests.in_step('expired jobs leave the queue');

--
-- lease and options
--
select tests.refuses($$ select job_claim(lease => '0') $$, '22023', '%lease%', 'a lease of nothing is refused');
select tests.refuses($$ select job_claim(lease => '-1 s') $$,
                     '22023', '%lease%-00:00:01', 'a negative lease is refused');
select tests.refuses($$ select job_claim(lease => '300 years') $$,
                     '22023', '%lease%300 years', 'an endless lease is refused');
select tests.refuses($$ select job_claim(options => '{"colour": 1}') $$,
                     '22023', '%"colour"%', 'an unknown option is refused');
select tests.refuses($$ select job_claim(options => '[]') $$,
                     '22023', '%options%[]', 'options that are no object are refused');
select lives_ok($$ select job_claim(options => null, job_types => null, lease => null, wait => null,
                                    worker => null) $$,
                'null stands for the default');

--
-- wait
--
create function tests.seconds(call text, out result bigint, out seconds float) language plpgsql as $$
declare
  began constant timestamptz := clock_timestamp();
begin
  execute 'select count(*) from ' || call into result;
  seconds := extract(epoch from clock_timestamp() - began);
end $$;
select ok(t.result = 0 and t.seconds between 0.29 and 5, 'wait: as long as asked for, when nothing comes')
from tests.seconds($$ job_claim(wait => '300 ms') $$) t;
select tests.refuses($$ select job_claim(wait => '-1 s') $$,
                     '22023', '%wait%-00:00:01', 'wait: a negative one is refused');

select job_enqueue('alpha') \g /dev/null
select ok(t.result = 1 and t.seconds < 5, 'wait: not at all when there is a job')
from tests.seconds($$ job_claim(wait => '20 s') $$) t;

-- By the clock of the wall: the queue's own must run for that.
reset jobs_ext.now;
select job_enqueue('beta', run_at => clock_timestamp() + interval '500 ms') from job_type_set('beta') \g /dev/null
select ok(t.result = 1 and t.seconds < 10, 'wait: until the job that becomes due meanwhile')
from tests.seconds($$ job_claim('{beta}', wait => '20 s') $$) t;
set jobs_ext.now = '2030-01-01 15:00:00+00';

set statement_timeout = '1s';
select ok(t.result = 0 and t.seconds between 0.2 and 1, 'wait: an answer comes before the statement''s timeout')
from tests.seconds($$ job_claim(wait => '20 s') $$) t;
set statement_timeout = '300ms';
select ok(t.result = 0, 'wait: not at all under a short timeout')
from tests.seconds($$ job_claim(wait => '20 s') $$) t;
reset statement_timeout;

set jobs_ext.max_wait = '100ms';
select ok(t.result = 0 and t.seconds between 0.09 and 5, 'wait: no longer than jobs_ext.max_wait')
from tests.seconds($$ job_claim(wait => '20 s') $$) t;
reset jobs_ext.max_wait;

begin;
create table tests.written ();
select ok(t.result = 0 and t.seconds < 5, 'wait: not in a transaction that has written')
from tests.seconds($$ job_claim(wait => '20 s') $$) t;
rollback;
begin isolation level repeatable read;
select ok(t.result = 0 and t.seconds < 5, 'wait: not in a transaction that cannot see what comes')
from tests.seconds($$ job_claim(wait => '20 s') $$) t;
rollback;

--
-- Transactions
--
select job_enqueue('alpha', job_id => 'waiting') \g /dev/null
begin read only;
select tests.refuses('select job_claim()', '25006', '%job_claim()%', 'a read-only transaction cannot claim');
rollback;
begin isolation level repeatable read;
select is(tests.claimable(), 'waiting', 'repeatable read: claims');
rollback;
begin isolation level serializable;
select is(tests.claimable(), 'waiting', 'serializable: claims');
rollback;
begin;
select job_enqueue('alpha', job_id => 'not yet committed', priority => 1) \g /dev/null
select is(tests.claim(5), 'not yet committed waiting', 'a job is claimed in the transaction that made it');
rollback;

-- A claim and what is done with it, in one statement.
select job_enqueue('alpha', job_id => 'waiting too', priority => -1) \g /dev/null
select results_eq('select (job_complete(id, lease_id)).status from job_claim(max_jobs => 5)',
                  array['completed', 'completed'], 'select job_complete(id, lease_id) from job_claim() works');
select is(tests.status('waiting') || ' ' || tests.status('waiting too'),
          'completed completed', 'its jobs are completed');
select job_enqueue('alpha', job_id => 's' || i) from generate_series(1, 2) i \g /dev/null
select is((select count(distinct a.id) from (select * from job_claim() union all select * from job_claim()) a),
          2::bigint, 'two claims in one statement take two jobs');
select tests.in_step('after all this the queue is right');

select * from finish();
