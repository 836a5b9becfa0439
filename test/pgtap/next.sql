-- job_next: completes one job and claims the next, both or neither.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select plan(37);

set jobs_ext.now = '2030-01-01 12:00:00+00';
select tests.run('one') as lease \gset
select tests.id('one') as id \gset
select job_enqueue('alpha', job_id => 'two', run_at => '2030-01-01 11:00+00'),
       job_enqueue('beta', job_id => 'first', priority => 1),
       job_enqueue('gamma', job_id => 'three', run_at => '2030-01-01 11:30+00'),
       job_enqueue('gamma', job_id => 'delayed', priority => 10, run_at => '2030-01-01 13:00+00') \g /dev/null

set jobs_ext.now = '2030-01-01 12:00:10+00';
create temp table next as select * from job_next(:'id', :'lease', '{"rows": 1}', worker => 'w2', lease => '5 minutes');
select is(row(j.status, j.result, j.finished_at, j.completed_at, j.execution_time_ms, j.worker)::text,
          row('completed', '{"rows": 1}'::jsonb, timestamptz '2030-01-01 12:00:10+00',
              timestamptz '2030-01-01 12:00:10+00', 10000, 'w1')::text,
          'the job is completed, with its result')
from tests.job('one') j;
select is(n.job_id, 'first', 'the best that is due comes back') from next n;
select is(row(n.status, n.attempt, n.worker, n.started_at, n.lease_expires_at)::text,
          row('in_progress', 1, 'w2', timestamptz '2030-01-01 12:00:10+00',
              timestamptz '2030-01-01 12:05:10+00')::text,
          'it is claimed, for this worker and as long as asked for')
from next n;
select is(to_jsonb(n), to_jsonb(j), 'the row that comes back is the row that was written')
from next n, jobs j where j.id = n.id;
select is((select count(*) from next), 1::bigint, 'one at a time');
select tests.in_step('the queue has one job less, and another that runs');

-- Types and categories.
select is(n.job_id, 'three', 'job_types: only of these')
from next p, job_next(p.id, p.lease_id, job_types => '{gamma}') n;
select is((tests.job('three')).lease_expires_at, '2030-01-01 12:10:10+00', 'without a lease: as in job_claim');
select is((tests.job('three')).worker, null, 'without a worker: none');
select is((select count(*) from job_next(tests.id('three'), tests.lease('three'), job_category => 'rays')), 0::bigint,
          'job_category: only of this; no row when there is none');
select is(tests.status('three'), 'completed', 'nothing to claim: the job is completed all the same');
select is((tests.job('three')).result, null, 'without a result');

-- The types that a category selects.
select tests.run('four', 'gamma') as lease \gset
select is(n.job_id, 'two', 'job_category: a job of one of its types')
from job_next(tests.id('four'), :'lease', job_category => 'letters') n;
select is((select count(*) from job_next(tests.id('two'), tests.lease('two'))),
          0::bigint, 'a delayed job is not the next');
set jobs_ext.now = '2030-01-01 13:00:00+00';
select is((select count(*) from job_claim()), 1::bigint, 'until it is due');
select job_release_worker('nobody') \g /dev/null
select job_cancel(job_id => 'delayed', force => true) \g /dev/null

-- It never waits.
select tests.run('alone') as lease \gset
select clock_timestamp() as began \gset
select is((select count(*) from job_next(tests.id('alone'), :'lease')), 0::bigint, 'nothing due: no row');
select ok(clock_timestamp() - :'began'::timestamptz < interval '5 s', 'at once');

-- The job that was just completed is never the next.
select is((select count(*) from job_next(tests.id('again'), lease) n where n.job_id = 'again'), 0::bigint,
          'what was just completed is not claimed again') from tests.run('again') lease;

-- A paused type.
select tests.run('before pause') as lease \gset
select job_enqueue('beta', job_id => 'of a paused type'), job_type_set('beta', paused => true) \g /dev/null
select is((select count(*) from job_next(tests.id('before pause'), :'lease')),
          0::bigint, 'a paused type has no next job');
select job_type_set('beta', paused => false) \g /dev/null

-- An expired one.
select tests.run('before expiry') as lease \gset
select job_enqueue('beta', job_id => 'expiring', priority => 1, expires_at => '2030-01-01 14:00+00') \g /dev/null
set jobs_ext.now = '2030-01-01 14:00:00+00';
select is(n.job_id, 'of a paused type', 'an expired job is passed over')
from job_next(tests.id('before expiry'), :'lease') n;
select is(tests.status('expiring'), 'cancelled', 'and ends as cancelled');

--
-- Neither, when one of them is refused
--
select job_enqueue('alpha', job_id => 'waiting') \g /dev/null
select tests.run('running', 'gamma') as lease \gset
select tests.id('running') as id \gset
select tests.refuses(format('select job_next(%L, %L)', :'id', tests.lease('one')),
                     'PT409', '%' || :'id' || '%', 'lease_lost', 'a lease that is not the job''s');
select tests.refuses('select job_next(''00000000-0000-7000-8000-000000000001'', gen_random_uuid())', 'PT404',
                     '%00000000-0000-7000-8000-000000000001', 'an unknown job');
select tests.refuses(format('select job_next(%L, %L, %s)', :'id', :'lease', call.arguments),
                     call.state, call.message, call.about)
from (values ('job_types => ''{alpha, alhpa}''', '22023', '%"alhpa"%', 'an unknown type'),
             ('job_types => ''{alpha, null}''', '22023', '%job_types%null%', 'null among the types'),
             ('lease => ''0''', '22023', 'lease %', 'a lease of nothing'),
             ('lease => ''-1 s''', '22023', 'lease %-00:00:01', 'a negative lease'),
             ('to_jsonb(repeat(''x'', 300 * 1024))', 'PT413', 'result %307%256%', 'a result over jobs_ext.max_payload')
     ) as call (arguments, state, message, about);
select tests.refuses(format('select job_next(null, %L)', :'lease'), '22023', 'id %null%', 'id null');
select tests.refuses(format('select job_next(%L, null)', :'id'), '22023', 'lease_id %null%', 'lease_id null');
begin read only;
select tests.refuses(format('select job_next(%L, %L)', :'id', :'lease'),
                     '25006', '%job_next()%', 'a read-only transaction');
rollback;
select is(tests.status('running') || ' ' || tests.status('waiting'), 'in_progress queued', 'all is as it was');

-- In one transaction; repeatable read sees what it did itself.
begin isolation level repeatable read;
select is(n.job_id, 'waiting', 'repeatable read: completes and claims') from job_next(:'id', :'lease') n;
select is((select count(*) from job_next(tests.id('waiting'), tests.lease('waiting'))),
          0::bigint, 'repeatable read: and again');
rollback;
-- Without end: each job gives the next.
select job_enqueue('alpha', job_id => 'chain ' || i) from generate_series(1, 3) i \g /dev/null
select is((with recursive chain as (
             select n.id, n.lease_id, 1 as length from job_next(:'id', :'lease') n
             union all
             select n.id, n.lease_id, c.length + 1 from chain c, job_next(c.id, c.lease_id) n)
           select max(c.length) from chain c), 4, 'one statement works through all that is due');
select is((select count(*) from jobs where status in ('pending', 'queued')), 0::bigint, 'nothing is left');
select tests.in_step('after all this the queue is right');

select * from finish();
