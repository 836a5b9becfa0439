-- What the functions for producing, steering and looking refuse: SQLSTATE, the value that the message names, the
-- reason in DETAIL, and that nothing changes. What needs a worker's lease is in its verb's file, privileges in
-- privileges.sql.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
begin;
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();

-- A job in each state, and one that is archived, to be left alone.
create temp table job as
select t.state,
       (job_enqueue('bulk-update', '{"a": 1}', job_id => t.state, run_at => timestamptz '2030-01-01 11:00+00')).id
from (values
  ('queued'),
  ('in_progress'),
  ('paused'),
  ('completed'),
  ('failed'),
  ('cancelled'),
  ('archived')) as t (state);
do $$
begin
  perform job_pause(job_id => 'paused');
  perform job_cancel(job_id => 'cancelled', reason => 'not wanted');
  perform job_pause(job_id => 'queued');
  perform job_complete(c.id, c.lease_id)
  from job_claim(max_jobs => 10, worker => 'w-1') c where c.job_id in ('completed', 'archived');
  perform job_fail(j.id, j.lease_id, 'broken', permanent => true) from jobs j where j.job_id = 'failed';
  perform job_resume(job_id => 'queued');
  insert into jobs_archive select j.*, now() from jobs j where j.job_id = 'archived';
  delete from jobs where job_id = 'archived';
end $$;
select results_eq($$ select job_id::text, status::text from jobs order by 1 $$,
                  $$ select state, state from job where state <> 'archived' order by 1 $$, 'a job in each state');

-- job_enqueue.
select tests.refuses('select job_enqueue(' || t.arguments || ')',
                     t.state, t.message, 'job_enqueue(' || t.arguments || ')')
from (values
  ('null', '22023', 'job_type must not be null'),
  ($$'nonsense'$$, '22023', '%unknown job type "nonsense"%'),
  ($$''$$, '22023', '%job%type%""%'),
  ($$'Bulk-Update'$$, '22023', '%"Bulk-Update"%'),
  ($$repeat('t', 51)$$, '22023', '%' || repeat('t', 51) || '%'),
  ($$'bulk-update', priority => 11$$, '22023', 'priority %: 11'),
  ($$'bulk-update', priority => -11$$, '22023', 'priority %: -11'),
  ($$'bulk-update', priority => 2147483647$$, '22023', 'priority %: 2147483647'),
  ($$'bulk-update', priority => (-2147483648)::int$$, '22023', 'priority %: -2147483648'),
  ($$'bulk-update', run_at => 'infinity'$$, '22023', 'run_at %: infinity'),
  ($$'bulk-update', run_at => '-infinity'$$, '22023', 'run_at %: -infinity'),
  ($$'bulk-update', expires_at => 'infinity'$$, '22023', 'expires_at %: infinity'),
  ($$'bulk-update', expires_at => '-infinity'$$, '22023', 'expires_at %: -infinity'),
  ($$'bulk-update', expires_at => '2030-01-01 12:00:00+00'$$, '22023', 'expires_at %: 2030-01-01 12:00:00+00'),
  ($$'bulk-update', run_at => '2030-01-03 00:00+00', expires_at => '2030-01-02 00:00+00'$$,
   '22023', 'expires_at %: 2030-01-02 00:00:00+00'),
  ($$'bulk-update', max_retries => -1$$, '22023', 'max_retries %: -1'),
  ($$'bulk-update', retry_delay_ms => -1$$, '22023', 'retry_delay_ms %: -1'),
  ($$'bulk-update', job_id => ''$$, '22023', 'job_id %empty%'),
  ($$'bulk-update', job_id => repeat('☃', 101)$$, '22023', 'job_id %100%101%'),
  ($$'bulk-update', job_category => ''$$, '22023', 'job_category %empty%'),
  ($$'bulk-update', job_category => repeat('☃', 51)$$, '22023', 'job_category %50%51%'),
  ($$'bulk-update', parent_job_id => 'deadbeef-0000-0000-0000-000000000000'$$,
   '22023', 'parent_job_id %: deadbeef-0000-0000-0000-000000000000'),
  ($$'bulk-update', organisation_id => gen_random_uuid(), $$
   || $$parent_job_id => (select id from job where state = 'queued')$$,
   '22023', 'parent_job_id %'),
  ($$'bulk-update', options => '{"no_such_option": 1}'$$, '22023', '%"no_such_option"%'),
  ($$'bulk-update', jsonb_build_object('a', repeat('x', 256 * 1024))$$,
   'PT413', 'input_payload is too large: 262157 bytes%'),
  ($$'bulk-update', metadata => jsonb_build_object('a', repeat('x', 256 * 1024))$$,
   'PT413', 'metadata is too large: 262157 bytes%')) as t (arguments, state, message);

-- JSON null, scalars and arrays where an object is needed.
select tests.refuses(format('select job_enqueue(%L, %s => %L)', 'bulk-update', p.parameter, v.value), '22023',
                     format('%s must be a JSON object: %s', p.parameter, v.value), p.parameter || ' => ' || v.value)
from (values ('input_payload'), ('metadata'), ('options')) as p (parameter),
     (values ('null'), ('7'), ('"text"'), ('true'), ('[]'), ('[{"a": 1}]')) as v (value);

-- A row that would be too large as a whole.
savepoint large;
set local jobs_ext.max_payload = '900kB';
select tests.refuses(
  $$ select job_enqueue('bulk-update', jsonb_build_object('a', repeat('x', 500 * 1024)),
                        metadata => jsonb_build_object('a', repeat('x', 500 * 1024))) $$,
  'PT413', 'job % too large: %, and a row may have 921600', 'payload and metadata together over 900 kB');
rollback to large;

-- A key that is taken tells nothing of the job that has it.
create function pg_temp.told(call text) returns text language plpgsql as $$
declare message text; detail text; hint text;
begin
  execute call;
  return 'no error';
exception when others then
  get stacked diagnostics message = message_text, detail = pg_exception_detail, hint = pg_exception_hint;
  return concat_ws(' ', message, detail, hint);
end $$;
select tests.refuses($$ select job_enqueue('extract-menu', job_id => 'in_progress') $$,
                     'PT409', '%"in_progress"%', 'key_taken', 'the key of a job of another type');
select is(pg_temp.told($$ select job_enqueue('extract-menu', job_id => 'in_progress') $$),
          replace(pg_temp.told($$ select job_enqueue('bulk-update', job_id => 'paused',
                                                     organisation_id => gen_random_uuid()) $$),
                  'paused', 'in_progress'),
          'the same words for a running job of another type and a paused one of another organisation');

-- The nearest known types are in the hint.
select matches(pg_temp.told($$ select job_enqueue('bulk-updat') $$), '"bulk-update".*job_type_set', 'the hint helps');

-- Neither or both of id and job_id, a job that is not there, one that is archived.
select tests.refuses(format('select %s()', f), '22023', '%id and job_id%neither%', f || ' without id and job_id')
from unnest('{job_cancel,job_retry,job_pause,job_resume,job_get}'::text[]) f;
select tests.refuses(format('select %s(null, null)', f), '22023', '%id and job_id%neither%', f || ' with nulls')
from unnest('{job_cancel,job_retry,job_pause,job_resume,job_get}'::text[]) f;
select tests.refuses(format('select %s((select id from job where state = %L), %L)', f, s, s),
                     '22023', '%id and job_id%both%', f || ' with id and job_id of the same job')
from (values ('job_cancel', 'queued'), ('job_retry', 'failed'), ('job_pause', 'queued'), ('job_resume', 'paused'),
             ('job_get', 'queued')) as t (f, s);
select tests.refuses(format('select %s(id => %L)', f, 'deadbeef-0000-0000-0000-000000000000'), 'PT404',
                     '%deadbeef-0000-0000-0000-000000000000%', f || ' with an unknown id')
from unnest('{job_cancel,job_retry,job_pause,job_resume}'::text[]) f;
select tests.refuses(format('select %s(job_id => %L)', f, k.key), 'PT404', '%' || left(k.key, 100) || '%',
                     format('%s with the unknown job_id "%s"', f, left(k.key, 10)))
from unnest('{job_cancel,job_retry,job_pause,job_resume}'::text[]) f,
     (values ('no such key'), (''), (repeat('k', 101)), (repeat('k', 10000)), ('QUEUED'), ('queued ')) as k (key);
select tests.refuses(format('select %s(id => (select id from job where state = %L))', f, 'archived'),
                     'PT409', '%archived%', 'archived', f || ' with the id of an archived job')
from unnest('{job_cancel,job_retry,job_pause,job_resume}'::text[]) f;
select tests.refuses(format('select %s(job_id => %L)', f, 'archived'), 'PT409', '%archived%', 'archived',
                     f || ' with the job_id of an archived job')
from unnest('{job_cancel,job_retry,job_pause,job_resume}'::text[]) f;

-- Steering a job in a state that it can't leave that way: who has it, and in which state, is in DETAIL.
create temp table illegal as
select * from (values
  ('job_cancel', 'completed', 'cancelled'),
  ('job_cancel', 'failed', 'cancelled'),
  ('job_retry', 'queued', 'queued'),
  ('job_retry', 'in_progress', 'queued'),
  ('job_retry', 'paused', 'queued'),
  ('job_retry', 'completed', 'queued'),
  ('job_pause', 'in_progress', 'paused'),
  ('job_pause', 'completed', 'paused'),
  ('job_pause', 'failed', 'paused'),
  ('job_pause', 'cancelled', 'paused'),
  ('job_resume', 'in_progress', 'queued'),
  ('job_resume', 'completed', 'queued'),
  ('job_resume', 'failed', 'queued'),
  ('job_resume', 'cancelled', 'queued')) as t (f, state, target);
select tests.refuses(format('select %s(id => (select id from job where state = %L))', f, state),
                     'PT409',
                     format('job %% is %s and cannot become %s', state, target),
                     'illegal_transition',
                     format('%s of a %s job', f, state))
from illegal;
select tests.refuses(format('select %s(job_id => %L)', f, state),
                     'PT409',
                     format('job %% is %s and cannot become %s', state, target),
                     'illegal_transition',
                     format('%s of a %s job by job_id', f, state))
from illegal;
create function pg_temp.detail_of(call text) returns jsonb language plpgsql as $$
declare detail text;
begin
  execute call;
  return null;
exception when others then
  get stacked diagnostics detail = pg_exception_detail;
  return detail::jsonb;
end $$;
select is(pg_temp.detail_of($$ select job_pause(job_id => 'in_progress') $$),
          '{"reason": "illegal_transition", "status": "in_progress", "attempt": 1, "worker": "w-1"}',
          'DETAIL of a running job');
select is(pg_temp.detail_of($$ select job_retry(job_id => 'queued') $$),
          '{"reason": "illegal_transition", "status": "queued", "attempt": 0, "worker": null}',
          'DETAIL of a waiting job');

-- Times and flags of the steering functions.
select tests.refuses(format('select %s(job_id => %L, run_at => %L)', t.f, t.key, t.instant),
                     '22023', 'run_at %: ' || t.instant, format('%s with run_at %s', t.f, t.instant))
from (values
  ('job_retry', 'failed', 'infinity'),
  ('job_retry', 'cancelled', '-infinity'),
  ('job_resume', 'paused', 'infinity'),
  ('job_resume', 'paused', '-infinity')) as t (f, key, instant);
select tests.refuses($$ select job_cancel(job_id => 'queued', force => null) $$,
                     '22023', 'force %null', 'job_cancel with force null');

-- job_type_set.
select tests.refuses('select job_type_set(' || t.arguments || ')',
                     '22023', t.message, 'job_type_set(' || t.arguments || ')')
from (values
  ('null', 'job_type %null'),
  ($$''$$, 'job_type %empty%'),
  ($$repeat('☃', 51)$$, 'job_type %50%51%'),
  ($$'x', job_category => ''$$, 'job_category %empty%'),
  ($$'x', job_category => repeat('☃', 51)$$, 'job_category %50%51%'),
  ($$'x', max_retries => -1$$, 'max_retries %: -1'),
  ($$'x', backoff => 'quadratic'$$, '%backoff "quadratic"'),
  ($$'x', backoff => ''$$, '%backoff ""'),
  ($$'bulk-update', backoff => 'Linear'$$, '%backoff "Linear"'),
  ($$'x', retry_delay_ms => -1$$, 'retry_delay_ms %: -1'),
  ($$'bulk-update', lease => '0'$$, 'lease %'),
  ($$'bulk-update', timeout => '0'$$, 'timeout %')
) as t (arguments, message);
select tests.refuses(format('select job_type_set(%L, %s => %L)', 'bulk-update', p.parameter, v.value),
                     '22023',
                     format('%s %%: %s', p.parameter, v.value::interval),
                     format('job_type_set with %s %s', p.parameter, v.value))
from (values ('retry_delay_max'), ('lease'), ('timeout'), ('keep_completed'), ('keep_failed')) as p (parameter),
     (values ('-1 second'), ('1 day -25 hours'), ('300 years'), ('2147483647 months')) as v (value);

-- job_list.
select tests.refuses('select job_list(' || t.arguments || ')', '22023', t.message, 'job_list(' || t.arguments || ')')
from (values
  ($$'running'$$, '%status "running"'),
  ($$''$$, '%status ""'),
  ($$'QUEUED'$$, '%status "QUEUED"'),
  ('max_rows => -1', 'max_rows %: -1'),
  ('max_rows => 10001', 'max_rows %: 10001'),
  ('max_rows => null', 'max_rows %null'),
  ('skip_rows => -1', 'skip_rows %: -1'),
  ('skip_rows => null', 'skip_rows %null')) as t (arguments, message);

-- In a read-only transaction every writer is refused, every reader works.
select tests.refuses('set local transaction_read_only = on; select ' || c.call,
                     '25006', '%' || split_part(c.call, '(', 1) || '%read-only%', 'read only: ' || c.call)
from (values
  ($$job_enqueue('bulk-update')$$),
  ($$job_enqueue_many('[{"job_type": "bulk-update"}]')$$),
  ($$job_enqueue('bulk-update', job_id => 'queued')$$),
  ($$job_claim()$$),
  ($$job_claim(wait => '1 minute')$$),
  ($$job_heartbeat(id, lease_id) from jobs where job_id = 'in_progress'$$),
  ($$job_heartbeat_many('[]')$$),
  ($$job_complete(id, lease_id) from jobs where job_id = 'in_progress'$$),
  ($$job_fail(id, lease_id) from jobs where job_id = 'in_progress'$$),
  ($$job_release(id, lease_id) from jobs where job_id = 'in_progress'$$),
  ($$job_release_worker('w-1')$$),
  ($$job_next(id, lease_id) from jobs where job_id = 'in_progress'$$),
  ($$job_finish_many('[]')$$),
  ($$job_cancel(job_id => 'queued')$$),
  ($$job_retry(job_id => 'failed')$$),
  ($$job_pause(job_id => 'queued')$$),
  ($$job_resume(job_id => 'paused')$$),
  ($$job_type_set('bulk-update', paused => true)$$),
  ($$job_maintain()$$),
  ($$jobs_ext.rebuild_queue()$$)) as c (call);
savepoint read_only;
set local transaction_read_only = on;
select is((select count(*) from job_list()), 6::bigint, 'read only: job_list');
select is((select count(*) from job_get(job_id => 'archived')), 1::bigint, 'read only: job_get');
select is((select count(*) from jobs_active), 2::bigint, 'read only: jobs_active');
rollback to read_only;

-- By statements, the same refusals.
set local jobs_ext.force_statement_path = on;
select tests.refuses(format('select %s(id => (select id from job where state = %L))', f, state),
                     'PT409',
                     format('job %% is %s and cannot become %s', state, target),
                     'illegal_transition',
                     format('%s of a %s job by statement', f, state))
from illegal;
select tests.refuses(format('select %s(id => %L)', f, 'deadbeef-0000-0000-0000-000000000000'), 'PT404',
                     '%deadbeef-0000-0000-0000-000000000000%', f || ' with an unknown id by statement')
from unnest('{job_cancel,job_retry,job_pause,job_resume}'::text[]) f;

select tests.in_step();
select * from finish();
rollback;
