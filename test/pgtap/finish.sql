-- job_complete, job_fail, job_release: how an attempt ends, what is told twice, what is refused.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select plan(115);

set jobs_ext.now = '2030-01-01 12:00:00+00';

--
-- job_complete
--
select tests.run('c', lease => '1 hour') as lease \gset
select tests.id('c') as id \gset
select job_heartbeat(:'id', :'lease', '{"at": 1}') \g /dev/null
set jobs_ext.now = '2030-01-01 12:00:01.5+00';
create temp table answer as select * from job_complete(:'id', :'lease', '{"rows": 12}');
select is(row(a.id, a.job_id, a.job_type, a.status, a.attempt, a.retries, a.lease_id, a.run_at, a.lease_expires_at,
              a.cancel_requested_at, a.finished_at, a.created)::text,
          row(:'id'::uuid, 'c', 'alpha', 'completed', 1, 0, :'lease'::uuid, timestamptz '2000-01-01+00', null, null,
              timestamptz '2030-01-01 12:00:01.5+00', null)::text, 'complete: the state of the job comes back')
from answer a;
select is(j.result, '{"rows": 12}', 'complete: the result is kept') from tests.job('c') j;
select is(j.completed_at, '2030-01-01 12:00:01.5+00', 'complete: completed_at') from tests.job('c') j;
select is(j.finished_at, j.completed_at, 'complete: finished_at') from tests.job('c') j;
select is(j.updated_at, j.completed_at, 'complete: updated_at') from tests.job('c') j;
select is(j.started_at, '2030-01-01 12:00:00+00', 'complete: started_at stays') from tests.job('c') j;
select is(j.execution_time_ms, 1500, 'complete: the execution time in milliseconds') from tests.job('c') j;
select is(row(j.lease_expires_at, j.timeout_at)::text, '(,)', 'complete: nothing runs out any more')
from tests.job('c') j;
select is(j.worker, 'w1', 'complete: who did it is still told') from tests.job('c') j;
select is(j.progress, '{"at": 1}', 'complete: progress stays as last told') from tests.job('c') j;
select is((select count(*) from job_attempts), 0::bigint, 'complete: a success leaves no attempt behind');
select tests.in_step('complete: the job leaves the queue');

-- The reply was lost: the same call again.
set jobs_ext.now = '2030-01-01 13:00:00+00';
select tests.everything() as before \gset
select results_eq(format('select * from job_complete(%L, %L, ''{"rows": 12}'')', :'id', :'lease'), 'table answer',
                  'complete again: the same state');
select results_eq(format('select * from job_complete(%L, %L, ''{"rows": 13}'')', :'id', :'lease'), 'table answer',
                  'complete again with another result: the same state');
select is(tests.everything(), :'before', 'complete again: nothing changes');
select tests.refuses(format('select job_fail(%L, %L)', :'id', :'lease'), 'PT409', '%' || :'id' || '%', 'lease_lost',
                     'fail after complete is refused');
select tests.refuses(format('select job_release(%L, %L)', :'id', :'lease'), 'PT409', '%' || :'id' || '%', 'lease_lost',
                     'release after complete is refused');
select tests.refuses(format('select job_complete(%L, %L)', :'id', gen_random_uuid()), 'PT409', '%' || :'id' || '%',
                     'lease_lost', 'complete again under another lease is refused');

-- result
select tests.run('no result') as lease \gset
select job_complete(tests.id('no result'), :'lease') \g /dev/null
select is((tests.job('no result')).result, null, 'complete: without a result');
select tests.run('scalar result') as lease \gset
select job_complete(tests.id('scalar result'), :'lease', '7') \g /dev/null
select is((tests.job('scalar result')).result, '7', 'complete: any JSON is a result');
select tests.run('large') as lease \gset
select tests.id('large') as id \gset
select tests.refuses(format('select job_complete(%L, %L, to_jsonb(repeat(''x'', 300 * 1024)))', :'id', :'lease'),
                     'PT413', '%result%307%256%', 'complete: a result over jobs_ext.max_payload is refused');
-- The whole row has a limit of its own.
select job_heartbeat(:'id', :'lease', to_jsonb(repeat('p', 250 * 1024))) \g /dev/null
update jobs set metadata = jsonb_build_object('m', repeat('m', 250 * 1024)),
  input_payload = jsonb_build_object('i', repeat('i', 250 * 1024))
where id = :'id';
select tests.refuses(format('select job_complete(%L, %L, to_jsonb(repeat(''r'', 250 * 1024)))', :'id', :'lease'),
                     'PT413', '%' || :'id' || '%921600%', 'complete: a row over 900 kB is refused');
select is((job_complete(:'id', :'lease', to_jsonb(repeat('r', 100 * 1024)))).status, 'completed',
          'complete: a row just below that is not');

-- The execution time saturates: int4 milliseconds end after 24.8 days.
select tests.run('long', lease => '90 days') as lease \gset
set jobs_ext.now = '2030-02-15 13:00:00+00';
select job_complete(tests.id('long'), :'lease') \g /dev/null
select is((tests.job('long')).execution_time_ms,
          2147483647, 'complete: 45 days are the longest time that an int4 holds');
select tests.run('clock') as lease \gset
set jobs_ext.now = '2030-02-15 12:00:00+00';
select job_complete(tests.id('clock'), :'lease') \g /dev/null
select is((tests.job('clock')).execution_time_ms, 0, 'complete: a clock that was set back gives no negative time');

-- A lease that ran out counts until the job is taken away.
select tests.run('late', lease => '1 s') as lease \gset
set jobs_ext.now = '2030-02-15 12:10:00+00';
select is((job_complete(tests.id('late'), :'lease')).status,
          'completed', 'complete: late, but nobody else has the job');
select tests.run('too late', lease => '1 s') as lease \gset
set jobs_ext.now = '2030-02-15 12:20:00+00';
select job_maintain() \g /dev/null
select tests.refuses(format('select job_complete(%L, %L)', tests.id('too late'), :'lease'), 'PT409',
                     '%' || tests.id('too late') || '%', 'lease_lost', 'complete: too late, the job was taken away');
select tests.run_again('too late', 'w2') \g /dev/null
select tests.refuses(
  format('select job_complete(%L, %L)', tests.id('too late'), :'lease'),
  'PT409', '%' || tests.id('too late') || '%', 'lease_lost', 'complete: too late, another worker has the job');

-- What the DETAIL of a lost lease tells.
create function tests.detail(call text) returns jsonb language plpgsql as $$
declare
  detail text;
begin
  execute call;
  return null;
exception when others then
  get stacked diagnostics detail = pg_exception_detail;
  return detail;
end $$;
select is(tests.detail(format('select job_complete(%L, %L)', tests.id('too late'), :'lease')),
          '{"reason": "lease_lost", "status": "in_progress", "attempt": 2, "worker": "w2"}',
          'a lost lease: the DETAIL says how the job stands');
select job_complete(tests.id('too late'), tests.lease('too late')) \g /dev/null

-- Unknown, null, another job's.
select tests.run('mine') as mine, tests.run('yours') as yours \gset
select unnest(array[
       tests.refuses(format(call.template, tests.id('mine'), :'yours'), 'PT409', '%' || tests.id('mine') || '%',
                     'lease_lost', call.name || ': another job''s lease is refused'),
       tests.refuses(format(call.template, '00000000-0000-7000-8000-000000000001', :'mine'), 'PT404',
                     '%00000000-0000-7000-8000-000000000001', call.name || ': an unknown job is PT404'),
       tests.refuses(format(call.template, null, :'mine'), '22023', 'id %null%', call.name || ': id null is refused'),
       tests.refuses(format(call.template, tests.id('mine'), null), '22023', 'lease_id %null%',
                     call.name || ': lease_id null is refused'),
       tests.refuses('set transaction read only; ' || format(call.template, tests.id('mine'), :'mine'), '25006',
                     '%' || call.name || '()%', call.name || ': a read-only transaction cannot')])
from (values ('job_complete', 'select job_complete(%L, %L)'), ('job_fail', 'select job_fail(%L, %L)'),
             ('job_release', 'select job_release(%L, %L)')) as call (name, template);
-- Never claimed.
select job_enqueue('gamma', job_id => 'waiting') \g /dev/null
select tests.refuses(
  format('select job_complete(%L, %L)', tests.id('waiting'), gen_random_uuid()),
  'PT409', '%' || tests.id('waiting') || '%', 'lease_lost', 'complete: a job that was never claimed is refused');
-- Archived, by the round of maintenance above.
select tests.refuses(format('select job_complete(id, lease_id) from jobs_archive where job_id = ''c'''), 'PT409',
                     '%archived%', 'archived', 'complete: an archived job is refused');

--
-- job_fail
--
set jobs_ext.now = '2030-03-01 12:00:00+00';
select tests.run('f', lease => '1 hour') as lease \gset
select tests.id('f') as id \gset
set jobs_ext.now = '2030-03-01 12:00:10+00';
create temp table failed as select * from job_fail(:'id', :'lease', 'no such menu', error_details => '{"http": 404}');
select is(row(a.id, a.job_id, a.job_type, a.status, a.attempt, a.retries, a.lease_id, a.lease_expires_at,
              a.cancel_requested_at, a.finished_at, a.created)::text,
          row(:'id'::uuid, 'f', 'alpha', 'pending', 1, 1, :'lease'::uuid, null, null, null, null)::text,
          'fail: the state of the job comes back') from failed a;
select ok(a.run_at between '2030-03-01 12:00:10.5+00' and '2030-03-01 12:00:11+00',
          'fail: the first retry comes after half to all of the delay') from failed a;
select is(j.run_at, a.run_at, 'fail: run_at is what was told') from failed a, tests.job('f') j;
select is(row(j.started_at, j.worker, j.lease_expires_at, j.timeout_at, j.heartbeat_at, j.finished_at)::text,
          '(,,,,,)', 'fail: the attempt is over')
from tests.job('f') j;
select is(j.error_message, 'no such menu', 'fail: the message is kept') from tests.job('f') j;
create function tests.attempts(key text) returns text language sql stable as $$
  select string_agg(concat_ws(' ', a.attempt, coalesce(a.worker, '-'), a.outcome, coalesce(a.error_message, '-'),
                              coalesce(a.error_details::text, '-')), ', ' order by a.attempt)
  from public.job_attempts a where a.job = tests.id(key)
$$;
select is(tests.attempts('f'), '1 w1 failed no such menu {"http": 404}', 'fail: the attempt is in job_attempts');
select is(row(a.started_at, a.ended_at)::text,
          row(timestamptz '2030-03-01 12:00:00+00', timestamptz '2030-03-01 12:00:10+00')::text,
          'fail: with the times at which it began and ended')
from job_attempts a where a.job = :'id';
select tests.in_step('fail: the job is back in its lane');

set jobs_ext.now = '2030-03-01 12:00:10.2+00';
select tests.everything() as before \gset
select results_eq(format('select * from job_fail(%L, %L, ''no such menu'')', :'id', :'lease'), 'table failed',
                  'fail again: the same state');
select results_eq(format('select * from job_fail(%L, %L, ''other'', permanent => true, run_at => ''2031-01-01+00'')',
                         :'id', :'lease'),
                  'table failed', 'fail again with other arguments: the same state');
select is(tests.everything(), :'before', 'fail again: nothing changes');
select tests.refuses(format('select job_complete(%L, %L)', :'id', :'lease'),
                     'PT409', '%' || :'id' || '%', 'lease_lost', 'complete after fail is refused');
select tests.refuses(format('select job_release(%L, %L)', :'id', :'lease'), 'PT409', '%' || :'id' || '%', 'lease_lost',
                     'release after fail is refused');
select tests.run_again('f', 'w2') as lease2 \gset
select tests.refuses(format('select job_fail(%L, %L)', :'id', :'lease'), 'PT409', '%' || :'id' || '%', 'lease_lost',
                     'fail again once another worker has the job is refused');

-- Retries are spent.
select job_fail(:'id', :'lease2', 'second') \g /dev/null
select job_fail(:'id', tests.run_again('f'), 'third') \g /dev/null
select is(row(j.status, j.retries)::text, '(pending,3)', 'fail: three retries are granted') from tests.job('f') j;
select tests.run_again('f') as lease \gset
set jobs_ext.now = '2030-03-01 13:00:00+00';
create temp table failed_for_good as select * from job_fail(:'id', :'lease', 'fourth');
select is(row(a.status, a.attempt, a.retries, a.finished_at)::text,
          row('failed', 4, 3, timestamptz '2030-03-01 13:00:00+00')::text,
          'fail: with max_retries = 3 a job runs four times, then it has failed') from failed_for_good a;
select is(row(j.error_message, j.worker, j.lease_expires_at, j.completed_at, j.cancelled_at)::text, '(fourth,w1,,,)',
          'fail for good: the row says why and who') from tests.job('f') j;
select ok(j.execution_time_ms between 3500000 and 3600000,
          'fail for good: the execution time is that of the last attempt')
from tests.job('f') j;
select is(tests.attempts('f'),
          '1 w1 failed no such menu {"http": 404}, 2 w2 failed second -, 3 w1 failed third -, 4 w1 failed fourth -',
          'fail for good: every attempt is in job_attempts');
select tests.in_step('fail for good: the job is among the failed');
select tests.everything() as before \gset
select results_eq(format('select * from job_fail(%L, %L, ''fourth'')', :'id', :'lease'), 'table failed_for_good',
                  'fail for good again: the same state');
select is(tests.everything(), :'before', 'fail for good again: nothing changes');

-- No retries at all, permanent failures.
select is((job_fail(tests.id('none'), lease)).status, 'failed', 'fail: max_retries = 0 is one run')
from tests.run('none', max_retries => 0) lease;
select is(row(f.status, f.retries)::text, '(failed,0)', 'fail: permanent spends no retry')
from tests.run('permanent') lease, job_fail(tests.id('permanent'), lease, permanent => true) f;
select tests.run('untouched') as lease \gset
select tests.id('untouched') as id \gset
select tests.refuses(format('select job_fail(%L, %L, permanent => null)', :'id', :'lease'),
                     '22023', 'permanent %null%', 'fail: permanent null is refused');

-- run_at: the caller knows when to try again.
select tests.refuses(format('select job_fail(%L, %L, run_at => ''infinity'')', :'id', :'lease'), '22023',
                     'run_at %infinity', 'fail: never is no time to try again');
select tests.refuses(format('select job_fail(%L, %L, run_at => ''-infinity'')', :'id', :'lease'), '22023',
                     'run_at %-infinity', 'fail: nor is always');
select is(row(f.status, f.run_at, f.retries)::text, row('pending', timestamptz '2030-03-02 08:00+00', 1)::text,
          'fail: run_at given is when to try again, whatever the backoff')
from job_fail(:'id', :'lease', run_at => '2030-03-02 08:00+00') f;
select tests.in_step('fail: run_at given is where the job stands in its lane');
select is(f.status, 'failed', 'fail: run_at grants no retry that is not there')
from tests.run('no more', max_retries => 0) lease,
     job_fail(tests.id('no more'), lease, run_at => '2030-03-02 08:00+00') f;

-- The message and the details.
select job_fail(tests.id('silent'), lease, permanent => true) from tests.run('silent') lease \g /dev/null
select is((tests.job('silent')).error_message, null, 'fail: without a message');
select tests.run('wordy') as lease \gset
select job_fail(tests.id('wordy'), :'lease', repeat('x', 65536), permanent => true) \g /dev/null
select is((tests.job('wordy')).error_message, repeat('x', 65536), 'fail: 64 kB of message are kept');
select tests.run('too wordy') as lease \gset
select job_fail(tests.id('too wordy'), :'lease', 'y' || repeat('ä', 40000), permanent => true) \g /dev/null
select ok(octet_length(j.error_message) between 65530 and 65536 and j.error_message ~ '^yä+ \.\.\. \[cut\]$',
          'fail: a longer one is cut between two characters, with a mark') from tests.job('too wordy') j;
select is((select a.error_message from job_attempts a where a.job = tests.id('too wordy')),
          (tests.job('too wordy')).error_message, 'fail: in job_attempts too');
select tests.run('details') as lease \gset
select tests.refuses(format('select job_fail(%L, %L, error_details => to_jsonb(repeat(''x'', 300 * 1024)))',
                            tests.id('details'), :'lease'), 'PT413', '%error_details%307%256%',
                     'fail: details over jobs_ext.max_payload are refused');
select is((job_complete(tests.id('details'), :'lease')).status,
          'completed', 'fail: after a refusal the lease still holds');

--
-- Backoff
--
-- The delays before the retries of one job, in milliseconds; it fails as soon as it runs.
create function tests.delays(key text, job_type text, delay int, retries int) returns int[] language plpgsql as $$
declare
  delays int[] := '{}';
  lease uuid;
  failed public.job_state;
begin
  perform public.job_enqueue(job_type, job_id => key, retry_delay_ms => delay, max_retries => retries);
  for i in 1..retries loop
    lease := tests.run_again(key);
    failed := public.job_fail(tests.id(key), lease);
    if failed.status <> 'pending' or failed.retries <> i then
      raise exception 'retry % is % with % retries', i, failed.status, failed.retries;
    end if;
    delays := delays || (extract(epoch from failed.run_at - current_setting('jobs_ext.now')::timestamptz) * 1000)::int;
  end loop;
  perform public.job_cancel(job_id => key);
  return delays;
end $$;
-- Each between half and all of its ceiling.
create function tests.within(delays int[], ceilings int[]) returns boolean language sql as $$
  select count(*) = cardinality(ceilings) and bool_and(d.delay between d.ceiling / 2 and d.ceiling)
  from unnest(delays, ceilings) as d (delay, ceiling)
$$;
update jobs set status = 'cancelled' where status in ('pending', 'queued', 'in_progress');
select job_type_set('alpha', backoff => 'exponential', retry_delay_max => '1 hour'),
       job_type_set('beta', backoff => 'linear', retry_delay_max => '1 hour'),
       job_type_set('gamma', backoff => 'fixed', retry_delay_max => '1 hour') \g /dev/null
select ok(tests.within(d, '{1000, 2000, 4000, 8000, 16000}'),
          'exponential: each delay is twice the one before: ' || d::text)
from tests.delays('exponential', 'alpha', 1000, 5) d;
select ok(tests.within(d, '{1000, 2000, 3000, 4000, 5000}'), 'linear: each delay is longer by the first: ' || d::text)
from tests.delays('linear', 'beta', 1000, 5) d;
select ok(tests.within(d, '{1000, 1000, 1000, 1000, 1000}'), 'fixed: all delays are the same: ' || d::text)
from tests.delays('fixed', 'gamma', 1000, 5) d;
-- The cap.
select job_type_set(t, retry_delay_max => '3 s') from unnest('{alpha, beta, gamma}'::text[]) t \g /dev/null
select ok(tests.within(d, '{1000, 2000, 3000, 3000, 3000}'),
          'exponential: no longer than retry_delay_max: ' || d::text)
from tests.delays('exponential capped', 'alpha', 1000, 5) d;
select ok(tests.within(d, '{1500, 3000, 3000, 3000}'), 'linear: no longer than retry_delay_max: ' || d::text)
from tests.delays('linear capped', 'beta', 1500, 4) d;
select ok(tests.within(d, '{3000, 3000}'), 'fixed: no longer than retry_delay_max: ' || d::text)
from tests.delays('fixed capped', 'gamma', 2147483647, 2) d;
select is(tests.delays('exponential zero', 'alpha', 0, 3) || tests.delays('linear zero', 'beta', 0, 3)
          || tests.delays('fixed zero', 'gamma', 0, 3),
          array_fill(0, '{9}'), 'no delay: at once');
-- A power of two that no integer holds.
select ok(tests.within(tests.delays('exponential far', 'alpha', 2147483647, 80), array_fill(3000, '{80}')),
          'exponential: the 80th retry overflows nothing');
select ok(tests.within(tests.delays('linear far', 'beta', 2147483647, 80), array_fill(3000, '{80}')),
          'linear: the 80th retry overflows nothing');
-- Half of it is random, so that jobs that failed together do not come back together.
select ok(count(distinct d) > 10 and min(d) < 1800 and max(d) > 2700, 'the delays of 40 jobs are spread')
from unnest(tests.delays('spread', 'gamma', 3000, 40)) d;
select job_type_set(t, retry_delay_max => '1 hour') from unnest('{alpha, beta, gamma}'::text[]) t \g /dev/null

--
-- job_release
--
set jobs_ext.now = '2030-04-01 12:00:00+00';
select tests.run('r', max_retries => 0) as lease \gset
select tests.id('r') as id \gset
set jobs_ext.now = '2030-04-01 12:00:05+00';
create temp table released as select * from job_release(:'id', :'lease');
select is(row(a.id, a.job_id, a.status, a.attempt, a.retries, a.lease_id, a.run_at, a.lease_expires_at,
              a.finished_at)::text,
          row(:'id'::uuid, 'r', 'pending', 1, 0, :'lease'::uuid, timestamptz '2030-04-01 12:00:05+00', null,
              null)::text,
          'release: the job waits again, due at once, no retry spent')
from released a;
select is(row(j.started_at, j.worker, j.lease_expires_at, j.timeout_at, j.heartbeat_at, j.error_message)::text,
          '(,,,,,)', 'release: the attempt is over')
from tests.job('r') j;
select is(tests.attempts('r'), '1 w1 released - -', 'release: the attempt is in job_attempts');
select tests.in_step('release: the job is back in its lane');
set jobs_ext.now = '2030-04-01 12:00:06+00';
select tests.everything() as before \gset
select results_eq(format('select * from job_release(%L, %L)', :'id', :'lease'),
                  'table released', 'release again: the same state');
select is(tests.everything(), :'before', 'release again: nothing changes');
select tests.refuses(format('select job_fail(%L, %L)', :'id', :'lease'), 'PT409', '%' || :'id' || '%', 'lease_lost',
                     'fail after release is refused');
select tests.refuses(format('select job_complete(%L, %L)', :'id', :'lease'),
                     'PT409', '%' || :'id' || '%', 'lease_lost', 'complete after release is refused');
select tests.run_again('r', 'w2') as lease \gset
select is((tests.job('r')).attempt, 2, 'release: the next run is the next attempt');
select tests.refuses(format('select job_release(%L, %L, ''infinity'')', :'id', :'lease'), '22023', 'run_at %infinity',
                     'release: never is no time to go on');
select is(row(r.status, r.run_at)::text,
          row('pending', timestamptz '2030-04-02 09:00+00')::text, 'release: run_at given is a snooze')
from job_release(:'id', :'lease', '2030-04-02 09:00+00') r;
select tests.in_step('release: run_at given is where the job stands in its lane');
select is((select count(*) from job_claim()), 0::bigint, 'release: until then nobody gets it');
select is((job_fail(:'id', tests.run_again('r'))).status,
          'failed', 'release: however often, the retries are as before');

--
-- A cancel was requested
--
set jobs_ext.now = '2030-05-01 12:00:00+00';
select tests.run('stop and fail') as lf, tests.run('stop and release') as lr, tests.run('stop and complete') as lc
\gset
select job_cancel(job_id => 'stop and ' || v, reason => 'not needed')
from unnest('{fail, release, complete}'::text[]) v \g /dev/null
set jobs_ext.now = '2030-05-01 12:00:01+00';
create temp table stopped as select * from job_fail(tests.id('stop and fail'), :'lf', 'interrupted');
select is(row(a.status, a.retries, a.finished_at)::text,
          row('cancelled', 0, timestamptz '2030-05-01 12:00:01+00')::text,
          'cancel requested: a failure ends as cancelled')
from stopped a;
select is(row(j.cancelled_at, j.cancel_requested_at, j.error_message, j.execution_time_ms)::text,
          row(timestamptz '2030-05-01 12:00:01+00', timestamptz '2030-05-01 12:00:00+00', 'not needed', 1000)::text,
          'cancel requested: the row says when and why') from tests.job('stop and fail') j;
select results_eq(format('select * from job_fail(%L, %L, ''interrupted'')', tests.id('stop and fail'), :'lf'),
                  'table stopped', 'cancel requested: the failure told again gives the same state');
select is(tests.attempts('stop and fail'),
          '1 w1 failed interrupted -', 'cancel requested: what the worker said is in job_attempts');
create temp table stopped_release as
select * from job_release(tests.id('stop and release'), :'lr', '2030-05-02 12:00:00+00');
select is(row(a.status, a.finished_at)::text, row('cancelled', timestamptz '2030-05-01 12:00:01+00')::text,
          'cancel requested: a job given back ends as cancelled') from stopped_release a;
select results_eq(format('select * from job_release(%L, %L)', tests.id('stop and release'), :'lr'),
                  'table stopped_release', 'cancel requested: given back again, the same state');
select is((job_complete(tests.id('stop and complete'), :'lc')).status,
          'completed', 'cancel requested: a success stays a success');
-- Without a reason: what the worker said last, not what went wrong in an earlier attempt.
select job_fail(tests.id('stop later'), lease, 'earlier', '2030-05-01 12:00+00')
from tests.run('stop later') lease \g /dev/null
select tests.run_again('stop later') as lease \gset
select job_cancel(job_id => 'stop later'), job_fail(tests.id('stop later'), :'lease', 'interrupted') \g /dev/null
select is(row(j.status, j.error_message)::text,
          '(cancelled,interrupted)', 'cancel requested without a reason: the row says what the worker said')
from tests.job('stop later') j;
select tests.in_step('after all this the queue is right');

select * from finish();
