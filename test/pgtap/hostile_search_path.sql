-- C functions of ours have no SET search_path. So each is called under one that begins with a schema of somebody's who
-- has put there what they might resolve by name: tables, types, functions, operators. Whatever of it is used raises.
\ir setup/begin.psql
begin;
\ir setup/tenants.sql
\ir setup/job_in.sql
select no_plan();

create schema hostile;
grant usage on schema hostile to public;
create function hostile.raises() returns boolean language plpgsql as $$
begin
  raise exception 'hostile code was called' using errcode = 'TESTH';
end $$;
do $$
declare
  name text; type regtype; f text;
begin
  foreach name in array '{jobs,job_types,job_attempts,jobs_archive,job_steps,queue,failed,expiring,ended,lanes,state,
                          set_aside,schedules,erasures,profiles,organisations}'::text[] loop
    execute format('create view hostile.%I as select * from (values (1)) v (id) where hostile.raises()', name);
  end loop;
  foreach name in array '{job,job_state,job_type_settings,job_type_stats,jsonb,uuid,text,timestamptz,
                          interval}'::text[] loop
    execute format('create domain hostile.%I as pg_catalog.int4 check (hostile.raises())', name);
  end loop;
  foreach type in array '{uuid,text,varchar,int2,int4,int8,timestamptz,interval,bool,jsonb,name,oid}'::regtype[] loop
    execute format('create function hostile.op(a %1$s, b %1$s) returns boolean language sql as '
                   '''select hostile.raises()''', type);
    foreach name in array '{=,<>,<,>,<=,>=,||,+,-,->,->>,@>}'::text[] loop
      execute format('create operator hostile.%1$s (leftarg = %2$s, rightarg = %2$s, function = hostile.op)',
                     name, type);
    end loop;
  end loop;
  foreach f in array array['now()', 'clock_timestamp()', 'statement_timestamp()', 'uuid_v7()', 'claimed_user()',
                           'claimed_organisation()', 'gen_random_uuid()', 'lower(pg_catalog.text)',
                           'length(pg_catalog.text)', 'to_regclass(pg_catalog.text)', 'nextval(regclass)',
                           'current_setting(pg_catalog.text, boolean)'] loop
    execute format('create function hostile.%s returns boolean language sql as ''select hostile.raises()''', f);
  end loop;
end $$;

-- Each call with names in full, as whatever the call itself resolves is the caller's.
create temp table id as
select s.state, tests.job_in(s.state, s.state) as id
from unnest('{queued,in_progress,paused,failed,pending}'::text[]) s (state);
select job_steps_set(j.id, '[{"step_name": "a"}]', j.lease_id) from jobs j where j.job_id = 'in_progress' \g /dev/null
create temp table call as
select v.function::regprocedure::oid as function,
       case when v.call like 'public.job\_await(%' then 'call ' else 'select ' end
         || replace(replace(v.call, '$id', quote_literal(j.id)), '$lease', quote_literal(j.lease_id)) as call
from jobs j, (values
  ('job_get(uuid,text)', 'public.job_get($id)'),
  ('job_get(uuid,text)', 'public.job_get(job_id => ''queued'')'),
  ('job_wait(uuid,text,interval)', 'public.job_wait(job_id => ''queued'', wait => ''0 s'')'),
  ('job_list(text,text,uuid,uuid,integer,integer,timestamptz)', 'public.job_list()'),
  ('job_list(text,text,uuid,uuid,integer,integer,timestamptz)', 'public.job_list(''failed'')'),
  ('job_enqueue', 'public.job_enqueue(''bulk-update'', job_id => ''a'')'),
  ('job_enqueue', 'public.job_enqueue(''bulk-update'', parent_job_id => $id)'),
  ('job_enqueue_many(jsonb)', 'public.job_enqueue_many(''[{"job_type": "bulk-update", "job_id": "b"}]'')'),
  ('job_cancel(uuid,text,text,boolean)', 'public.job_cancel(job_id => ''queued'')'),
  ('job_claim', 'public.job_claim()'),
  ('job_await', 'public.job_await()'),
  ('job_steps_set(uuid,jsonb,uuid)', 'public.job_steps_set($id, ''[{"step_name": "a"}]'', $lease)'),
  ('job_step_start(uuid,uuid,integer)', 'public.job_step_start($id, $lease, 1)'),
  ('job_step_complete', 'public.job_step_complete($id, $lease, 1)'),
  ('job_step_fail', 'public.job_step_fail($id, $lease, 1)'),
  ('job_step_await(uuid,uuid,integer,jsonb)', 'public.job_step_await($id, $lease, 1)'),
  ('job_step_resolve(uuid,integer,jsonb)', 'public.job_step_resolve($id, 1, ''1'')'),
  ('job_await_children(uuid,uuid)', 'public.job_await_children($id, $lease)'),
  ('job_children(uuid)', 'public.job_children($id)'),
  ('job_stats(text)', 'public.job_stats()'),
  ('job_stats(text)', 'public.job_stats(''bulk-update'')'),
  ('job_pause_all(text)', 'public.job_pause_all()'),
  ('job_resume_all()', 'public.job_resume_all()'),
  ('job_heartbeat(uuid,uuid,jsonb,interval)', 'public.job_heartbeat($id, $lease)'),
  ('job_heartbeat_many', 'public.job_heartbeat_many(pg_catalog.jsonb_build_array('
     'pg_catalog.jsonb_build_object(''id'', $id, ''lease_id'', $lease)))'),
  ('job_complete(uuid,uuid,jsonb)', 'public.job_complete($id, $lease)'),
  ('job_fail', 'public.job_fail($id, $lease, ''no'')'),
  ('job_release(uuid,uuid,timestamptz)', 'public.job_release($id, $lease)'),
  ('job_release_worker(text)', 'public.job_release_worker(''w'')'),
  ('job_next', 'public.job_next($id, $lease)'),
  ('job_finish_many', 'public.job_finish_many(pg_catalog.jsonb_build_array('
     'pg_catalog.jsonb_build_object(''id'', $id, ''lease_id'', $lease, ''complete'', null)))'),
  ('job_retry', 'public.job_retry(job_id => ''failed'')'),
  ('job_pause', 'public.job_pause(job_id => ''queued'')'),
  ('job_resume', 'public.job_resume(job_id => ''paused'')'),
  ('job_type_set', 'public.job_type_set(''bulk-update'', max_retries => 2)'),
  ('job_type_set', 'public.job_type_set(''made-anew'')'),
  ('job_maintain()', 'public.job_maintain()'),
  ('job_schedule', 'public.job_schedule(''s'', ''* * * * *'', ''bulk-update'')'),
  ('job_unschedule(text)', 'public.job_unschedule(''s'')'),
  ('jobs_ext.run_schedule(jsonb)', 'jobs_ext.run_schedule(''{"name": "s", "job_type": "bulk-update"}'')'),
  ('jobs_ext.rebuild_queue()', 'jobs_ext.rebuild_queue()'),
  ('jobs_ext."check"(boolean)', 'jobs_ext.check(false)'),
  ('jobs_ext.active_jobs()', 'jobs_ext.active_jobs()'),
  ('jobs_ext.running_jobs()', 'jobs_ext.running_jobs()'),
  ('jobs_ext.failed_jobs()', 'jobs_ext.failed_jobs()'),
  ('jobs_ext.scheduled_jobs()', 'jobs_ext.scheduled_jobs()'),
  ('jobs_ext.maintenance_status()', 'jobs_ext.maintenance_status()'),
  ('jobs_ext.uuid_v7()', 'jobs_ext.uuid_v7()'),
  ('jobs_ext.claimed_user()', 'jobs_ext.claimed_user()'),
  ('jobs_ext.claimed_organisation()', 'jobs_ext.claimed_organisation()'),
  ('jobs_ext.erase_organisation(uuid)', 'jobs_ext.erase_organisation(''00000000-0000-0000-0000-000000000000'')')
  ) n (name, call),
  lateral (select case when n.name ~ '\(' then n.name::regprocedure else n.name::regproc::regprocedure end as function,
                  n.call) v
where j.job_id = 'in_progress';
select set_eq($$ select distinct function::regprocedure::text from call $$,
              $$ select p.oid::regprocedure::text
                 from pg_proc p join pg_language l on l.oid = p.prolang
                 join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
                 join pg_extension e on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
                 where e.extname = 'jobs_ext' and l.lanname = 'c' and p.proname !~ '^language_|^run_inline$|^restoring$'
                   and p.prorettype <> 'trigger'::regtype and p.proconfig is null $$,
              'this test calls every function');

create function pg_temp.under_hostile_path(call text, by_statement boolean, role name) returns text
language plpgsql as $$
declare state text;
begin
  perform set_config('jobs_ext.force_statement_path', by_statement::text, true),
          set_config('request.jwt.claims', '{"org_id": "aaaaaaaa-0000-4000-8000-000000000001"}', true);
  perform set_config('search_path', 'hostile, pg_catalog, public', true), set_config('role', role, true);
  execute call;
  raise exception using errcode = 'TEST0';
exception
  when sqlstate 'TEST0' then return 'nothing of it';
  when others then
    get stacked diagnostics state = returned_sqlstate;
    return case when state in ('TESTH', '42883', '42725', '42804', '42P01') then state || ' ' || sqlerrm
                else 'nothing of it' end;
end $$;
select is(pg_temp.under_hostile_path(c.call, p.by_statement, current_user), 'nothing of it',
          case when p.by_statement then 'by statements: ' else '' end || c.call)
from call c, (values (false), (true)) p (by_statement);
grant usage on schema jobs_ext to authenticated;
select is(pg_temp.under_hostile_path(c.call, false, 'authenticated'), 'nothing of it',
          'a member: ' || c.call)
from call c where has_function_privilege('authenticated', c.function, 'execute');
-- Our triggers, in a client's statements.
select is(pg_temp.under_hostile_path(c, false, current_user), 'nothing of it', c)
from unnest(array[
  'insert into public.jobs (job_type) values (''bulk-update'')',
  'update public.jobs set status = ''cancelled'' where job_id operator(pg_catalog.=) ''queued''',
  'update public.jobs set status = ''in_progress'' where job_id operator(pg_catalog.=) ''queued''',
  'delete from public.jobs where true', 'truncate public.jobs',
  'insert into public.job_types (job_type) values (''new'')', 'delete from public.job_types where true',
  'do language jobs_ext ''{"name": "s", "job_type": "bulk-update"}''']) c;
-- And this test would notice.
select is(pg_temp.under_hostile_path(c, false, current_user), 'TESTH hostile code was called', c)
from unnest(array['select * from jobs', 'select now()', 'select 1 = 2', 'select lower(''A''::pg_catalog.text)']) c;
select * from finish();
rollback;
