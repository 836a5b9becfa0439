-- job_maintain: leases and run-time limits that ran out, jobs that expired.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select plan(55);

set jobs_ext.now = '2030-01-01 12:00:00+00';
create function tests.attempts(key text) returns text language sql as $$
  select string_agg(concat_ws(' ', a.attempt, coalesce(a.worker, '-'), a.outcome, coalesce(a.error_message, '-')), ', '
                    order by a.attempt)
  from public.job_attempts a where a.job = tests.id(key)
$$;
-- What it counts that is not zero.
create function tests.maintain() returns text language sql as $$
  select coalesce(string_agg(format('%s %s', c.key, c.value), ', ' order by c.key), '')
  from jsonb_each_text(job_maintain()) c where c.value not in ('0', 'false')
$$;

select is(tests.maintain(), '', 'nothing to do');
select is(array(select jsonb_object_keys(job_maintain()) order by 1),
          '{archived,cancelled,deleted,erased,errors,expired,failed,leases_reaped,left,more,
            partitions_dropped,retried,set_aside,timeouts_reaped,unblocked}',
          'it counts what it did');

--
-- A lease that ran out
--
select tests.run('job', lease => '1 minute') as lease \gset
select tests.id('job') as id \gset
set jobs_ext.now = '2030-01-01 12:00:59.999999+00';
select tests.everything() as before \gset
select is(tests.maintain(), '', 'until a lease has run out nothing happens');
select is(tests.everything(), :'before', 'nothing at all');
set jobs_ext.now = '2030-01-01 12:01:00+00';
select is(tests.maintain(), 'leases_reaped 1, retried 1', 'then it is taken away');
select is(row(j.status, j.retries, j.attempt, j.started_at, j.worker, j.lease_expires_at, j.finished_at)::text,
          row('pending', 1, 1, null, null, null, null)::text, 'it counts as a failed attempt: a retry is spent')
from tests.job('job') j;
select ok(j.run_at between '2030-01-01 12:01:00.5+00' and '2030-01-01 12:01:01+00',
          'the retry comes by the backoff of the type')
from tests.job('job') j;
select is(j.lease_id, null, 'its lease is gone') from tests.job('job') j;
select is(j.error_message, 'the lease of attempt 1 by worker w1 ran out', 'the row says why') from tests.job('job') j;
select is(tests.attempts('job'), '1 w1 lease_expired the lease of attempt 1 by worker w1 ran out',
          'the attempt is in job_attempts');
select is(row(a.started_at, a.ended_at)::text,
          row(timestamptz '2030-01-01 12:00+00', timestamptz '2030-01-01 12:01+00')::text, 'with its times')
from job_attempts a;
select tests.in_step('it is back in its lane');
select tests.refuses(format(call.template, :'id', :'lease'),
                     'PT409', '%' || :'id' || '%', 'lease_lost', call.template || ': too late')
from (values ('select job_complete(%L, %L)'), ('select job_fail(%L, %L)'), ('select job_release(%L, %L)'),
             ('select job_heartbeat(%L, %L)'), ('select job_next(%L, %L)')) as call (template);
select is(tests.maintain(), '', 'a second round finds nothing');

-- The worker that kills itself on the job: it does not loop.
select tests.run_again('job', 'w2'), set_config('jobs_ext.now', '2030-01-01 12:30:00+00', false), tests.maintain()
\g /dev/null
select is((tests.job('job')).retries, 2, 'each lease that runs out spends a retry');
select tests.run_again('job', 'w3'), set_config('jobs_ext.now', '2030-01-01 13:00:00+00', false), tests.maintain()
\g /dev/null
select tests.run_again('job', 'w4') \g /dev/null
set jobs_ext.now = '2030-01-01 13:30:00+00';
select is(tests.maintain(), 'failed 1, leases_reaped 1', 'when the retries are spent it has failed');
select is(row(j.status, j.retries, j.attempt, j.finished_at, j.error_message, j.lease_id)::text,
          row('failed', 3, 4, timestamptz '2030-01-01 13:30+00', 'the lease of attempt 4 by worker w4 ran out',
              null)::text,
          'with max_retries = 3 it ran four times')
from tests.job('job') j;
select is((select count(*) from job_attempts where job = :'id' and outcome = 'lease_expired'),
          4::bigint, 'each attempt is in job_attempts');
select tests.in_step('it is among the failed');

-- The backoff of the type.
select job_type_set('beta', backoff => 'linear', retry_delay_ms => 10000) \g /dev/null
select tests.run('slow', 'beta', null, '1 s') \g /dev/null
set jobs_ext.now = '2030-01-01 14:00:00+00';
select is(tests.maintain(), 'leases_reaped 1, retried 1', 'a worker without a name');
select ok(j.run_at between '2030-01-01 14:00:05+00' and '2030-01-01 14:00:10+00',
          'the first retry: half to all of the delay')
from tests.job('slow') j;
select is(j.error_message, 'the lease of attempt 1 by worker (unnamed) ran out', 'has no name in the message')
from tests.job('slow') j;
select is(a.worker, null, 'nor in job_attempts') from job_attempts a where a.job = tests.id('slow');
select tests.run_again('slow'), set_config('jobs_ext.now', '2030-01-01 15:00:00+00', false), job_maintain()
\g /dev/null
select ok(j.run_at between '2030-01-01 15:00:10+00' and '2030-01-01 15:00:20+00', 'the second: twice as long')
from tests.job('slow') j;
select job_cancel(job_id => 'slow') \g /dev/null

-- A cancel was requested.
select tests.run('unwanted', lease => '1 s') \g /dev/null
select job_cancel(job_id => 'unwanted') \g /dev/null
set jobs_ext.now = '2030-01-01 15:10:00+00';
select is(tests.maintain(), 'cancelled 1, leases_reaped 1', 'a job that was to be cancelled is not tried again');
select is(row(j.status, j.retries, j.cancelled_at, j.finished_at)::text,
          row('cancelled', 0, timestamptz '2030-01-01 15:10+00', timestamptz '2030-01-01 15:10+00')::text,
          'it ends as cancelled')
from tests.job('unwanted') j;

-- A heartbeat saves it.
select tests.run('alive', lease => '1 minute') as lease \gset
select job_heartbeat(tests.id('alive'), :'lease', lease => '1 hour') \g /dev/null
set jobs_ext.now = '2030-01-01 15:30:00+00';
select is(tests.maintain(), '', 'a lease that was renewed holds');
select job_complete(tests.id('alive'), :'lease') \g /dev/null

--
-- A run-time limit
--
select job_type_set('gamma', timeout => '10 minutes', lease => '5 minutes') \g /dev/null
select tests.run('endless', 'gamma') as lease \gset
select tests.id('endless') as id \gset
set jobs_ext.now = '2030-01-01 15:34:00+00';
select job_heartbeat(:'id', :'lease') \g /dev/null
set jobs_ext.now = '2030-01-01 15:38:00+00';
select job_heartbeat(:'id', :'lease', lease => '1 hour') \g /dev/null
set jobs_ext.now = '2030-01-01 15:39:59+00';
select is(tests.maintain(), '', 'until the limit nothing happens');
set jobs_ext.now = '2030-01-01 15:40:00+00';
select is(tests.maintain(), 'retried 1, timeouts_reaped 1', 'then it is taken away, whatever its heartbeats');
select is(tests.attempts('endless'),
          '1 w1 timed_out attempt 1 by worker w1 ran longer than its type allows', 'the attempt is in job_attempts');
select is((tests.job('endless')).error_message,
          'attempt 1 by worker w1 ran longer than its type allows', 'the row says why');
select tests.refuses(format('select job_complete(%L, %L)', :'id', :'lease'),
                     'PT409', '%' || :'id' || '%', 'lease_lost', 'its lease is lost');
select tests.in_step('it is back in its lane');
select tests.run_again('endless') \g /dev/null
select is(j.timeout_at, j.started_at + interval '10 minutes', 'the next attempt has its own limit')
from tests.job('endless') j;
set jobs_ext.now = '2030-01-01 17:00:00+00';
select is(tests.maintain(), 'retried 1, timeouts_reaped 1', 'lease and limit both over: the limit is told');
select job_cancel(job_id => 'endless') \g /dev/null

--
-- Expiry
--
select job_enqueue('alpha', job_id => 'expiring', expires_at => '2030-01-01 18:00+00'),
       job_enqueue('alpha', job_id => 'expiring later', expires_at => '2030-01-01 18:00:00.000001+00'),
       job_enqueue('alpha', job_id => 'expiring delayed', run_at => '2030-01-01 17:59+00',
                   expires_at => '2030-01-01 18:00+00'),
       job_enqueue('alpha', job_id => 'expiring paused', expires_at => '2030-01-01 18:00+00') \g /dev/null
select job_pause(job_id => 'expiring paused') \g /dev/null
select job_enqueue('beta', job_id => 'started', expires_at => '2030-01-01 18:00+00') \g /dev/null
select count(*) from job_claim('{beta}', lease => '1 day') \g /dev/null
select job_enqueue('gamma', job_id => 'of a paused type', expires_at => '2030-01-01 18:00+00'),
       job_type_set('gamma', paused => true)
\g /dev/null
select tests.in_step('jobs that may expire are noted');
set jobs_ext.now = '2030-01-01 17:59:59.999999+00';
select is(tests.maintain(), '', 'until they expire nothing happens');
set jobs_ext.now = '2030-01-01 18:00:00+00';
select is(tests.maintain(), 'expired 4', 'then they are cancelled, paused ones and those of a paused type too');
select is(row(j.status, j.error_message, j.finished_at, j.cancelled_at, j.started_at, j.attempt)::text,
          row('cancelled', 'expired before it was started', timestamptz '2030-01-01 18:00+00',
              timestamptz '2030-01-01 18:00+00', null, 0)::text,
          key || ': cancelled, with the reason')
from unnest('{expiring, expiring delayed, expiring paused, of a paused type}'::text[]) key, tests.job(key) j;
select is(tests.status('expiring later'), 'queued', 'one that has a microsecond left waits');
select is(tests.status('started'), 'in_progress', 'one that was started goes on');
select is((select count(*) from job_attempts where job = tests.id('expiring')), 0::bigint, 'there was no attempt');
select tests.in_step('expired jobs leave the queue');

select job_type_set('gamma', paused => false) \g /dev/null

-- A job that was started in time has not "expired before it was started", however often it is tried again.
select job_fail(tests.id('started'), tests.lease('started'), run_at => '2030-01-01 18:10+00') \g /dev/null
set jobs_ext.now = '2030-01-01 18:10:00+00';
select is(tests.maintain(), 'expired 1',
          'one that was started in time does not expire between two attempts; the other does');
select is((select string_agg(c.job_id, ' ') from job_claim('{beta}') c), 'started', 'it is claimed again');
select job_complete(tests.id('started'), tests.lease('started'))
where tests.status('started') = 'in_progress' \g /dev/null

begin read only;
select tests.refuses('select job_maintain()', '25006', '%job_maintain()%', 'a read-only transaction cannot');
rollback;

--
-- Many
--
select job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'beta', 'max_retries', i % 2))
                         from generate_series(1, 300) i))
\g /dev/null
select count(*) from job_claim('{beta}', max_jobs => 300, lease => '1 s') \g /dev/null
set jobs_ext.now = '2030-01-01 19:00:00+00';
select is(tests.maintain(), 'failed 150, leases_reaped 300, retried 150', 'three hundred in one round');
select tests.in_step('three hundred jobs are where they belong');

select * from finish();
