-- Who may do what: the kinds of role, the roles of the API, and row security between two organisations.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/job_in.sql
begin;
set local timezone = 'UTC';
select no_plan();
create role tests_none;
create role tests_monitor;
create role tests_producer;
create role tests_worker;
create role tests_operator;
select jobs_ext.grant_role(('tests_' || k)::name, k)
from unnest('{monitor,producer,worker,operator}'::text[]) k \g /dev/null
select tests.job_in(s, s) from unnest('{queued,in_progress,paused,failed}'::text[]) s \g /dev/null

-- What a role gets when it calls: the SQLSTATE, or "yes". Nothing that it does stays.
create function pg_temp.try(role name, call text) returns text language plpgsql as $$
declare state text;
begin
  execute format('set local role %I', role);
  execute call;
  raise exception using errcode = 'TEST0';
exception
  when sqlstate 'TEST0' then return 'yes';
  when feature_not_supported then return 'yes'; -- and pg_cron is not here
  when others then
    get stacked diagnostics state = returned_sqlstate;
    return state;
end $$;

-- Each function, called for what it is there for, by each kind of role: yes, or 42501. The job that runs has a step
-- to be done, and one that waits for a decision.
select job_steps_set(j.id, '[{"step_name": "a"}, {"step_name": "b"}]', j.lease_id) from jobs j
where j.job_id = 'in_progress' \g /dev/null
update job_steps set status = 'action_required' where step_number = 2;
create temp table kind as
select * from (values ('none', 0), ('monitor', 1), ('producer', 2), ('worker', 3), ('operator', 4)) v (kind, level);
create temp table call as
select v.least,
       case when v.call like 'job\_await(%' then 'call ' else 'select ' end
         || replace(replace(v.call, '$id', quote_literal(j.id)), '$lease', quote_literal(j.lease_id)) as call,
       split_part(v.call, '(', 1) as function
from jobs j,
     (values
       ('monitor', $$job_get(job_id => 'queued')$$),
       ('monitor', $$job_wait(job_id => 'queued', wait => '0 s')$$),
       ('monitor', 'job_list()'),
       ('monitor', 'job_children($id)'),
       ('monitor', 'job_stats()'),
       ('producer', $$job_enqueue('bulk-update')$$),
       ('producer', $$job_enqueue_many('[{"job_type": "bulk-update"}]')$$),
       ('producer', $$job_cancel(job_id => 'queued')$$),
       ('producer', $$job_cancel(job_id => 'in_progress', force => true)$$),
       ('worker', 'job_claim()'),
       ('worker', $$job_claim('{bulk-update}', worker => 'w')$$),
       ('worker', $$job_await(job_types => '{bulk-update}', worker => 'w', wait => '1 minute')$$),
       ('worker', 'job_heartbeat($id, $lease)'),
       ('worker', $$job_heartbeat_many(jsonb_build_array(jsonb_build_object('id', $id, 'lease_id', $lease)))$$),
       ('worker', 'job_complete($id, $lease)'),
       ('worker', 'job_fail($id, $lease)'),
       ('worker', 'job_release($id, $lease)'),
       ('worker', 'job_await_children($id, $lease)'),
       ('producer', $$job_steps_set($id, '[{"step_name": "c"}]', $lease)$$),
       ('producer', $$job_step_resolve($id, 2, '1')$$),
       ('worker', 'job_step_start($id, $lease, 1)'),
       ('worker', 'job_step_complete($id, $lease, 1)'),
       ('worker', 'job_step_fail($id, $lease, 1)'),
       ('worker', 'job_step_await($id, $lease, 1)'),
       ('worker', $$job_release_worker('w')$$),
       ('worker', 'job_next($id, $lease)'),
       ('worker',
        $$job_finish_many(jsonb_build_array(jsonb_build_object('id', $id, 'lease_id', $lease, 'complete', null)))$$),
       ('producer', $$job_retry(job_id => 'failed')$$),
       ('worker', $$job_pause(job_id => 'queued')$$),
       ('worker', $$job_resume(job_id => 'paused')$$),
       ('worker', $$job_type_set('bulk-update', paused => true)$$),
       ('worker', $$job_type_set('made-anew')$$),
       ('operator', 'job_maintain()'),
       ('operator', 'job_pause_all()'),
       ('operator', 'job_resume_all()'),
       ('operator', 'jobs_ext.rebuild_queue()'),
       ('operator', $$job_schedule('s', '* * * * *', 'bulk-update')$$),
       ('operator', $$job_unschedule('s')$$),
       ('worker', $$jobs_ext.run_schedule('{"name": "s", "job_type": "bulk-update"}')$$)) v (least, call)
where j.job_id = 'in_progress';
select set_eq($$ select distinct function from call where function like 'job\_%' $$,
              $$ select p.proname::text
                 from pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname like 'job\_%'
                   -- not what is embedded in a row, which shows what a SELECT of the caller's does
                   and p.proargtypes[0] is distinct from 'public.jobs'::regtype $$,
              'this test knows all functions');
select is(pg_temp.try(('tests_' || k.kind)::name, c.call),
          case when k.level >= l.level then 'yes' else '42501' end, format('%s: %s', k.kind, c.function))
from call c join kind l on l.kind = c.least cross join kind k;
-- By statements too, which ask for the same.
set local jobs_ext.force_statement_path = on;
select is(pg_temp.try(('tests_' || k.kind)::name, c.call),
          case when k.level >= l.level then 'yes' else '42501' end,
          format('%s, by statements: %s', k.kind, c.function))
from call c join kind l on l.kind = c.least cross join kind k;
set local jobs_ext.force_statement_path = off;

-- A role that may execute the functions but has no privilege on the tables.
create role tests_hollow;
grant execute on all routines in schema public, jobs_ext to tests_hollow;
select is(pg_temp.try('tests_hollow', c.call), '42501', 'no privilege on tables: ' || c.function)
from call c
where c.function not in ('job_unschedule', 'job_pause_all', 'job_resume_all'); -- about no table of the API

-- Tables and views: S(elect), I(nsert), U(pdate), D(elete), T(runcate), and u for an update of some columns.
create function pg_temp.privileges(role name, relation regclass) returns text language sql as $$
  select concat(case when has_table_privilege(role, relation, 'select') then 'S' end,
                case when has_table_privilege(role, relation, 'insert') then 'I' end,
                case when has_table_privilege(role, relation, 'update') then 'U'
                     when has_any_column_privilege(role, relation, 'update') then 'u' end,
                case when has_table_privilege(role, relation, 'delete') then 'D' end,
                case when has_table_privilege(role, relation, 'truncate') then 'T' end,
                case when has_table_privilege(role, relation, 'references') then 'R' end,
                case when has_table_privilege(role, relation, 'trigger') then 'G' end)
$$;
create temp table granted as
select * from (values
  ('jobs', '', 'S', 'SIu', 'SIUD', 'SIUD'),
  ('job_types', '', 'S', 'S', 'SIU', 'SIU'),
  ('job_attempts', '', 'S', 'S', 'S', 'S'),
  ('job_steps', '', 'S', 'S', 'S', 'S'),
  ('jobs_archive', '', 'S', 'S', 'S', 'S'),
  ('jobs_queue_status', '', 'S', 'S', 'S', 'S'),
  ('jobs_failed_summary', '', 'S', 'S', 'S', 'S'),
  ('jobs_metrics', '', 'S', 'S', 'S', 'S'),
  ('jobs_active', '', 'S', 'S', 'S', 'S'),
  ('jobs_running', '', 'S', 'S', 'S', 'S'),
  ('jobs_failed', '', 'S', 'S', 'S', 'S'),
  ('jobs_schedules', '', 'S', 'S', 'S', 'S')) v (relation, none, monitor, producer, worker, operator);
select is((select array_agg(pg_temp.privileges(('tests_' || k.kind)::name, g.relation::regclass) order by k.level)
           from kind k),
          array[g.none, g.monitor, g.producer, g.worker, g.operator],
          'privileges on ' || g.relation || ', from none to operator')
from granted g;
select set_eq('select relation::text from granted',
              $$ select c.relname::text
                 from pg_class c
                 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') $$,
              'this test knows all tables and views');
select is((select array_agg(a.attname::text)
           from pg_attribute a
           where a.attrelid = 'jobs'::regclass and has_column_privilege('tests_producer', 'jobs', a.attnum, 'update')),
          '{current_step,cancel_requested_at,finished_at}', 'a producer updates three columns');
select is(pg_temp.privileges(('tests_' || k.kind)::name, c.oid),
          '', format('%s: nothing on %s', k.kind, c.oid::regclass))
from kind k, pg_class c where c.relnamespace = 'jobs_ext'::regnamespace and c.relkind in ('r', 'p', 'S');
select is(pg_temp.try(('tests_' || k.kind)::name, 'select * from ' || g.relation),
          case when k.level > 0 then 'yes' else '42501' end, format('%s: select from %s', k.kind, g.relation))
from kind k, granted g;
select is(pg_temp.try('tests_producer', call), '42501', 'a producer: ' || call)
from unnest(array['update jobs set status = ''cancelled''', 'update jobs set priority = 1',
                  'update jobs set cancel_requested_at = now(), priority = 1', 'delete from jobs', 'truncate jobs',
                  'insert into job_types values (''x'')', 'delete from job_attempts',
                  'select * from jobs for update of jobs nowait; update jobs set worker = null']) call;
select is(pg_temp.try('tests_producer', 'update jobs set cancel_requested_at = now()'),
          'yes', 'a producer asks for cancellations');

-- What the user's own trigger on job_attempts makes of the extension's write is no reason to refuse a producer's
-- cancellation.
savepoint theirs;
create function pg_temp.nothing() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger theirs before insert on job_attempts for each row execute function pg_temp.nothing();
select is(pg_temp.try('tests_producer', $$ select job_cancel(job_id => 'in_progress', force => true) $$),
          'yes', 'a producer cancels by force under a trigger on job_attempts');
rollback to theirs;

-- grant_role itself.
select tests.refuses($$ select jobs_ext.grant_role('tests_none', 'admin') $$, '22023', '%admin%', 'an unknown kind');
select tests.refuses($$ select jobs_ext.grant_role('tests_none', null) $$, '22023', '%null%', 'no kind');
select tests.refuses($$ select jobs_ext.grant_role('tests_nobody', 'worker') $$,
                     '42704', '%tests_nobody%', 'an unknown role');
select is(pg_temp.try('tests_operator', $$ select jobs_ext.grant_role('tests_none', 'worker') $$),
          '42501', 'an operator grants nothing');
select is(pg_temp.try('tests_operator', $$ select jobs_ext.install() $$), '42501', 'nor installs');
select is(pg_temp.try('tests_operator', $$ set local jobs_ext.now = '2030-01-01' $$), '42501', 'nor sets the clock');
select is(pg_temp.try('tests_operator', $$ set local jobs_ext.max_payload = '900kB' $$), '42501', 'nor the limits');
select tests.in_step();

-- Row security: the extension as it is installed where the roles of the API are there.
create role anon;
create role authenticated;
create role service_role bypassrls;
drop extension jobs_ext cascade;
drop table jobs, job_types, job_attempts, job_steps, jobs_archive cascade;
drop schema if exists jobs_ext cascade;
create extension jobs_ext;
drop schema tests cascade;
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/job_in.sql
grant execute on function tests.job_in to public;
create function pg_temp.as_member(org int) returns void language sql as $$
  select set_config('request.jwt.claims',
                    format('{"role": "authenticated", "org_id": "aaaaaaaa-0000-0000-0000-00000000000%s", '
                           '"sub": "bbbbbbbb-0000-0000-0000-00000000000%s"}', org, org),
                    true),
         set_config('role', 'authenticated', true)
$$;

-- Each member of two organisations makes jobs of its own.
select pg_temp.as_member(1) \g /dev/null
select is((job_enqueue('bulk-update', job_id => '1 ' || k)).created, true, 'a member enqueues: ' || k)
from unnest('{queued,in_progress,paused,failed,archived,forced,other}'::text[]) k;
select is((select array_agg(created)
           from job_enqueue_many('[{"job_type": "bulk-update", "job_id": "1 many"}, {"job_type": "merge-menus"}]')),
          '{t,t}', 'and many');
insert into jobs (job_type, job_id, organisation_id)
values ('bulk-update', '1 direct', 'aaaaaaaa-0000-0000-0000-000000000001');
reset role;
select pg_temp.as_member(2) \g /dev/null
select is((job_enqueue('bulk-update', job_id => '2 ' || k)).created, true, 'another organisation''s member too: ' || k)
from unnest('{queued,in_progress,paused,failed,archived}'::text[]) k;
reset role;
select results_eq(
  $$ select left(job_id, 1), organisation_id, created_by, count(*)
     from jobs where job_id ~ '^[12] ' and job_id <> '1 direct' group by 1, 2, 3 order by 1 $$,
  $$ values ('1',
             'aaaaaaaa-0000-0000-0000-000000000001'::uuid, 'bbbbbbbb-0000-0000-0000-000000000001'::uuid, 8::bigint),
            ('2', 'aaaaaaaa-0000-0000-0000-000000000002', 'bbbbbbbb-0000-0000-0000-000000000002', 5) $$,
  'theirs, by the JWT');
set local role service_role;
create temp table claimed as select * from job_claim(max_jobs => 100, worker => 'w');
select is((select count(*) from claimed), 15::bigint, 'the service claims them all');
select (job_release(id, lease_id)).status
from claimed where job_id !~ 'in_progress|failed|archived|forced' \g /dev/null
select (job_fail(id, lease_id, 'broken', permanent => true)).status from claimed where job_id ~ 'failed' \g /dev/null
select (job_complete(id, lease_id)).status from claimed where job_id ~ 'archived' \g /dev/null
reset role;
update jobs set status = 'paused' where job_id ~ 'paused';
with moved as (delete from jobs where job_id ~ 'archived' returning *)
insert into jobs_archive select *, now() from moved;
create temp table job as
select id, job_id, job_type, organisation_id
from jobs
union all
select id, job_id, job_type, organisation_id
from jobs_archive;
grant select on job to public;
select tests.in_step();

-- What a member sees.
select pg_temp.as_member(1) \g /dev/null
select results_eq('select array_agg(distinct organisation_id) from ' || v,
                  $$ values ('{aaaaaaaa-0000-0000-0000-000000000001}'::uuid[]) $$,
                  'only the own organisation''s: ' || v)
from unnest('{jobs,jobs_archive,job_list(max_rows => 10000),job_list(''failed''),job_list(''in_progress''),
              jobs_active,jobs_failed,jobs_failed_summary}'::text[]) v;
select is((select array_agg(distinct j.organisation_id) from job j, job_get(j.id) g),
          '{aaaaaaaa-0000-0000-0000-000000000001}', 'job_get by id');
select is((select array_agg(distinct j.organisation_id) from job j, job_get(job_id => j.job_id) g),
          '{aaaaaaaa-0000-0000-0000-000000000001}', 'job_get by job_id');
select is((select count(*) from job j, job_get(j.id)),
          (select count(*) from job where organisation_id = 'aaaaaaaa-0000-0000-0000-000000000001'),
          'archived ones too');
select is((select array_agg(job_id::text order by job_id) from jobs_running),
          '{1 forced,1 in_progress}', 'jobs_running');
select is((select sum(count) from jobs_queue_status)::int,
          (select count(*) from jobs)::int, 'jobs_queue_status counts what it may see');
select is((select sum(total_jobs) from jobs_metrics)::int,
          (select count(*) from jobs)::int, 'and so does jobs_metrics');
select is((select count(*) from job_attempts a
           where a.job in (select id from job where organisation_id <> 'aaaaaaaa-0000-0000-0000-000000000001')),
          0::bigint, 'no attempt of others');
select isnt((select count(*) from job_attempts), 0::bigint, 'but the own ones');
select is((select count(*) from job_types), 8::bigint, 'all types');
reset role;

-- What a member may not do.
create function pg_temp.try_as_member(org int, call text) returns text language plpgsql as $$
declare state text; message text; detail text; hint text;
begin
  perform pg_temp.as_member(org);
  execute call;
  raise exception using errcode = 'TEST0';
exception
  when sqlstate 'TEST0' then return 'yes';
  when others then
    get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail,
      hint = pg_exception_hint;
    return concat_ws(' | ', state, message, detail, hint);
end $$;
select matches(pg_temp.try_as_member(1, c), '^42501 ', 'a member may not: ' || c)
from unnest(
  array[
    'select job_claim()',
    'select job_claim(wait => ''1 minute'')',
    'call job_await()',
    'select job_heartbeat(id, id) from job',
    'select job_complete(id, id) from job',
    'select job_fail(id, id) from job',
    'select job_release(id, id) from job',
    'select job_next(id, id) from job',
    'select job_finish_many(''[]'')',
    'select job_heartbeat_many(''[]'')',
    'select job_release_worker(''w'')',
    'select job_pause(job_id => ''1 queued'')',
    'select job_resume(job_id => ''1 paused'')',
    'select job_type_set(''bulk-update'')',
    'select job_maintain()',
    'select job_schedule(''s'', ''* * * * *'', ''bulk-update'')',
    'select job_unschedule(''s'')',
    'select jobs_ext.run_schedule(''{}'')',
    'select jobs_ext.rebuild_queue()',
    'select * from jobs_ext.schedules',
    'select * from jobs_ext.queue',
    'select * from jobs_ext.failed',
    'select * from jobs_ext.jobs_archive_default',
    'update jobs set status = ''cancelled''',
    'update jobs set priority = 10',
    'delete from jobs',
    'truncate jobs',
    'insert into job_types values (''x'')',
    'delete from job_attempts',
    'insert into jobs (job_type, organisation_id) values (''bulk-update'', ''aaaaaaaa-0000-0000-0000-000000000002'')',
    'insert into jobs (job_type) values (''bulk-update'')',
    'select job_enqueue(''bulk-update'', organisation_id => ''aaaaaaaa-0000-0000-0000-000000000002'')',
    'select job_enqueue_many(''[{"job_type": "bulk-update", "job_id": "1 first"}, '
      '{"job_type": "bulk-update", "organisation_id": "aaaaaaaa-0000-0000-0000-000000000002"}]'')']) c;
select is((select count(*) from jobs where job_id = '1 first'), 0::bigint, 'nothing stayed');

-- Nothing is told of another organisation's jobs: it is as if they were not there.
create temp table nobody as select 'deadbeef-0000-0000-0000-000000000000'::uuid as id;
grant select on nobody to public;
select is(replace(pg_temp.try_as_member(1, format('select job_cancel(%L)', j.id)), j.id::text, n.id::text),
          pg_temp.try_as_member(1, format('select job_cancel(%L)', n.id)), 'job_cancel by id of "' || j.job_id || '"')
from job j, nobody n where j.job_id like '2 %';
select matches(pg_temp.try_as_member(1, format('select job_cancel(%L)', id)), '^PT404 ', 'is PT404') from nobody;
select is(replace(pg_temp.try_as_member(1, format('select job_cancel(job_id => %L)', j.job_id)), j.job_id, 'none'),
          pg_temp.try_as_member(1, 'select job_cancel(job_id => ''none'')'),
          'job_cancel by job_id of "' || j.job_id || '"')
from job j where j.job_id like '2 %';
select is(replace(pg_temp.try_as_member(1, format('select job_enqueue(%L, job_id => %L)', 'bulk-update', j.job_id)),
                  j.job_id, '1 queued'),
          pg_temp.try_as_member(1, 'select job_enqueue(''merge-menus'', job_id => ''1 queued'')'),
          'a key of theirs is taken like one of ours: "' || j.job_id || '"')
from job j where j.job_id like '2 %' and j.job_id <> '2 archived';
select matches(pg_temp.try_as_member(1, 'select job_enqueue(''merge-menus'', job_id => ''1 queued'')'),
               '^PT409 .* \| \{"reason": "key_taken"\} \| ', 'is PT409');
select is(replace(pg_temp.try_as_member(1, format('select job_enqueue(%L, parent_job_id => %L)', 'bulk-update', j.id)),
                  j.id::text, n.id::text),
          pg_temp.try_as_member(1, format('select job_enqueue(%L, parent_job_id => %L)', 'bulk-update', n.id)),
          'as a parent')
from job j, nobody n where j.job_id = '2 queued';
select is(replace(pg_temp.try_as_member(1,
                                        format('select job_enqueue(%L, parent_job_id => %L, organisation_id => %L)',
                                               'bulk-update', j.id, j.organisation_id)),
                  j.id::text, n.id::text),
          pg_temp.try_as_member(1,
                                format('select job_enqueue(%L, parent_job_id => %L, organisation_id => %L)',
                                       'bulk-update', n.id, j.organisation_id)),
          'as a parent in their name')
from job j, nobody n where j.job_id = '2 queued';
select is(pg_temp.try_as_member(1, format('update jobs set cancel_requested_at = now() where id = %L', id)),
          'yes', 'an UPDATE of theirs is no error')
from job where job_id = '2 queued';
select matches(pg_temp.try_as_member(1, format('select 1 / count(*) from jobs where id = %L', id)),
               '^22012 ', 'for it sees no row')
from job where job_id = '2 queued';

-- What a member may do to the own ones: an idempotent enqueue, a cancellation by the grant on one column.
select pg_temp.as_member(1) \g /dev/null
select results_eq($$ select e.created, e.id = j.id
                     from job j, job_enqueue('bulk-update', job_id => '1 queued') e where j.job_id = '1 queued' $$,
                  $$ values (false, true) $$, 'the own key gives the own job');
select is((job_cancel(job_id => '1 queued', reason => 'by member')).status, 'cancelled', 'a waiting job');
select is((job_cancel(job_id => '1 paused', reason => 'by member')).status, 'cancelled', 'a paused job');
select is((job_cancel(job_id => '1 in_progress', reason => 'by member')).status, 'in_progress', 'a running job');
select lives_ok($$ select job_cancel(job_id => '1 forced', reason => 'by member', force => true) $$,
                'a running job by force');
select lives_ok($$ update jobs set cancel_requested_at = now() where job_id = '1 other' $$, 'one by an UPDATE');
select results_eq(
  $$ select job_id::text, status::text, cancel_requested_at is not null, cancelled_at is not null, error_message
     from jobs where job_id in ('1 queued', '1 paused', '1 in_progress', '1 forced', '1 other') order by 1 $$,
  $$ values ('1 forced', 'cancelled', true, true, 'by member'),
            ('1 in_progress', 'in_progress', true, false, 'by member'),
            ('1 other', 'cancelled', true, true, null),
            ('1 paused', 'cancelled', true, true, 'by member'),
            ('1 queued', 'cancelled', true, true, 'by member') $$,
  'cancelled, with the reason');
select matches(pg_temp.try_as_member(1, format('select job_cancel(%L)', id)),
               '^PT409 .*"archived"', 'the own archived one is told')
from job where job_id = '1 archived';

-- And has its failed and cancelled ones tried again, by the grant on another column.
select is((job_retry(job_id => '1 failed')).status, 'queued', 'a failed job of one''s own');
select cmp_ok((job_retry(job_id => '1 paused', run_at => '2020-01-01')).run_at, '>=', now(),
              'a time in the past is now');
select lives_ok($$ update jobs set finished_at = null where job_id = '1 other' $$, 'one by an UPDATE');
select results_eq(
  $$ select job_id::text, status::text, retries, cancelled_at, finished_at, lease_id is null,
            run_at between now() and clock_timestamp()
     from jobs where job_id in ('1 failed', '1 other', '1 paused') order by 1 $$,
  $$ select k, 'queued', 0, null::timestamptz, null::timestamptz, true, true
     from unnest('{1 failed,1 other,1 paused}'::text[]) k $$,
  'queued again, as new');
select lives_ok($$ update jobs set finished_at = now() where job_id = '1 queued' $$, 'another time is no error');
select isnt((select finished_at from jobs where job_id = '1 queued'), now(), '… and no change');
select lives_ok($$ update jobs set finished_at = null where job_id = '1 in_progress' $$, 'a running job has none');
select is((select status from jobs where job_id = '1 in_progress'), 'in_progress', '… and goes on');
select lives_ok($$ update jobs set finished_at = null where job_id like '2 %' $$, 'those of others are not there');
select matches(pg_temp.try_as_member(1, $$select job_retry(job_id => '2 failed')$$), '^PT404 ',
               '… for the call either');
select matches(pg_temp.try_as_member(1, $$select job_retry(job_id => '1 in_progress')$$), '^PT409 ', 'one that runs');
reset role;
select is((select status from jobs where job_id = '2 failed'), 'failed', 'another organisation''s stays as it is');
select tests.job_in('completed', 'completed') \g /dev/null
update jobs set organisation_id = 'aaaaaaaa-0000-0000-0000-000000000001' where job_id = 'completed';
select matches(pg_temp.try_as_member(1, $$update jobs set finished_at = null where job_id = 'completed'$$), '^PT409 ',
               'what succeeded is not tried again');
select tests.in_step();
select results_eq($$ select a.outcome, a.error_message
                     from job_attempts a join job j on j.id = a.job where j.job_id = '1 forced' $$,
                  $$ values ('cancelled', 'by member') $$, 'the forced one''s attempt is on record');

-- Without a claim of an organisation a member sees nothing and makes nothing.
select set_config('request.jwt.claims', c, true), set_config('role', 'authenticated', true)
from (values ('{"role": "authenticated"}')) v (c) \g /dev/null
select is((select count(*) from jobs) + (select count(*) from job_list()) + (select count(*) from jobs_active),
          0::bigint, 'nothing to see');
select throws_ok($$ select job_enqueue('bulk-update') $$, '42501', null, 'nothing to make');
reset role;
set local request.jwt.claims = '';

-- A worker by its grants, but under row security.
create role tests_worker_under_policies;
set local client_min_messages = error;
select jobs_ext.grant_role('tests_worker_under_policies', 'operator') \g /dev/null
select tests.refuses(format('set local role tests_worker_under_policies; %s', c),
                     '42501', '%tests_worker_under_policies%row security%', c || ' under row security')
from unnest('{select job_claim(),select job_claim(wait => ''1 minute''),call job_await(),
              select job_maintain()}'::text[]) c;
create policy everything on jobs to tests_worker_under_policies using (true) with check (true);
select tests.refuses('set local role tests_worker_under_policies; select job_claim()',
                     '42501', '%tests_worker_under_policies%row security%', 'even with a policy that shows everything');
select is(pg_temp.try('tests_worker_under_policies', 'select job_enqueue(''bulk-update'')'), 'yes', 'but it enqueues');
select is(pg_temp.try('tests_worker_under_policies', 'select job_pause(job_id => ''2 queued'')'),
          'yes', 'and steers by that policy');

-- With a key or without, and whatever other keys there are: a statement that names the key shows its row to the
-- policies for SELECT, so one that the caller could not see is refused, always.
drop policy everything on jobs;
create policy makes on jobs for insert to tests_worker_under_policies with check (true);
create policy sees on jobs for select to tests_worker_under_policies using (priority = 1);
select is(pg_temp.try('tests_worker_under_policies',
                      'select job_enqueue(''bulk-update'', job_id => ''seen'', priority => 1)'),
          'yes', 'a key on a row that the caller sees');
select is(pg_temp.try('tests_worker_under_policies', 'select job_enqueue(''bulk-update'', job_id => ''unseen'')'),
          '42501', 'a key on one that the caller does not see');
create unique index of_theirs on jobs (priority) where priority = 9;
select is(pg_temp.try('tests_worker_under_policies', 'select job_enqueue(''bulk-update'', job_id => ''unseen'')'),
          '42501', '… where the owner has made another key, too');
drop index of_theirs;

-- Who may write types and no jobs keeps nobody from jobs: the lane of the type waits for its first job.
create role tests_types bypassrls;
grant select, insert, update on job_types to tests_types;
grant execute on all functions in schema public to tests_types;
grant usage on schema jobs_ext to tests_types;
set local role tests_types;
select is((job_type_set('of whom jobs are none')).job_type,
          'of whom jobs are none', 'a type by a role that may not write jobs');
reset role;
select is_empty($$ select l.lane from jobs_ext.lanes l where l.job_type = 'of whom jobs are none' $$,
                '… has no lane yet');
select is((job_enqueue('of whom jobs are none')).status, 'queued', '… and its first job makes it');

-- anon may nothing, service_role what a worker may: what the service of the seed does with its key.
select is(pg_temp.try('anon', 'select * from ' || r), '42501', 'anon: select from ' || r)
from unnest('{jobs,job_types,job_attempts,job_steps,jobs_archive,jobs_active,jobs_running,jobs_failed,
              jobs_failed_summary,jobs_queue_status,jobs_metrics,jobs_schedules,job_list()}'::text[]) r;
select is_empty($$ select p.oid::regprocedure
                   from pg_proc p
                   join pg_depend d on d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e'
                   join pg_extension e on e.oid = d.refobjid and e.extname = 'jobs_ext'
                   where has_function_privilege('anon', p.oid, 'execute') $$,
                'anon executes no function');
select is(pg_temp.try('service_role', c), w, 'service_role: ' || c)
from (values
  ('select job_claim()', 'yes'),
  ('call job_await()', 'yes'),
  ('select job_enqueue(''bulk-update'')', 'yes'),
  ('select job_list()', 'yes'),
  ('select job_release_worker(''w'')', 'yes'),
  ('select job_cancel(job_id => ''2 queued'')', 'yes'),
  ('delete from jobs', 'yes'),
  ('select job_retry(job_id => ''2 failed'')', 'yes'),
  ('select job_pause(job_id => ''2 queued'')', 'yes'),
  ('select job_resume(job_id => ''2 paused'')', 'yes'),
  ('select job_type_set(''bulk-update'', paused => true)', 'yes'),
  ('select job_type_set(''x'')', 'yes'),
  ('select job_maintain()', '42501'),
  ('select job_pause_all()', '42501'),
  ('select job_schedule(''s'', ''* * * * *'', ''bulk-update'')', '42501'),
  ('truncate jobs', '42501')) v (c, w);

select tests.in_step();
select * from finish();
rollback;
