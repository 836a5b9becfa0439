-- A direct write goes past the table's CHECKs: no call may break one, whatever an owner wrote into the row before, as
-- long as that row kept them all. Rows at the edges of what the checks allow, and every move that there is.
\ir setup/begin.psql
\ir setup/in_step.sql
begin;
select no_plan();

-- The checks on `jobs` that a row breaks, if any.
create function tests.broken() returns text language plpgsql as $$
declare
  one record;
  broken boolean;
  all_broken text := '';
begin
  for one in
    select conname, pg_get_expr(conbin, conrelid) as condition from pg_constraint
    where conrelid = 'public.jobs'::regclass and contype = 'c' order by conname
  loop
    execute format('select exists (select from public.jobs where not (%s))', one.condition) into broken;
    all_broken := all_broken || case when broken then one.conname || ' ' else '' end;
  end loop;
  return all_broken || (select coalesce(string_agg(distinct 'too long ', ''), '') from public.jobs
    where length(job_id) > 100 or length(job_type) > 50 or length(job_category) > 50 or length(status) > 50);
end $$;
select is((select count(*) from pg_constraint where conrelid = 'public.jobs'::regclass and contype = 'c'), 9::bigint,
  'each of the checks is looked at: what is new in moves.hpp as well');

-- As an owner may write them: each status with the extremes of each number and time.
create temporary table edges on commit drop as
select s.status, n.attempt, n.retries, n.max_retries, n.retry_delay_ms, p.priority, t.instant
from unnest('{pending, queued, in_progress, paused, blocked, completed, failed, cancelled}'::text[]) s (status),
  (values (0, 0, 0, 0), (1, 3, 3, 2147483647), (2147483647, 2147483646, 2147483647, 1000),
    (2147483647, 2147483647, 2147483647, 0)) n (attempt, retries, max_retries, retry_delay_ms),
  unnest('{-10, 10}'::int[]) p (priority),
  unnest('{-infinity, 2000-01-01, infinity}'::timestamptz[]) t (instant);
insert into jobs (id, job_id, job_type, status, attempt, retries, max_retries, retry_delay_ms, priority, run_at,
                  started_at, completed_at, finished_at, lease_id, lease_expires_at, execution_time_ms, expires_at)
select gen_random_uuid(), 'edge-' || row_number() over (), 'bulk-update', status, attempt, retries, max_retries,
  retry_delay_ms, priority, least(instant, now()),
  case when status not in ('pending', 'queued') then instant end, case when status = 'completed' then instant end,
  case when status in ('completed', 'failed', 'cancelled') then instant end,
  case when status = 'in_progress' then gen_random_uuid() end, case when status = 'in_progress' then instant end,
  -1, null
from edges;
select is(tests.broken(), '', 'the rows keep the checks');
savepoint edges;

-- Every call of each kind on every row, which may be refused; then the checks are kept.
create procedure tests.each(statement text) language plpgsql as $$
declare
  job record;
begin
  for job in select * from public.jobs loop
    begin
      execute statement using job.id, job.lease_id, job.job_id;
    exception
      when sqlstate 'PT409' or sqlstate '22003' or sqlstate '22023' then null;
    end;
  end loop;
end $$;
create function tests.keeps(statement text, name text) returns text language plpgsql as $$
declare
  broken text;
begin
  call tests.each(statement);
  broken := tests.broken();
  return tap.is(broken, '', name || ' keeps every check');
end $$;
select tests.keeps(statement, name)
from (values
  ('select job_claim(max_jobs => 10000)', 'job_claim'),
  ('select job_complete($1, $2)', 'job_complete'),
  ('select job_fail($1, $2, $$x$$)', 'job_fail'),
  ('select job_fail($1, $2, permanent => true)', 'job_fail for good'),
  ('select job_release($1, $2)', 'job_release'),
  ('select job_await_children($1, $2)', 'job_await_children'),
  ('select job_heartbeat($1, $2, $${}$$)', 'job_heartbeat'),
  ('select job_cancel($1)', 'job_cancel'),
  ('select job_cancel($1, force => true)', 'job_cancel by force'),
  ('select job_retry($1)', 'job_retry'),
  ('select job_pause($1)', 'job_pause'),
  ('select job_resume($1)', 'job_resume'),
  ('select job_next($1, $2)', 'job_next'),
  ('select job_maintain()', 'job_maintain'),
  ('update jobs set status = $$in_progress$$ where id = $1', 'an UPDATE that claims'),
  ('update jobs set status = $$failed$$ where id = $1', 'an UPDATE that fails'),
  ('update jobs set status = $$pending$$ where id = $1', 'an UPDATE that gives back')) m (statement, name);
select tests.in_step('in step');
rollback to edges;
-- One after the other leads on: what was resumed, retried or given back is claimed, and so on.
create table jobs_seen as select id, status from jobs;
select is((select count(*) from job_claim(max_jobs => 10000) where attempt < 1),
          0::bigint, 'nothing is claimed for the first time again');
select is((select string_agg(distinct status || ': ' || error_message, ', ')
           from jobs j where attempt = 2147483647
             and id in (select id from jobs_seen where status in ('pending', 'queued'))),
          'failed: it was started as often as can be counted',
          'a job that can''t be started once more fails, and says why');
select is((select count(*) from jobs j join jobs_seen s using (id)
           where s.status in ('pending', 'queued') and j.attempt < 2147483647 and j.status <> 'in_progress'),
          0::bigint, 'it does not keep the others waiting');
select throws_ok($$ update jobs set status = 'in_progress'
                    where job_id = (select min(job_id) from jobs where status = 'queued' and attempt = 2147483647) $$,
                 null, null)
where exists (select from jobs where status = 'queued' and attempt = 2147483647);
rollback to edges;

-- What a job takes from a type whose owner wrote what job_type_set refuses.
alter table job_types drop constraint check_max_retries, drop constraint check_retry_delay_ms;
alter table job_types alter job_category type varchar(200);
insert into job_types (job_type, max_retries, retry_delay_ms, job_category)
values ('bad', -1, -1000, repeat('c', 200));
create role tests_checks_producer;
select jobs_ext.grant_role('tests_checks_producer', 'producer') \g /dev/null
select lives_ok($$select job_enqueue('bad')$$, 'job_enqueue of such a type');
set local role tests_checks_producer;
select lives_ok($$insert into jobs (job_type) values ('bad')$$, 'INSERT of such a type');
reset role;
select is((select count(*) from jobs where job_type = 'bad'), 2::bigint, 'both are there');
select is(tests.broken(), '', 'and keep every check');

-- A name that a trigger makes is as long as the column can hold.
drop view jobs_queue_status, jobs_failed_summary, jobs_metrics cascade;
drop function tests.derived_expected() cascade;
alter table jobs alter job_type type varchar(200);
insert into job_types (job_type) values (repeat('t', 50)) on conflict do nothing;
select throws_ok(format('insert into jobs (job_type) values (%L)', repeat('t', 90)),
                 '22023', null, 'a job_id that would be too long');
select * from finish();
