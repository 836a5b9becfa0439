-- job_release_worker: all that a dead worker holds goes back.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select plan(18);

set jobs_ext.now = '2030-01-01 12:00:00+00';
select tests.run('a', 'alpha', 'pod-1'), tests.run('b', 'beta', 'pod-1', max_retries => 0),
       tests.run('c', 'gamma', 'pod-2'), tests.run('d', 'alpha', null), tests.run('e', 'alpha', 'pod-10'),
       tests.run('f', 'alpha', 'pod-1'), tests.run('g', 'beta', 'pod-1')
\g /dev/null
select job_cancel(job_id => 'f') \g /dev/null
select job_complete(tests.id('g'), tests.lease('g')) \g /dev/null
select job_heartbeat(tests.id('a'), tests.lease('a'), lease => '1 day') \g /dev/null
select tests.lease('a') as lease \gset

set jobs_ext.now = '2030-01-01 12:00:30+00';
select is(job_release_worker('pod-1'), 3, 'as many as it held');
select is(row(j.status, j.retries, j.attempt, j.run_at, j.worker, j.started_at)::text,
          row('pending', 0, 1, timestamptz '2030-01-01 12:00:30+00', null, null)::text,
          'its jobs wait again, due at once, no retry spent')
from tests.job('a') j;
select is(tests.status('b'), 'pending', 'of all types, with retries left or not');
select is(tests.status('f'), 'cancelled', 'one that was to be cancelled ends as cancelled');
select is(tests.status('g'), 'completed', 'one that it had completed stays so');
select is((tests.job('g')).worker, 'pod-1', 'and tells who did it');
select is(tests.status('c') || ' ' || tests.status('d') || ' ' || tests.status('e'),
          'in_progress in_progress in_progress',
          'those of other workers, of none, of one whose name begins alike go on');
select is((select string_agg(j.job_id || ' ' || a.worker || ' ' || a.outcome, ', ' order by j.job_id)
           from job_attempts a join jobs j on j.id = a.job), 'a pod-1 released, b pod-1 released, f pod-1 released',
          'the attempts are in job_attempts');
select tests.in_step('its jobs are back in their lanes');
select tests.refuses(
  format('select job_heartbeat(%L, %L)', tests.id('a'), :'lease'),
  'PT409', '%' || tests.id('a') || '%', 'lease_lost', 'should the worker live after all, its lease is lost');
select is(job_release_worker('pod-1'), 0, 'again: nothing is left');
select is(job_release_worker('no such worker'), 0, 'a worker that nobody knows holds nothing');
select is((select count(*) from job_claim(max_jobs => 10, worker => 'pod-3')),
          2::bigint, 'another worker gets its jobs at once');

-- Many.
select job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'gamma')) from generate_series(1, 500) i))
\g /dev/null
select count(*) from job_claim(max_jobs => 1000, worker => 'pod-4') \g /dev/null
select is(job_release_worker('pod-4'), 500, 'five hundred in one call');
select tests.in_step('five hundred jobs are back in their lane');

begin read only;
select tests.refuses('select job_release_worker(''pod-2'')',
                     '25006', '%job_release_worker()%', 'a read-only transaction cannot');
rollback;
select tests.refuses('select job_release_worker(null)', '22023', 'worker %null%', 'null is refused');
select tests.refuses('select job_release_worker('''')', '22023', 'worker %empty%', 'an empty name is refused');

select * from finish();
