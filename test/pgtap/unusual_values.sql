-- How many retries who may give a job, which words and types a direct write may name, and what the views make of what
-- is out of the ordinary.
\ir setup/begin.psql
\ir setup/refuses.sql
begin;
set local timezone = 'UTC';
select no_plan();
select from job_type_set('few', max_retries => 2);

-- For all.
select tests.refuses(call, '22023', 'max_retries must be from 0 to 1000: 1001', call)
from unnest(array[$$ select job_enqueue('few', max_retries => 1001) $$,
                  $$ select job_type_set('few', max_retries => 1001) $$]) call;
select tests.refuses($$ select job_enqueue_many('[{"job_type": "few", "max_retries": 1001}]') $$, '22023',
                     'element 1 of jobs: max_retries must be from 0 to 1000: 1001', 'job_enqueue_many');
select lives_ok($$ select job_enqueue('few', max_retries => 1000, job_id => 'thousand') $$, 'a thousand');
select is((select max_retries from jobs where job_id = 'thousand'), 1000, 'are kept');

-- For callers under row security; and for those who are not, by direct writes.
do $$ begin
  if to_regrole('tests_tenant') is null then create role tests_tenant; end if;
  if to_regrole('tests_server') is null then create role tests_server bypassrls; end if;
  perform jobs_ext.grant_role('tests_tenant', 'producer');
  perform jobs_ext.grant_role('tests_server', 'worker');
end $$;
grant update on jobs to tests_tenant;
alter table jobs enable row level security;
create policy all_theirs on jobs to tests_tenant using (true) with check (true);
set local role tests_tenant;
select tests.refuses($$ select job_enqueue('few', max_retries => 3) $$,
                     '22023', 'max_retries must be at most that of the type, 2: 3', 'tenant: more than the type''s');
select is((job_enqueue('few', max_retries => 2, job_id => 'tenant')).created, true, 'tenant: as many as the type''s');
insert into jobs (job_type, status, job_id, max_retries) values ('few', 'pending', 'direct', 900);
insert into jobs (job_type, status, job_id) values ('few', 'pending', 'direct default');
select results_eq($$ select job_id::text, max_retries from jobs where job_id like 'direct%' order by 1 $$,
                  $$ values ('direct', 2), ('direct default', 2) $$, 'tenant: a direct insert has no more');
select tests.refuses($$ update jobs set max_retries = 3 where job_id = 'tenant' $$,
                     '22023', 'max_retries must be from 0 to 2: 3', 'tenant: a direct update');
set local role tests_server;
select tests.refuses($$ insert into jobs (job_type, status, max_retries) values ('few', 'pending', 1001) $$,
                     '22023', 'max_retries must be from 0 to 1000: 1001', 'server: a direct insert');
select tests.refuses($$ update jobs set max_retries = 1001 where job_id = 'tenant' $$,
                     '22023', 'max_retries must be from 0 to 1000: 1001', 'server: a direct update');
select lives_ok($$ update jobs set max_retries = 5 where job_id = 'tenant' $$, 'server: more than the type''s');
reset role;

-- What the owner inserts is kept as given, but for a word that is no state.
select tests.refuses($$ insert into jobs (job_type, status) values ('few', 'done') $$,
                     '22023', 'unknown status "done"', 'owner: an unknown status');
select tests.refuses($$ update jobs set status = 'done' $$,
                     '22023', 'unknown status "done"', 'an update to an unknown status');
set local role tests_server;
select tests.refuses($$ insert into jobs (job_type, status) values ('few', 'done') $$,
                     '22023', 'unknown status "done"', 'server: an unknown status');
select tests.refuses($$ update jobs set status = 'done' $$,
                     '22023', 'unknown status "done"', 'server: an update to an unknown status');
select tests.refuses($$ insert into jobs (job_type, status) values ('fwe', 'pending') $$,
                     '22023', 'unknown job type "fwe"', 'server: an unknown type');
reset role;
select lives_ok($$ insert into jobs (job_type, status, max_retries, job_id)
                   values ('few', 'pending', 2147483647, 'owner') $$,
                'owner: as given');

-- Views.
delete from jobs;
select job_enqueue('few'), job_enqueue('bulk-update'), job_type_set('few', paused => true) \g /dev/null
select results_eq($$ select job_type::text, count, due_count from jobs_queue_status order by 1 $$,
                  $$ values ('bulk-update', 1::bigint, 1::bigint), ('few', 1, 0) $$,
                  'a job of a paused type is not due');
insert into jobs (job_type, status, started_at, finished_at, completed_at) values
  ('few', 'completed', now() - interval '1 hour', now() - interval '1 hour' + interval '1.23456 s', now()),
  ('few', 'completed', '-infinity', now(), now()), ('few', 'failed', now(), 'infinity', null);
insert into jobs (job_type, status, started_at, lease_id, lease_expires_at, attempt)
values ('few', 'in_progress', '-infinity', gen_random_uuid(), 'infinity', 1);
select is((select avg_duration_seconds from jobs_queue_status where job_type = 'few' and status = 'completed'),
          1.23, 'an average that a person reads');
select is((select avg_duration_seconds from jobs_queue_status where job_type = 'few' and status = 'failed'),
          null, 'infinite times have none');
select is((select avg_duration_minutes from jobs_metrics where job_type = 'few'), 0.02, 'nor in jobs_metrics');
select is((select row(running_for, lease_left)::text from jobs_running), '(,)', 'nor in jobs_running');
select lives_ok(format('table %I', v), v || ' with infinite times')
from unnest('{jobs_queue_status,jobs_failed_summary,jobs_metrics,jobs_active,jobs_running,jobs_failed}'::text[]) v;

select * from finish();
rollback;
