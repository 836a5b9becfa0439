-- job_cancel, job_retry, job_pause, job_resume and job_type_set. What they refuse is in refused_arguments.sql.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/job_in.sql
begin;
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();
select tests.job_in(s, s)
from unnest('{pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) s \g /dev/null
create function pg_temp.states(keys text)
returns table (key text, status text, cancel_requested_at timestamptz, cancelled_at timestamptz,
               finished_at timestamptz, error_message text)
language sql as $$ select job_id, status, cancel_requested_at, cancelled_at, finished_at, error_message
                   from public.jobs where job_id ~ keys order by job_id $$;

-- What every verb returns is the state of the row.
create function pg_temp.returns_row(call text, description text) returns text language plpgsql as $$
declare got jsonb; wanted jsonb;
begin
  execute format('select to_jsonb(s) - ''created'' from %s s', call) into got;
  select to_jsonb(s) into wanted
  from (select id, job_id, job_type, status, attempt, retries, lease_id, run_at, lease_expires_at, cancel_requested_at,
               finished_at
        from public.jobs where id = (got ->> 'id')::uuid) s;
  return tap.is(got, wanted, description);
end $$;

-- job_cancel: waiting and paused jobs at once.
set local jobs_ext.now = '2030-01-01 12:01:00+00';
select pg_temp.returns_row(format('job_cancel(job_id => %L)', key), 'job_cancel returns a ' || key || ' job''s state')
from unnest('{pending,queued,paused}'::text[]) key;
select results_eq($$ select * from pg_temp.states('^(pending|queued|paused)$') $$,
                  $$ select k, 'cancelled', t, t, t, null
                     from unnest('{paused,pending,queued}'::text[]) k,
                          (values ('2030-01-01 12:01+00'::timestamptz)) v (t) $$,
                  'cancelled, without a reason');
select tests.in_step('they are no longer in the queue');
select is_empty($$ select from job_attempts a
                   join jobs j on j.id = a.job where j.job_id in ('pending', 'queued', 'paused') $$,
                'and were never tried');
select tests.job_in('queued', 'with reason') \g /dev/null
select is((select created
           from job_cancel((select id from jobs where job_id = 'with reason'), reason => 'changed my mind')),
          null, 'by id; created is null');
select is((select error_message from jobs where job_id = 'with reason'), 'changed my mind', 'the reason is kept');

-- A running job is asked to stop.
set local jobs_ext.now = '2030-01-01 12:02:00+00';
select pg_temp.returns_row($$job_cancel(job_id => 'in_progress', reason => 'too slow')$$,
                           'job_cancel returns a running job''s state');
select results_eq($$ select key, status, cancel_requested_at, finished_at from pg_temp.states('^in_progress$') $$,
                  $$ values ('in_progress', 'in_progress', '2030-01-01 12:02+00'::timestamptz, null::timestamptz) $$,
                  'it still runs');
set local jobs_ext.now = '2030-01-01 12:03:00+00';
select lives_ok($$ select job_cancel(job_id => 'in_progress') $$, 'asked again');
select is((select cancel_requested_at from jobs where job_id = 'in_progress'),
          '2030-01-01 12:02+00', 'the first request counts');
select is((select (job_heartbeat(id, lease_id)).cancel_requested_at from jobs where job_id = 'in_progress'),
          '2030-01-01 12:02+00', 'the worker hears of it');
savepoint asked;
select is((select (job_complete(id, lease_id, '{}')).status from jobs where job_id = 'in_progress'),
          'completed', 'then a success stays a success');
rollback to asked;
select is((select (job_fail(id, lease_id, 'stopped')).status from jobs where job_id = 'in_progress'),
          'cancelled', 'a failure ends as cancelled');
select is((select error_message from jobs where job_id = 'in_progress'),
          'too slow', 'for the reason of the cancellation');
select is((select a.error_message from job_attempts a join jobs j on j.id = a.job where j.job_id = 'in_progress'),
          'stopped', 'the failure''s message stays with the attempt');
select tests.in_step();
rollback to asked;
select is((select (job_release(id, lease_id)).status from jobs where job_id = 'in_progress'),
          'cancelled', 'and so does a job that is given back');
select results_eq($$ select * from pg_temp.states('^in_progress$') $$,
                  $$ values ('in_progress', 'cancelled', '2030-01-01 12:02+00'::timestamptz,
                             '2030-01-01 12:03+00'::timestamptz, '2030-01-01 12:03+00'::timestamptz, 'too slow') $$,
                  'whose error_message is the reason of the cancellation');
rollback to asked;
set local jobs_ext.now = '2030-01-01 13:00:00+00';
select is((select job_maintain() ->> 'cancelled'), '1', 'and a lost lease');
select is((select status::text from jobs where job_id = 'in_progress'), 'cancelled', 'the job is not tried again');
rollback to asked;

select tests.job_in('in_progress', 'no reason'), job_cancel(job_id => 'no reason') \g /dev/null
select is((select status::text from jobs where job_id = 'no reason'), 'in_progress', 'asked without a reason');
select is((select (job_fail(id, lease_id, 'stopped')).status from jobs where job_id = 'no reason'),
          'cancelled', 'a failure ends as cancelled');
select is((select error_message from jobs where job_id = 'no reason'), 'stopped', 'with its message');
rollback to asked;

-- Unless it is forced.
select pg_temp.returns_row($$job_cancel(job_id => 'in_progress', reason => 'at once', force => true)$$,
                           'job_cancel by force returns its state');
select results_eq($$ select * from pg_temp.states('^in_progress$') $$,
                  $$ values ('in_progress', 'cancelled', '2030-01-01 12:02+00'::timestamptz,
                             '2030-01-01 12:03+00'::timestamptz, '2030-01-01 12:03+00'::timestamptz, 'at once') $$,
                  'cancelled at once');
select is((select execution_time_ms from jobs where job_id = 'in_progress'), 180000, 'after three minutes');
select results_eq($$ select a.attempt, a.worker, a.started_at, a.ended_at, a.outcome, a.error_message
                     from job_attempts a join jobs j on j.id = a.job where j.job_id = 'in_progress' $$,
                  $$ values (1, 'w', '2030-01-01 12:00+00'::timestamptz, '2030-01-01 12:03+00'::timestamptz,
                             'cancelled', 'at once') $$,
                  'its attempt is on record');
select tests.in_step();
rollback to asked;
create temp table held as select id, lease_id from jobs where job_id = 'in_progress';
select lives_ok($$ select job_cancel(job_id => 'in_progress', force => true) $$, 'by force');
select tests.refuses(format('select %s from held', call),
                     'PT409', 'the lease of job % is lost', 'lease_lost', 'its worker''s next call: ' || call)
from unnest('{job_heartbeat(id\, lease_id),job_complete(id\, lease_id),job_fail(id\, lease_id),
              job_release(id\, lease_id),job_next(id\, lease_id)}'::text[]) call;
select lives_ok($$ select job_cancel(job_id => 'in_progress', force => true) $$, 'and again');
select is((select count(*) from job_attempts a join held h on h.id = a.job), 1::bigint, 'one attempt, one row');
select lives_ok($$ select job_cancel(job_id => 'cancelled', force => true, reason => 'twice') $$,
                'to cancel a cancelled job is no error');
select is((select error_message from jobs where job_id = 'cancelled'), null, 'and changes nothing');
select lives_ok($$ select job_cancel(tests.job_in('queued', 'forced'), force => true) $$, 'force on a waiting job');
select is((select status::text from jobs where job_id = 'forced'), 'cancelled', 'is like no force');
select tests.refuses(format('select job_cancel(job_id => %L, force => true)', s),
                     'PT409', '%cannot become cancelled', 'illegal_transition', 'force on a ' || s || ' job')
from unnest('{completed,failed}'::text[]) s;

-- A long reason is cut, by bytes and between characters, with a mark.
select lives_ok($$ select job_cancel(tests.job_in('queued', 'long'), reason => repeat('☃', 30000)) $$,
                'a reason of 90000 bytes');
select ok((select octet_length(error_message) between 65000 and 65536 and error_message ~ '^☃+ \.\.\. \[cut\]$'
           from jobs where job_id = 'long'),
          'is cut at 64 kB, with a mark');
select lives_ok($$ select job_cancel(tests.job_in('queued', 'just'), reason => repeat('x', 65536)) $$,
                'a reason of 64 kB');
select is((select length(error_message) from jobs where job_id = 'just'), 65536, 'is kept');

-- job_retry: a failed or cancelled job starts anew.
set local jobs_ext.now = '2030-01-01 14:00:00+00';
select job_type_set('two tries', max_retries => 1, retry_delay_ms => 0) \g /dev/null
select tests.job_in('in_progress', 'retried', 'two tries') \g /dev/null
select (job_fail(id, lease_id, 'one')).status from jobs where job_id = 'retried' \g /dev/null
select (job_fail(id, lease_id, 'two')).status from job_claim('{two tries}') \g /dev/null
select results_eq($$ select status::text, retries, attempt from jobs where job_id = 'retried' $$,
                  $$ values ('failed', 1, 2) $$, 'a job that failed for good');
select pg_temp.returns_row($$job_retry(job_id => 'retried')$$, 'job_retry returns its state');
select results_eq($$ select status::text, run_at, retries, attempt, input_payload, max_retries,
                            num_nulls(lease_id, started_at, finished_at, cancelled_at, completed_at,
                                      cancel_requested_at, execution_time_ms, worker, lease_expires_at, timeout_at,
                                      heartbeat_at, result)
                     from jobs where job_id = 'retried' $$,
                  $$ values ('queued', '2030-01-01 14:00+00'::timestamptz, 0, 2, '{}'::jsonb, 1, 12) $$,
                  'queued for now, with all its retries, its attempts counted on');
select tests.in_step();
select is((select (job_fail(id, lease_id, 'three')).status from job_claim('{two tries}')),
          'pending', 'it is claimed and may fail once more');
select is((select count(*) from job_attempts a join jobs j on j.id = a.job where j.job_id = 'retried'),
          3::bigint, 'the attempts of before are kept');
select lives_ok($$ select job_retry((select id from jobs where job_id = 'cancelled'),
                                    run_at => '2031-01-01 00:00+00') $$,
                'a cancelled job, by id, for later');
select results_eq($$ select status::text, run_at, cancelled_at, cancel_requested_at, finished_at
                     from jobs where job_id = 'cancelled' $$,
                  $$ values ('queued', '2031-01-01 00:00+00'::timestamptz, null::timestamptz, null::timestamptz,
                             null::timestamptz) $$,
                  'waits for its time');
select is((select count(*) from job_claim('{bulk-update}') where job_id = 'cancelled'),
          0::bigint, 'until when it is not claimed');
select tests.job_in('queued', 'late') \g /dev/null
update jobs set expires_at = '2030-01-01 15:00:00+00' where job_id = 'late';
set local jobs_ext.now = '2030-01-01 15:00:00+00';
select is((select job_maintain() ->> 'expired'), '1', 'a job that expired');
select lives_ok($$ select job_retry(job_id => 'late') $$, 'may be tried again');
select is((select job_maintain() ->> 'expired'), '0', 'and does not expire at once');
select is((select status::text from jobs where job_id = 'late'), 'queued', 'but waits');

-- job_pause and job_resume.
set local jobs_ext.now = '2030-01-01 16:00:00+00';
create temp table waiting as
select * from (values
  ('due', '2030-01-01 15:30:00+00'::timestamptz),
  ('delayed', '2030-01-01 17:00:00+00'),
  ('moved', '2030-01-01 17:00:00+00')) v (key, due);
select (job_enqueue('merge-menus', job_id => key, run_at => due)).status from waiting \g /dev/null
select pg_temp.returns_row(format('job_pause(job_id => %L)', key), 'job_pause returns its state: ' || key)
from waiting;
select is(array_agg(distinct status::text), '{paused}', 'paused') from jobs join waiting on key = job_id;
select tests.in_step('they are not in the queue');
select is((select count(*) from job_claim('{merge-menus}', 10)), 0::bigint, 'nor claimed');
select lives_ok($$ select job_pause((select id from jobs where job_id = 'due')) $$,
                'to pause a paused job, by id, is no error');
set local jobs_ext.now = '2030-01-01 16:30:00+00';
select pg_temp.returns_row($$job_resume(job_id => 'due')$$, 'job_resume returns its state');
select lives_ok($$ select job_resume((select id from jobs where job_id = 'delayed')) $$, 'by id');
select lives_ok($$ select job_resume(job_id => 'moved', run_at => '2030-01-01 16:00:00+00') $$,
                'for a time of its own');
select results_eq($$ select job_id::text, status::text, run_at from jobs join waiting on key = job_id order by 1 $$,
                  $$ values ('delayed', 'queued', '2030-01-01 17:00:00+00'::timestamptz),
                            ('due', 'queued', '2030-01-01 16:30:00+00'),
                            ('moved', 'queued', '2030-01-01 16:00:00+00') $$,
                  'queued for the time it had, now if that is over, or the one that is given');
select lives_ok($$ select job_resume(job_id => 'due') $$, 'to resume a queued job is no error');
select tests.in_step();
select is((select array_agg(job_id::text) from job_claim('{merge-menus}', 10)),
          '{moved,due}', 'those that are due are claimed');

-- A paused job that expires.
select (job_enqueue('merge-menus', job_id => 'paused too long', expires_at => '2030-01-01 18:00:00+00')).status,
       (job_pause(job_id => 'paused too long')).status
\g /dev/null
select lives_ok($$ select job_pause(job_id => 'paused too long') $$, 'paused');
set local jobs_ext.now = '2030-01-01 18:00:00+00';
select ok((select (job_maintain() ->> 'expired')::int = 1), 'a paused job expires as well');
select is((select status::text from jobs where job_id = 'paused too long'), 'cancelled', 'and ends as cancelled');

-- job_type_set: a new type has the defaults, an old one keeps what is not said.
select results_eq($$ select t.* from job_type_set('new type') t $$,
                  $$ values ('new type'::varchar, null::text, null::varchar, 3, 'exponential', 1000, interval '1 hour',
                             null::interval, null::interval, null::interval, null::interval, false, 'failed') $$,
                  'the defaults of a type');
select results_eq($$ select t.*
                     from job_type_set('new type', description => 'what it does', job_category => 'group',
                                       max_retries => 0, backoff => 'linear', retry_delay_ms => 0,
                                       retry_delay_max => '0', lease => '1 microsecond', timeout => '200 years',
                                       keep_completed => '0', keep_failed => '1 month 1 day', paused => true,
                                       keep_attempts => 'all') t $$,
                  $$ values ('new type'::varchar, 'what it does', 'group'::varchar, 0, 'linear', 0, interval '0',
                             interval '1 microsecond', interval '200 years', interval '0', interval '1 month 1 day',
                             true, 'all') $$,
                  'every setting');
create temp table set_before as select * from job_types where job_type = 'new type';
select results_eq($$ select t.* from job_type_set('new type') t $$,
                  $$ select * from set_before $$, 'nothing said, nothing changed');
create temp table setting as
select * from (values
  ('description', $$'other'$$),
  ('job_category', $$'other'$$),
  ('max_retries', '1000'),
  ('backoff', $$'fixed'$$),
  ('retry_delay_ms', '2147483647'),
  ('retry_delay_max', $$'1 year'$$),
  ('lease', $$'1 hour'$$),
  ('timeout', $$'2 hours'$$),
  ('keep_completed', $$'3 days'$$),
  ('keep_failed', $$'0'$$),
  ('paused', 'false'),
  ('keep_attempts', $$'failed'$$)) v (name, value);
select set_eq('select name::text from setting',
              $$ select attname::text
                 from pg_attribute where attrelid = 'job_type_settings'::regclass and attnum > 1 $$,
              'this test knows all settings');
create function pg_temp.change_one(setting text, value text) returns text language plpgsql as $$
declare differs text[];
begin
  execute format('select array(select k from set_before b, jsonb_object_keys(to_jsonb(b)) k
                               where to_jsonb(b) -> k is distinct from to_jsonb(t) -> k)
                  from job_type_set(%L, %I => %s) t', 'new type', setting, value) into differs;
  delete from job_types where job_type = 'new type';
  insert into job_types select * from set_before;
  return tap.is(differs, array[setting], 'only ' || setting || ' changes');
end $$;
select pg_temp.change_one(name, value) from setting;
select is((select count(*) from job_types), 10::bigint, 'the seed''s eight types and the two of this file');

-- A type of 50 characters; its jobs; a pause of the type.
select is((select (job_type_set(repeat('☃', 50))).job_type)::text, repeat('☃', 50), 'a name of 50 characters');
select matches((select (job_enqueue(repeat('☃', 50))).job_id), '^☃{50}-[0-9a-z]{26}$', 'and a job of it') ;
select (job_enqueue('import-csv', job_id => 'of a paused type')).status,
       (job_enqueue('image-upload', job_id => 'of another type')).status
\g /dev/null
select job_type_set('import-csv', paused => true) \g /dev/null
select is((select array_agg(job_id::text) from job_claim('{import-csv,image-upload}', 10)),
          '{of another type}', 'none of a paused type is claimed');
select is((select count(*) from job_claim('{import-csv}', 10)), 0::bigint, 'also when it is asked for alone');
select is((select (job_enqueue('import-csv', job_id => 'of a paused type too')).status),
          'queued', 'but they are enqueued');
select job_type_set('import-csv', paused => false) \g /dev/null
select is((select count(*) from job_claim('{import-csv}', 10)), 2::bigint, 'until the type goes on');

-- What a type says counts for the jobs that are made and claimed from then on, in the same transaction.
select job_type_set('image-upload', max_retries => 5, job_category => 'pictures', lease => '7 minutes',
                    timeout => '8 minutes')
\g /dev/null
select (job_enqueue('image-upload', job_id => 'by new rules')).status \g /dev/null
select results_eq($$ select max_retries, job_category::text, lease_expires_at, timeout_at
                     from job_claim(job_category => 'pictures') $$,
                  $$ values (5, 'pictures', '2030-01-01 18:07+00'::timestamptz, '2030-01-01 18:08+00'::timestamptz) $$,
                  'retries, category, lease and time limit');
savepoint types;
select job_type_set('undone') \g /dev/null
select lives_ok($$ select job_enqueue('undone') $$, 'a type made in a subtransaction');
rollback to types;
select tests.refuses($$ select job_enqueue('undone') $$, '22023', '%"undone"%', 'is unknown when that is rolled back');
delete from job_types where job_type = 'image-upload';
select tests.refuses($$ select job_enqueue('image-upload') $$,
                     '22023', '%"image-upload"%', 'a deleted type is unknown');
insert into job_types (job_type, max_retries) values ('image-upload', 4);
select lives_ok($$ select job_enqueue('image-upload', job_id => 'type is back') $$, 'inserted directly');
select is((select max_retries from jobs where job_id = 'type is back'), 4, 'it is known again');
update job_types set max_retries = 6 where job_type = 'image-upload';
select lives_ok($$ select job_enqueue('image-upload', job_id => 'type is updated') $$, 'updated directly');
select is((select max_retries from jobs where job_id = 'type is updated'), 6, 'it counts as well');
select tests.refuses(format('update job_types set %s where job_type = %L', v.change, 'image-upload'),
                     '23514', '%check_%', 'not: ' || v.change)
from (values
  ('max_retries = -1'),
  ($$backoff = 'square'$$),
  ('retry_delay_ms = -1'),
  ($$retry_delay_max = '-1 s'$$),
  ($$lease = '0'$$),
  ($$timeout = '0'$$),
  ($$keep_completed = '-1 s'$$),
  ($$keep_failed = '-1 s'$$),
  ($$job_type = ''$$)) v (change);
truncate job_types;
select tests.refuses($$ select job_enqueue('bulk-update') $$,
                     '22023', '%"bulk-update"%', 'no type is known after a TRUNCATE');

select tests.in_step();
select * from finish();
rollback;
