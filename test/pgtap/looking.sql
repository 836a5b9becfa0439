-- job_get, job_list and the views. What they refuse is in refused_arguments.sql, who sees what in privileges.sql.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
begin;
set local timezone = 'UTC';
select no_plan();

-- Jobs of all kinds, as the owner may insert them: the newest was made a minute ago, some in one and the same instant.
create temp table kinds as
select s.status, t.job_type, o.organisation_id, r.restaurant_id,
       now() - interval '1 minute' * (1 + (row_number() over (order by md5(concat(s, t, o, r)))) / 2) as created_at
from unnest('{pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) s (status),
     unnest('{bulk-update,merge-menus}'::text[]) t (job_type),
     unnest('{aaaaaaaa-0000-0000-0000-000000000001,aaaaaaaa-0000-0000-0000-000000000002}'::uuid[]) o (organisation_id),
     unnest('{bbbbbbbb-0000-0000-0000-000000000001,bbbbbbbb-0000-0000-0000-000000000002,
              null}'::uuid[]) r (restaurant_id);
insert into jobs (job_id, job_type, status, organisation_id, restaurant_id, created_at, run_at, started_at,
                  finished_at, completed_at, cancelled_at, lease_id, lease_expires_at, worker, attempt)
select 'kind ' || row_number() over (), job_type, status, organisation_id, restaurant_id, created_at, created_at,
       case when status in ('in_progress', 'completed', 'failed') then created_at + interval '1 second' end,
       case when status in ('completed', 'failed', 'cancelled') then created_at + interval '31 seconds' end,
       case when status = 'completed' then created_at + interval '31 seconds' end,
       case when status = 'cancelled' then created_at + interval '31 seconds' end,
       case when status = 'in_progress' then gen_random_uuid() end,
       case when status = 'in_progress' then now() + interval '10 minutes' end,
       case when status = 'in_progress' then 'w ' || row_number() over () end,
       case when status in ('in_progress', 'completed', 'failed') then 1 else 0 end
from kinds;
select is((select count(*) from jobs), 84::bigint, 'jobs of all kinds');

-- job_list with every combination of filters and pages gives what a plain query gives, in the same order.
create function pg_temp.wrong_lists() returns setof text language plpgsql as $$
declare
  f record;
  got uuid[];
  wanted uuid[];
begin
  for f in
    select *
    from unnest('{null,pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) s (status),
         unnest('{null,bulk-update,merge-menus,no-such-type}'::text[]) t (job_type),
         unnest('{null,aaaaaaaa-0000-0000-0000-000000000001,
                  aaaaaaaa-0000-0000-0000-00000000000f}'::uuid[]) o (organisation_id),
         unnest('{null,bbbbbbbb-0000-0000-0000-000000000002}'::uuid[]) r (restaurant_id),
         (values (null), (now() - interval '20 minutes'), ('-infinity'), ('infinity')) b (before),
         (values (50, 0), (10000, 0), (3, 0), (3, 2), (5, 100), (0, 0), (1, 2147483647)) p (max_rows, skip_rows)
  loop
    got := array(select l.id
                 from public.job_list(f.status, f.job_type, f.organisation_id, f.restaurant_id, f.max_rows,
                                      f.skip_rows, f.before) l);
    wanted := array(select j.id
                    from public.jobs j
                    where (f.status is null or j.status = f.status)
                      and (f.job_type is null or j.job_type = f.job_type)
                      and (f.organisation_id is null or j.organisation_id = f.organisation_id)
                      and (f.restaurant_id is null or j.restaurant_id = f.restaurant_id)
                      and (f.before is null or j.created_at < f.before)
                    order by j.created_at desc, j.id desc limit f.max_rows offset f.skip_rows);
    if got <> wanted then
      return next format('%s: %s rows instead of %s', f, cardinality(got), cardinality(wanted));
    end if;
  end loop;
end $$;
select is_empty('select pg_temp.wrong_lists()', 'job_list with all filters and pages');
select is((select count(*) from job_list()), 50::bigint, 'fifty rows by default');
select results_eq('select to_jsonb(l) from job_list(max_rows => 10000) l',
                  'select to_jsonb(j) from jobs j order by j.created_at desc, j.id desc', 'with all columns');

-- From page to page by the time of the last row.
create temp table pages as
with recursive page as (select array(select l from job_list(job_type => 'bulk-update', max_rows => 7) l) as jobs
                        union all
                        select array(select l
                                     from job_list(job_type => 'bulk-update',
                                                   max_rows => 7, before => page.jobs[7].created_at) l)
                        from page
                        where cardinality(page.jobs) = 7)
select (j).id, (j).created_at from page, unnest(page.jobs) j;
select ok((select count(*) = count(distinct id) from pages), 'no job is on two pages');

-- While the private tables are not built, as after a restore, the lists are the same.
savepoint built;
alter table jobs disable trigger jobs_ext_after_row;
delete from jobs where job_id = 'kind 1';
update jobs set worker = 'unseen' where job_id = 'kind 2';
select is_empty('select pg_temp.wrong_lists()', 'job_list while a trigger is disabled');
select is((select count(*) from jobs_active),
          (select count(*) from jobs where status in ('pending', 'queued', 'in_progress')), 'jobs_active too');
select is((select count(*) from jobs_failed), (select count(*) from jobs where status = 'failed'), 'jobs_failed too');
alter table jobs enable trigger jobs_ext_after_row;
select is((select (job_enqueue('bulk-update', job_id => 'kind 85')).status),
          'queued', 'the next job that is enqueued');
select tests.in_step('has them built');
rollback to built;

-- job_get.
create temp table one as select * from jobs where job_id = 'kind 3';
select results_eq('select to_jsonb(g) from one, job_get(one.id) g',
                  'select to_jsonb(one) from one', 'by id, with all columns');
select results_eq($$ select to_jsonb(g) from job_get(job_id => 'kind 3') g $$,
                  'select to_jsonb(one) from one', 'by job_id');
select is_empty($$ select from job_get('deadbeef-0000-0000-0000-000000000000') $$, 'no row for an unknown id');
select is_empty(format('select from job_get(job_id => %L)', k), 'no row for the job_id ' || left(k, 10))
from unnest(array['no such key', '', 'KIND 3', repeat('k', 1000)]) k;

-- Archived jobs.
create temp table ended as select * from jobs where job_id = (select min(job_id) from jobs where status = 'completed');
with moved as (delete from jobs where job_id = (select job_id from ended) returning *)
insert into jobs_archive select *, now() from moved;
select results_eq('select to_jsonb(g) from ended, job_get(ended.id) g',
                  'select to_jsonb(ended) from ended', 'an archived job by id');
select results_eq('select to_jsonb(g) from ended, job_get(job_id => ended.job_id) g',
                  'select to_jsonb(ended) from ended', 'and by job_id');
select is_empty('select from job_list(max_rows => 10000) join ended using (id)', 'it is in no list');
select lives_ok('select job_enqueue(job_type, job_id => job_id) from ended', 'its job_id is used again');
select results_eq('select g.id = ended.id, g.status::text from ended, job_get(job_id => ended.job_id) g',
                  $$ values (false, 'queued') $$, 'then it names the new job');
select results_eq('select g.status::text from ended, job_get(ended.id) g',
                  $$ values ('completed') $$, 'and the id the old one');
insert into jobs_archive
select (jsonb_populate_record(null::jobs_archive,
                              to_jsonb(e)
                              || jsonb_build_object('id', gen_random_uuid(), 'job_id', 'archived twice',
                                                    'created_at', e.created_at - n * interval '1 day', 'priority', n,
                                                    'archived_at', now()))).*
from ended e, generate_series(0, 2) n;
select results_eq($$ select priority from job_get(job_id => 'archived twice') $$,
                  'values (0)', 'of several of one job_id, the newest');

-- jobs_active, jobs_running, jobs_failed: the jobs of these states, with all columns.
select set_eq('select to_jsonb(v) from jobs_active v',
              $$ select to_jsonb(j) from jobs j where status in ('pending', 'queued', 'in_progress') $$,
              'jobs_active');
select results_eq('select to_jsonb(v) from jobs_failed v',
                  $$ select to_jsonb(j) from jobs j where status = 'failed' order by created_at desc, id desc $$,
                  'jobs_failed');
select results_eq(
  $$ select id, job_id, job_type, worker, attempt, started_at, running_for, lease_left, lease_expires_at, timeout_at,
            heartbeat_at, cancel_requested_at, progress
     from jobs_running $$,
  $$ select id, job_id, job_type, worker, attempt, started_at, statement_timestamp() - started_at,
            lease_expires_at - statement_timestamp(), lease_expires_at, timeout_at, heartbeat_at, cancel_requested_at,
            progress
     from jobs where status = 'in_progress' order by started_at, id $$,
  'jobs_running');
select results_eq('select * from jobs_failed_summary',
                  $$ select id, job_id, job_type, organisation_id, restaurant_id, error_message, retries, max_retries,
                            created_at, started_at, finished_at, attempt, worker, retries < max_retries
                     from jobs where status = 'failed' order by created_at desc, id desc $$,
                  'jobs_failed_summary');

-- They follow a job through its life.
create function pg_temp.seen(key text) returns text language sql as $$
  select concat_ws(' ', (select 'active' from jobs_active where job_id = key),
                   (select 'running' from jobs_running where job_id = key),
                   (select 'failed' from jobs_failed where job_id = key))
$$;
select (job_enqueue('generate-content', job_id => 'life')).status \g /dev/null
select is(pg_temp.seen('life'), 'active', 'waiting');
create temp table claimed as select * from job_claim('{generate-content}', worker => 'me');
select is(pg_temp.seen('life'), 'active running', 'running');
select results_eq($$ select worker, attempt, progress from jobs_running where job_id = 'life' $$,
                  $$ values ('me', 1, null::jsonb) $$, 'by whom');
select (job_heartbeat(id, lease_id, '{"percent": 50}')).status from claimed \g /dev/null
select is((select progress from jobs_running where job_id = 'life'), '{"percent": 50}', 'how far');
select (job_fail(id, lease_id, 'broken', permanent => true)).status from claimed \g /dev/null
select is(pg_temp.seen('life'), 'failed', 'failed');
select results_eq($$ select error_message, retryable from jobs_failed_summary where job_id = 'life' $$,
                  $$ values ('broken', true) $$, 'why');
select (job_retry(job_id => 'life')).status \g /dev/null
select is(pg_temp.seen('life'), 'active', 'tried again');
select (job_pause(job_id => 'life')).status \g /dev/null
select is(pg_temp.seen('life'), '', 'paused');
delete from jobs where job_id = 'life';

-- jobs_queue_status: all that have not ended, and those that ended in the last 24 hours.
truncate jobs;
insert into jobs (job_id, job_type, status, created_at, run_at, started_at, finished_at, completed_at, lease_id,
                  lease_expires_at)
select v.key, v.type, v.status, now() - v.created, now() + v.due,
       case when v.status in ('in_progress', 'completed', 'failed') then now() - v.ended - v.took end,
       case when v.status in ('completed', 'failed') then now() - v.ended end,
       case when v.status = 'completed' then now() - v.ended end,
       case when v.status = 'in_progress' then gen_random_uuid() end,
       case when v.status = 'in_progress' then now() + interval '1 hour' end
from (values
  ('a', 'bulk-update', 'queued', interval '90 days', interval '-1 day', interval '0', interval '0'),
  ('b', 'bulk-update', 'queued', '1 hour', '1 hour', '0', '0'),
  ('c', 'bulk-update', 'pending', '1 hour', '2 hours', '0', '0'),
  ('d', 'bulk-update', 'in_progress', '3 hours', '-3 hours', '0', '10 minutes'),
  ('e', 'bulk-update', 'completed', '4 hours', '0', '1 hour', '60 seconds'),
  ('f', 'bulk-update', 'completed', '5 hours', '0', '23 hours', '120 seconds'),
  ('g', 'bulk-update', 'completed', '50 hours', '0', '25 hours', '240 seconds'),
  ('h', 'bulk-update', 'completed', '10 days', '0', '8 days', '1 hour'),
  ('i', 'bulk-update', 'failed', '1 hour', '0', '30 minutes', '180 seconds'),
  ('j', 'merge-menus', 'paused', '1 hour', '0', '0', '0')) v (key, type, status, created, due, ended, took);
select results_eq(
  $$ select job_type::text, status::text, count, latest_job, oldest_job, round(avg_duration_seconds), due_count,
            next_run_at
     from jobs_queue_status $$,
  $$ values ('bulk-update', 'completed', 2::bigint, now() - interval '4 hours', now() - interval '5 hours', 90.0,
             0::bigint, null::timestamptz),
            ('bulk-update', 'failed', 1, now() - interval '1 hour', now() - interval '1 hour', 180, 0, null),
            ('bulk-update', 'in_progress', 1, now() - interval '3 hours', now() - interval '3 hours', null, 0, null),
            ('bulk-update', 'pending', 1, now() - interval '1 hour', now() - interval '1 hour', null, 0,
             now() + interval '2 hours'),
            ('bulk-update', 'queued', 2, now() - interval '1 hour', now() - interval '90 days', null, 1,
             now() - interval '1 day'),
            ('merge-menus', 'paused', 1, now() - interval '1 hour', now() - interval '1 hour', null, 0, null) $$,
  'jobs_queue_status');
-- jobs_metrics: the same over 7 days.
select results_eq($$ select job_type::text, total_jobs, completed_count, failed_count, in_progress_count,
                            success_rate_percent, avg_duration_minutes, waiting_count, running_count, paused_count,
                            cancelled_count, retry_count
                     from jobs_metrics $$,
                  $$ values ('bulk-update', 8::bigint, 3::bigint, 1::bigint, 4::bigint, 75.00, 2.50, 3::bigint,
                             1::bigint, 0::bigint, 0::bigint, 0::bigint),
                            ('merge-menus', 1, 0, 0, 0, null, null, 0, 0, 1, 0, 0) $$,
                  'jobs_metrics');

-- More failed and running jobs than are read at a time.
insert into jobs (job_type, job_id, status, created_at, finished_at, organisation_id)
select 'bulk-update', 'f ' || n, 'failed', now() - n / 3 * interval '1 second', now(),
       case n % 500
         when 0 then 'aaaaaaaa-0000-0000-0000-000000000001'
         else 'aaaaaaaa-0000-0000-0000-000000000002' end::uuid
from generate_series(1, 3500) n;
insert into jobs (job_type, job_id, status, created_at, started_at, lease_id, lease_expires_at)
select 'bulk-update', 'r ' || n, 'in_progress', now() - n * interval '1 second', now(), gen_random_uuid(),
       now() + ((n * 7919) % 1000) * interval '1 second'
from generate_series(1, 1500) n;
select results_eq($$ select id from job_list('failed', max_rows => 10000) $$,
                  $$ select id from jobs where status = 'failed' order by created_at desc, id desc $$,
                  'all failed jobs in order');
select results_eq($$ select id from job_list('failed', max_rows => 10, skip_rows => 2500) $$,
                  $$ select id
                     from jobs where status = 'failed' order by created_at desc, id desc limit 10 offset 2500 $$,
                  'a page deep in them');
select results_eq($$ select job_id::text
                     from job_list('failed', organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001', skip_rows => 1,
                                   max_rows => 5) $$,
                  $$ values ('f 1000'), ('f 1500'), ('f 2000'), ('f 2500'), ('f 3000') $$, 'few of many');
select results_eq($$ select id from job_list('in_progress', max_rows => 1200, skip_rows => 100) $$,
                  $$ select id
                     from jobs where status = 'in_progress' order by created_at desc, id desc limit 1200 offset 100 $$,
                  'running ones');
select results_eq('select id from jobs_failed',
                  $$ select id from jobs where status = 'failed' order by created_at desc, id desc $$,
                  'jobs_failed, in order');
select is((select count(*) from jobs_active),
          (select count(*) from jobs where status in ('pending', 'queued', 'in_progress')), 'jobs_active');
select is((select count(distinct id) from jobs_active), (select count(*) from jobs_active), 'each job once');

select tests.in_step();
select * from finish();
rollback;
