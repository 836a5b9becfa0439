-- INSERT, UPDATE, DELETE and TRUNCATE on public.jobs by whoever may: stamped, checked, and the queue follows.
-- The moves between the states are in direct_moves.sql.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/job_in.sql
begin;
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();
create role tests_dml_worker bypassrls;
create role tests_dml_owner bypassrls;
select jobs_ext.grant_role(r, 'worker') from unnest('{tests_dml_worker,tests_dml_owner}'::name[]) r;
grant all on all tables in schema pg_temp to public;

-- A client's INSERT: what it leaves out is filled in.
set local role tests_dml_worker;
insert into jobs (job_type, job_id) values ('extract-menu', 'plain');
select results_eq($$ select j.status::text, j.job_category::text, j.input_payload, j.metadata, j.priority, j.retries,
                            j.max_retries, j.retry_delay_ms, j.attempt, j.created_at, j.updated_at, j.organisation_id
                     from jobs j where j.job_id = 'plain' $$,
                  $$ values ('pending', 'extraction', null::jsonb, '{}'::jsonb, 0, 0, 3, 1000, 0,
                             '2030-01-01 12:00:00+00'::timestamptz, '2030-01-01 12:00:00+00'::timestamptz,
                             '00000000-0000-0000-0000-000000000000'::uuid) $$,
                  'the defaults of a row');
insert into jobs (job_type, run_at) values ('extract-menu', '2030-01-01 12:00+00') returning id, job_id \gset made_
select matches(:'made_job_id'::text, '^extract-menu-[0-9a-hjkmnp-tv-z]{26}$', 'a key is made, RETURNING shows it');
insert into jobs (job_type, job_id, run_at, id, priority, retries, attempt, metadata, created_at, updated_at)
values ('extract-menu', 'null values', null, null, null, null, null, null, null, null);
select results_eq($$ select j.run_at, j.priority, j.retries, j.attempt, j.metadata, j.created_at, j.updated_at,
                            j.id is not null
                     from jobs j where j.job_id = 'null values' $$,
                  $$ values ('2030-01-01 12:00+00'::timestamptz, 0, 0, 0, '{}'::jsonb,
                             '2030-01-01 12:00+00'::timestamptz, '2030-01-01 12:00+00'::timestamptz, true) $$,
                  'null is the same as nothing given, where the server knows a value');

-- What the client may choose is kept.
insert into jobs (id, job_type, organisation_id)
values ('cccccccc-0000-0000-0000-000000000004', 'extract-menu', 'cccccccc-0000-0000-0000-000000000001');
insert into jobs (id, job_type, job_id, job_category, status, input_payload, max_retries, retry_delay_ms,
                  organisation_id, restaurant_id, created_by, parent_job_id, metadata, priority, run_at, expires_at)
values ('cccccccc-0000-0000-0000-000000000000', 'extract-menu', 'chosen', 'mine', 'queued', '{"a": 1}', 9, 8,
        'cccccccc-0000-0000-0000-000000000001', 'cccccccc-0000-0000-0000-000000000002',
        'cccccccc-0000-0000-0000-000000000003', 'cccccccc-0000-0000-0000-000000000004', '{"m": 1}', -4,
        '2031-01-01 00:00+00', '2032-01-01 00:00+00');
select results_eq($$ select j.job_type::text, j.job_category::text, j.status::text, j.input_payload, j.max_retries,
                            j.retry_delay_ms, j.organisation_id, j.restaurant_id, j.created_by, j.parent_job_id,
                            j.metadata, j.priority, j.run_at, j.expires_at
                     from jobs j where j.id = 'cccccccc-0000-0000-0000-000000000000' $$,
                  $$ values ('extract-menu', 'mine', 'queued', '{"a": 1}'::jsonb, 9, 8,
                             'cccccccc-0000-0000-0000-000000000001'::uuid,
                             'cccccccc-0000-0000-0000-000000000002'::uuid,
                             'cccccccc-0000-0000-0000-000000000003'::uuid,
                             'cccccccc-0000-0000-0000-000000000004'::uuid, '{"m": 1}'::jsonb, -4,
                             '2031-01-01 00:00+00'::timestamptz, '2032-01-01 00:00+00'::timestamptz) $$,
                  'what a client chooses');

-- What the server owns is overwritten, not obeyed.
insert into jobs (job_type, job_id, result, error_message, retries, attempt, execution_time_ms, created_at, started_at,
                  completed_at, cancelled_at, updated_at, lease_id, worker, lease_expires_at, timeout_at, heartbeat_at,
                  finished_at, cancel_requested_at, progress)
select 'extract-menu', 'forged', '{"r": 1}', 'e', 2, 3, 4, t, t, t, t, t, gen_random_uuid(), 'w', t, t, t, t, t,
       '{"p": 1}'
from (values ('2020-01-01 00:00+00'::timestamptz)) v (t);
select results_eq($$ select j.retries, j.attempt, j.created_at, j.updated_at,
                            num_nulls(j.result, j.error_message, j.execution_time_ms, j.started_at, j.completed_at,
                                      j.cancelled_at, j.lease_id, j.worker, j.lease_expires_at, j.timeout_at,
                                      j.heartbeat_at, j.finished_at, j.cancel_requested_at, j.progress)
                     from jobs j where j.job_id = 'forged' $$,
                  $$ values (0, 0, '2030-01-01 12:00+00'::timestamptz, '2030-01-01 12:00+00'::timestamptz, 14) $$,
                  'what the server owns');

-- Every way of inserting.
insert into jobs (job_type, job_id, run_at)
select 'bulk-update', 'row ' || n, '2030-01-01 12:00+00' from generate_series(1, 100) n;
insert into jobs (job_type, job_id) values ('bulk-update', 'row 1') on conflict (job_id) do nothing;
insert into jobs (job_type, job_id) values ('bulk-update', 'row 1') on conflict (job_id) do update set priority = 9;
with made as (insert into jobs (job_type, job_id, run_at)
              values ('bulk-update', 'by cte', '2030-01-01 12:00+00') returning id)
select from made \g /dev/null
merge into jobs j using (values ('row 2', 8), ('merged', 7)) as v (key, priority) on j.job_id = v.key
when matched then update set priority = v.priority
when not matched then insert (job_type, job_id, priority) values ('bulk-update', v.key, v.priority);
copy jobs (job_type, job_id, run_at, priority) from stdin;
bulk-update	copied 1	2030-01-01 12:00:00+00	6
bulk-update	copied 2	2030-01-01 12:00:00+00	5
\.
select results_eq($$ select job_id::text, priority from jobs where priority > 0 order by priority desc $$,
                  $$ values ('row 1', 9), ('row 2', 8), ('merged', 7), ('copied 1', 6), ('copied 2', 5) $$,
                  'by SELECT, ON CONFLICT, MERGE and COPY');
reset role;
select tests.in_step('the queue follows every way of inserting');
select is((select array_agg(c.job_id::text)
           from job_claim('{bulk-update}', 5, job_category => 'optimization') c where c.priority <> 7),
          '{"row 1","row 2","copied 1","copied 2"}', 'and they are claimed, best first');

-- What a client's INSERT may not be.
set local role tests_dml_worker;
select tests.refuses(format('insert into jobs (job_type, status) values (%L, %L)', 'bulk-update', s),
                     'PT409', 'a new job cannot be ' || s, 'illegal_transition', 'a new job is not ' || s)
from unnest('{in_progress,completed,failed,cancelled}'::text[]) s;
select tests.refuses(format('insert into jobs (job_type, %I) values (%L, %s)', v.col, 'bulk-update', v.value),
                     v.state, v.message, format('not with %s %s', v.col, left(v.value, 40)))
from (values
  ('status', $$'blocked'$$, 'PT409', 'a new job cannot be blocked'),
  ('status', $$'stuck'$$, '22023', 'unknown status "stuck"'),
  ('status', $$''$$, '22023', 'unknown status ""'),
  ('status', $$'PENDING'$$, '22023', 'unknown status "PENDING"'),
  ('priority', '11', '23514', '%check_priority%'),
  ('priority', '-2147483648', '23514', '%check_priority%'),
  ('max_retries', '-1', '22023', 'max_retries must be from 0 to 1000: -1'),
  ('retry_delay_ms', '-1', '23514', '%check_retry_delay_ms%'),
  ('run_at', $$'infinity'$$, '22023', 'run_at %: infinity'),
  ('run_at', $$'-infinity'$$, '22023', 'run_at %: -infinity'),
  ('expires_at', $$'infinity'$$, '22023', 'expires_at %: infinity'),
  ('job_id', $$''$$, '22023', 'job_id %empty%'),
  ('job_id', $$repeat('k', 101)$$, '22001', '%character varying(100)%'),
  ('job_id', $$'row 1'$$, '23505', '%jobs_job_id_key%'),
  ('id', $$'cccccccc-0000-0000-0000-000000000000'$$, '23505', '%jobs_pkey%'),
  ('input_payload',
   $$jsonb_build_object('a', repeat('x', 256 * 1024))$$, 'PT413', 'input_payload is too large: 262157 bytes%'),
  ('metadata', $$jsonb_build_object('a', repeat('x', 256 * 1024))$$, 'PT413', 'metadata is too large: 262157 bytes%')
) as v (col, value, state, message);
select tests.refuses($$ insert into jobs (job_type) values ('nonsense') $$,
                     '22023', '%"nonsense"%', 'not of an unknown type');
select tests.refuses($$ insert into jobs (job_id) values ('no type') $$, '23502', '%job_type%', 'not without a type');
select tests.refuses($$ insert into jobs (job_type)
                        select case n when 50 then 'nonsense' else 'bulk-update' end from generate_series(1, 100) n $$,
                     '22023', '%"nonsense"%', 'none of a hundred when one is bad');

-- A client's UPDATE that leaves the status alone: the queue follows what it may change.
reset role;
select tests.job_in(s, 'given ' || s)
from unnest('{pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) s \g /dev/null
set local role tests_dml_worker;
select lives_ok(format($$ update jobs set %s where job_id like 'given %%' $$, v.change),
                'update jobs set ' || v.change)
from (values
  ('priority = -10'),
  ($$run_at = '2030-06-01'$$),
  ($$expires_at = '2040-01-01'$$),
  ($$expires_at = null$$),
  ($$expires_at = '2041-01-01'$$),
  ($$metadata = '{"new": 1}', job_category = null$$),
  ($$restaurant_id = gen_random_uuid(), parent_job_id = null$$),
  ($$max_retries = 30, retry_delay_ms = 0$$),
  ($$progress = '{"half": true}'$$),
  ($$job_id = job_id || ' renamed'$$)) as v (change);
select tests.in_step();
select results_eq($$ select j.status::text, j.priority, j.run_at, j.expires_at, j.job_type::text, j.metadata,
                            j.max_retries, j.retry_delay_ms, j.progress, j.job_id::text
                     from jobs j where j.job_id like 'given %' order by 1 $$,
                  $$ select s, -10, '2030-06-01 00:00+00'::timestamptz, '2041-01-01 00:00+00'::timestamptz,
                            'bulk-update', '{"new": 1}'::jsonb, 30, 0, '{"half": true}'::jsonb,
                            'given ' || s || ' renamed'
                     from unnest('{pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) s
                     order by 1 $$,
                  'what a client may change in a job of any state');
create temp table before as select * from jobs where job_id like 'given %';
reset role;
set local jobs_ext.now = '2030-01-01 13:00:00+00';
set local role tests_dml_worker;
update jobs set created_at = '2001-01-01', started_at = '2001-01-01', completed_at = '2001-01-01',
  cancelled_at = '2001-01-01', finished_at = '2001-01-01', execution_time_ms = 1, attempt = 7, retries = 7,
  lease_id = gen_random_uuid(), worker = 'thief',
  lease_expires_at = 'infinity', timeout_at = '2001-01-01', heartbeat_at = '2001-01-01', updated_at = '2001-01-01'
where job_id like 'given %';
select results_eq(
  $$ select to_jsonb(j) - 'updated_at' from jobs j where j.job_id like 'given %' order by j.id $$,
  $$ select to_jsonb(b) - 'updated_at' from before b order by b.id $$, 'what the server owns stays as it is');
select is((select array_agg(distinct updated_at) from jobs where job_id like 'given %'),
          '{2030-01-01 13:00:00+00}', 'but for updated_at');
select tests.in_step();
select tests.refuses(format('update jobs set %I = %s where job_id = %L', v.col, v.value, 'given queued renamed'),
                     v.state, v.message, format('not to %s %s', v.col, left(v.value, 40)))
from (values
  ('id', 'gen_random_uuid()', '22023', 'the id of job % cannot be changed'),
  ('id', 'null', '23502', '%"id"%null%'),
  ('job_type', $$'nonsense'$$, '22023', '%"nonsense"%'),
  ('job_type', 'null', '23502', '%"job_type"%null%'),
  ('job_id', $$''$$, '22023', 'job_id %empty%'),
  ('job_id', 'null', '23502', '%"job_id"%null%'),
  ('job_id', $$'row 1'$$, '23505', '%jobs_job_id_key%'),
  ('priority', '11', '23514', '%check_priority%'),
  ('priority', 'null', '23502', '%"priority"%null%'),
  ('run_at', $$'infinity'$$, '22023', 'run_at %: infinity'),
  ('run_at', 'null', '23502', '%"run_at"%null%'),
  ('expires_at', $$'-infinity'$$, '22023', 'expires_at %: -infinity'),
  ('status', 'null', '23502', '%"status"%null%'),
  ('status', $$'stuck'$$, '22023', 'unknown status "stuck"'),
  ('max_retries', '-1', '22023', 'max_retries must be from 0 to 1000: -1'),
  ('result', $$jsonb_build_object('a', repeat('x', 256 * 1024))$$, 'PT413', 'result is too large: 262157 bytes%'),
  ('progress', $$jsonb_build_object('a', repeat('x', 256 * 1024))$$, 'PT413', 'progress is too large: 262157 bytes%')
) as v (col, value, state, message);

-- The owner's rows are kept as given, also those of long ago; so are the owner's changes.
reset role;
alter table jobs owner to tests_dml_owner;
alter table job_types owner to tests_dml_owner;
alter table job_attempts owner to tests_dml_owner;
alter table job_steps owner to tests_dml_owner;
alter table jobs_archive owner to tests_dml_owner;
grant all on jobs to current_user;
create temp table old_jobs as
select ('dddddddd-0000-0000-0000-00000000000' || s.n)::uuid as id, 'old ' || s.state as job_id,
       'forgotten-type' as job_type, s.state as status,
       '{"a": 1}'::jsonb as input_payload, '{"r": 1}'::jsonb as result, 'oops' as error_message, 2 as retries,
       5 as max_retries, 6 as attempt,
       '2011-01-01 00:00+00'::timestamptz as created_at, '2012-01-01 00:00+00'::timestamptz as updated_at,
       case when s.state in ('in_progress', 'completed', 'failed')
              then '2011-02-01 00:00+00'::timestamptz end as started_at,
       case when s.state = 'completed' then '2011-03-01 00:00+00'::timestamptz end as completed_at,
       case when s.state in ('completed', 'failed', 'cancelled')
              then '2011-03-01 00:00+00'::timestamptz end as finished_at,
       case when s.state = 'in_progress' then 'dddddddd-0000-0000-0000-000000000009'::uuid end as lease_id,
       case when s.state = 'in_progress' then '2035-01-01 00:00+00'::timestamptz end as lease_expires_at,
       'old hand' as worker, '2010-12-01 00:00+00'::timestamptz as run_at, 3 as priority,
       '2050-01-01 00:00+00'::timestamptz as expires_at
from unnest('{pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) with ordinality as s (state, n);
grant all on old_jobs to tests_dml_owner;
set local role tests_dml_owner;
select tests.refuses($$ insert into jobs (job_type) values ('forgotten-type') $$,
                     '22023', 'unknown job type "forgotten-type"', 'an unknown type, by the owner too');
set local row_security = off; -- as in a restore
insert into jobs (id, job_id, job_type, status, input_payload, result, error_message, retries, max_retries, attempt,
                  created_at, updated_at, started_at, completed_at, finished_at, lease_id, lease_expires_at, worker,
                  run_at, priority, expires_at)
select * from old_jobs;
select results_eq($$ select j.id, j.job_id::text, j.job_type::text, j.status::text, j.input_payload, j.result,
                            j.error_message, j.retries, j.max_retries, j.attempt, j.created_at, j.updated_at,
                            j.started_at, j.completed_at, j.finished_at, j.lease_id, j.lease_expires_at, j.worker,
                            j.run_at, j.priority, j.expires_at
                     from jobs j where j.job_id like 'old %' order by j.id $$,
                  $$ select * from old_jobs order by id $$,
                  'rows inserted by the owner, in any state and of any type');
update jobs set created_at = '2009-01-01', attempt = 8, retries = 0, worker = 'renamed',
  started_at = started_at - interval '1 day',
  lease_expires_at = lease_expires_at + interval '1 year', heartbeat_at = '2013-01-01'
where job_id like 'old %';
select results_eq($$ select j.created_at, j.attempt, j.retries, j.worker, j.started_at, j.lease_expires_at,
                            j.heartbeat_at
                     from jobs j where j.job_id like 'old %' order by j.id $$,
                  $$ select '2009-01-01 00:00+00'::timestamptz, 8, 0, 'renamed', o.started_at - interval '1 day',
                            o.lease_expires_at + interval '1 year', '2013-01-01 00:00+00'::timestamptz
                     from old_jobs o order by o.id $$,
                  'and what the owner changes in them');
set local row_security = on;
select tests.in_step('the queue follows the owner');
select tests.refuses(
  format('insert into jobs (job_type, status%s) values (%L, %L%s)', v.col, 'bulk-update', v.status, v.value),
  '23514', '%' || v.name || '%', format('the owner cannot insert a job that is %s%s%s', v.status, v.col, v.value))
from (values
  ('in_progress', '', '', 'check'),
  ('in_progress', ', started_at', ', now()', 'check_lease'),
  ('completed', ', started_at, finished_at', ', now(), now()', 'check_completed'),
  ('completed', ', started_at, completed_at', ', now(), now()', 'check_finished'),
  ('failed', '', '', 'check_finished'),
  ('cancelled', '', '', 'check_finished'),
  ('pending', ', started_at', ', now()', 'check_started'),
  ('pending', ', attempt', ', -1', 'check_attempt'),
  ('pending', ', retries', ', -1', 'check_retries'),
  ('pending', ', retries', ', 4', 'check_retries'),
  ('pending', ', finished_at', ', now()', 'check_finished')) as v (status, col, value, name);
select tests.refuses($$ update jobs set id = gen_random_uuid() where job_id = 'old queued' $$,
                     '22023', 'the id of job % cannot be changed', 'nor change an id');

-- DELETE: the job's places in the queue and its attempts go with it.
set local role tests_dml_worker;
select isnt((select count(*) from job_attempts a join jobs j on j.id = a.job where j.job_id = 'given failed renamed'),
            0::bigint, 'there is an attempt');
create temp table lost as select id, lease_id from jobs where job_id = 'given in_progress renamed';
delete from jobs where job_id like 'given %' or job_id like 'old %' \g /dev/null
select tests.in_step('the queue follows a DELETE of jobs in all states');
select is_empty($$ select from job_attempts a where not exists (select from jobs j where j.id = a.job) $$,
                'their attempts are gone');
reset role;
select tests.refuses($$ select job_complete(id, lease_id) from lost $$,
                     'PT404', '%', 'the worker of a deleted job learns of it');
set local role tests_dml_worker;
delete from jobs where job_id = 'row 50';
insert into jobs (job_type, job_id) values ('bulk-update', 'row 50');
with gone as (delete from jobs where job_id = 'row 51' returning job_type)
insert into jobs (job_type, job_id) select job_type, 'row 51 again' from gone;
select tests.in_step('deleted and inserted again in one transaction, in one statement');

-- Rolled back, it is as before.
savepoint a;
update jobs set priority = 1;
delete from jobs where job_id like 'row 2%';
savepoint b;
insert into jobs (job_type) values ('bulk-update');
update jobs set priority = 2;
select tests.in_step('in nested subtransactions');
rollback to b;
select tests.in_step('one of them rolled back');
rollback to a;
select tests.in_step('both rolled back');

-- TRUNCATE, by the owner alone.
select tests.refuses('truncate jobs', '42501', '%jobs%', 'a worker may not truncate');
reset role;
set local role tests_dml_owner;
savepoint a;
truncate jobs;
select is((select count(*) from jobs), 0::bigint, 'the jobs are gone');
select tests.in_step('the queue is empty');
insert into jobs (job_type) values ('bulk-update');
select tests.in_step('and takes new jobs');
rollback to a;
select isnt((select count(*) from jobs), 0::bigint, 'the jobs are back');
select tests.in_step('and so is the queue');
reset role;

-- Triggers of the user's that change what is written, before and after ours.
savepoint theirs;
create function pg_temp.raise_priority()
returns trigger language plpgsql as $$ begin new.priority := new.priority + 1; return new; end $$;
create trigger a_first before insert or update on jobs for each row execute function pg_temp.raise_priority();
create trigger z_last before insert or update on jobs for each row execute function pg_temp.raise_priority();
insert into jobs (job_type, job_id, priority) values ('bulk-update', 'triggered', 0);
select is((select priority from jobs where job_id = 'triggered'), 2, 'a trigger before ours and one after ours');
select is((select (job_enqueue('bulk-update', job_id => 'triggered too')).status), 'queued', 'enqueue under triggers');
select is((select priority from jobs where job_id = 'triggered too'), 2, 'is written by the same triggers');
update jobs set run_at = run_at + interval '1 minute' where job_id like 'triggered%';
select tests.in_step('the queue follows what was really written');
drop trigger a_first on jobs;
drop trigger z_last on jobs;
create function pg_temp.again() returns trigger language plpgsql as $$
begin
  if new.priority < 9 then update jobs set priority = 9 where id = new.id; end if;
  return null;
end $$;
create trigger a_again after insert or update on jobs for each row execute function pg_temp.again();
create trigger z_again after insert or update on jobs for each row execute function pg_temp.again();
insert into jobs (job_type, job_id) values ('bulk-update', 'triggered again');
select is((job_enqueue('bulk-update', job_id => 'triggered at last')).status,
          'queued', 'enqueue under triggers that write again');
select is((select array_agg(priority) from jobs where job_id in ('triggered again', 'triggered at last')),
          '{9,9}', 'both were written twice');
select tests.in_step('the queue follows rows that a trigger writes again');
create function pg_temp.swallow() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger m_swallow before insert or update or delete on jobs for each row execute function pg_temp.swallow();
insert into jobs (job_type, job_id) values ('bulk-update', 'swallowed');
update jobs set priority = -1;
delete from jobs;
select tests.in_step('nor does it follow what a trigger swallows');
select tests.refuses($$ select job_enqueue('bulk-update') $$,
                     '09000', '%trigger%jobs%', 'job_enqueue says so when its job is swallowed');
select tests.refuses($$ select job_cancel(job_id => 'triggered') $$,
                     '09000', '%trigger%jobs%', 'and job_cancel its change');
rollback to theirs;

-- Our trigger functions serve public.jobs and nothing else.
create table tests.other (like jobs including defaults);
create trigger t before insert on tests.other for each row execute function jobs_ext.jobs_before_row();
select tests.refuses($$ insert into tests.other (job_type, job_id) values ('bulk-update', 'x') $$,
                     '39P01', '%"t" on "other" %"jobs"', 'jobs_before_row elsewhere');
drop trigger t on tests.other;
create trigger t after insert on tests.other for each row execute function jobs_ext.jobs_after_row();
select tests.refuses($$ insert into tests.other (job_type, job_id) values ('bulk-update', 'x') $$,
                     '39P01', '%"t" on "other" %"jobs"', 'jobs_after_row elsewhere');
drop trigger t on tests.other;
create trigger t after truncate on tests.other for each statement execute function jobs_ext.jobs_after_truncate();
select tests.refuses('truncate tests.other', '39P01', '%"t" on "other" %"jobs"', 'jobs_after_truncate elsewhere');
create trigger u after truncate on tests.other for each statement execute function jobs_ext.job_types_changed();
drop trigger t on tests.other;
select tests.refuses('truncate tests.other', '39P01', '%"u" on "other" %"job_types"', 'job_types_changed elsewhere');
select throws_ok(format('select jobs_ext.%I()', f), '39P01', null, f || ' without a trigger')
from unnest('{jobs_before_row,jobs_after_row,jobs_after_truncate,job_types_changed}'::text[]) f;

select tests.in_step();
select * from finish();
rollback;
