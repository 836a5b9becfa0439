-- What a member of organisation 1 tries against organisation 2, by each way that there is: to see its jobs, to change,
-- steer or take them, to learn whether they are there, to make jobs that are not its own to make. All of it once with
-- the policies as they are installed and once bound to profiles.
--
-- Each attempt runs twice, in the world as it is and in one where organisation 2 has no job at all. It succeeds, and
-- the test fails, if anything of organisation 2 is another afterwards, if the answer has something secret in it or is
-- not the same in both worlds, if a job came to be that no member can make, or if it should have been refused.
\ir setup/begin.psql
begin;
\ir setup/tenants.sql
select no_plan();
set local timezone = 'UTC';

--
-- Organisation 2, whose every text says "secret", with a job in each state; and a job of organisation 1
--
create table tests.victim (state text primary key, id uuid, job_id text, lease_id uuid);
create function pg_temp.make(state text, org int) returns uuid language plpgsql as $$
declare
  job uuid := (job_enqueue('bulk-update', '{"of": "secret"}', 10, job_id => 'secret ' || state || org,
    job_key => 'secret ' || state, organisation_id => tests.org(org), restaurant_id => tests.restaurant(org),
    created_by => tests.person(org), metadata => '{"of": "secret"}',
    run_at => case state when 'pending' then '2100-01-01'::timestamptz end)).id;
  lease uuid;
begin
  if state in ('in_progress', 'blocked', 'completed', 'failed', 'archived') then
    select c.lease_id into strict lease from job_claim(worker => 'secret') c where c.id = job;
    perform job_heartbeat(job, lease, progress => '"secret"');
  end if;
  case state
    when 'paused' then perform job_pause(job);
    when 'cancelled' then perform job_cancel(job, reason => 'secret');
    when 'blocked' then
      perform job_enqueue('bulk-update', run_at => '2100-01-01', parent_job_id => job, job_id => 'secret child',
                          organisation_id => tests.org(org));
      perform job_await_children(job, lease);
    when 'completed', 'archived' then perform job_complete(job, lease, '{"of": "secret"}');
    when 'failed' then perform job_fail(job, lease, 'secret', permanent => true);
    else null;
  end case;
  if state = 'archived' then
    insert into jobs_archive select j.*, now(), '[{"error_message": "secret"}]' from jobs j where j.id = job;
    delete from jobs where id = job;
  end if;
  return job;
end $$;
insert into tests.victim (state, id)
select s, pg_temp.make(s, 2)
from unnest('{completed,failed,archived,blocked,in_progress,pending,paused,cancelled,queued}'::text[]) s;
update tests.victim v set job_id = j.job_id, lease_id = coalesce(j.lease_id, gen_random_uuid())
from (select id, job_id, lease_id from jobs union all select id, job_id, lease_id from jobs_archive) j
where j.id = v.id;
select job_enqueue('bulk-update', job_id => 'own', organisation_id => tests.org(1), job_key => 'own',
                   created_by => tests.person(1)) \g /dev/null
create table tests.known as select id from jobs union all select id from jobs_archive;

--
-- The judges, with rights of their own
--
create function tests.theirs() returns text language sql volatile security definer
set search_path = pg_catalog, pg_temp as $$
  select md5(string_agg(t.line, E'\n' order by t.line))
  from (select format('job %s %s %s', j.xmin, j.xmax, j) as line from public.jobs j
        where j.organisation_id is distinct from tests.org(1)
        union all select 'archived ' || a::text from public.jobs_archive a
        where a.organisation_id is distinct from tests.org(1)
        union all select 'attempt ' || a::text from public.job_attempts a
        union all select 'type ' || t::text from public.job_types t
        union all select 'queue ' || q::text from jobs_ext.queue q
        where q.job in (select v.id from tests.victim v)
        union all select 'pause ' || p::text from jobs_ext.pauses p
        union all select 'parent ' || c::text from jobs_ext.children c
        where c.parent in (select v.id from tests.victim v)) t $$;
-- What is wrong with the jobs that are new: a member makes them for its own organisation, in its own name, not before
-- now, and with nothing in them that only the server knows.
create function tests.forged() returns text language sql volatile security definer
set search_path = pg_catalog, pg_temp as $$
  select string_agg(f.what, ', ')
  from public.jobs j,
       lateral (values
         ('organisation_id', j.organisation_id = tests.org(1)),
         ('created_by', coalesce(j.created_by = tests.person(1), true)),
         ('parent_job_id', j.parent_job_id is null
                           or exists (select from public.jobs p where p.id = j.parent_job_id
                                        and p.organisation_id = tests.org(1) and p.id <> j.id)),
         ('id', not exists (select from public.jobs_archive a where a.id = j.id)
                and j.id::text !~ '^0000'),
         ('status', j.status in ('pending', 'queued', 'paused')),
         ('run_at', j.run_at >= now()), ('created_at', j.created_at >= now()), ('updated_at', j.updated_at >= now()),
         ('retries', j.retries = 0), ('attempt', j.attempt = 0), ('max_retries', j.max_retries <= 3),
         ('input_payload', jsonb_typeof(j.input_payload) = 'object' or j.input_payload is null),
         ('metadata', jsonb_typeof(j.metadata) = 'object'), ('expires_at', j.expires_at > j.run_at is not false),
         ('ends', num_nonnulls(j.result, j.error_message, j.execution_time_ms, j.started_at, j.completed_at,
                               j.cancelled_at, j.finished_at, j.cancel_requested_at, j.progress) = 0),
         ('lease', num_nonnulls(j.lease_id, j.worker, j.lease_expires_at, j.timeout_at, j.heartbeat_at) = 0)
       ) f (what, fine)
  where not exists (select from tests.known k where k.id = j.id) and f.fine is not true $$;
create function tests.nothing_of_theirs() returns void language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  delete from public.job_attempts a where a.job in (select v.id from tests.victim v);
  delete from public.jobs j where j.organisation_id = tests.org(2);
  delete from public.jobs_archive j where j.organisation_id = tests.org(2);
end $$;
create function tests.shows_secret(answer text, call text) returns boolean language sql security definer
set search_path = pg_catalog, pg_temp as $$
  select answer ~ 'secret' and call !~ 'secret'
         or exists (select from tests.victim v
                    where position(v.id::text in answer) > 0 and position(v.id::text in call) = 0
                          or position(v.lease_id::text in answer) > 0 and position(v.lease_id::text in call) = 0)
$$;

-- What the member hears; times and the server's own ids are not the same twice. Nothing that it does stays.
create function pg_temp.hears(call text, without boolean, out answer text, out state text, out fault text)
language plpgsql as $$
declare
  before text;
  message text;
  detail text;
  hint text;
begin
  if without then
    perform tests.nothing_of_theirs();
  end if;
  before := tests.theirs();
  perform set_config('request.jwt.claims', 
                     jsonb_build_object('role', 'authenticated', 'sub', tests.person(1), 'org_id', tests.org(1),
                                 'user_metadata', jsonb_build_object('org_id', tests.org(2), 'sub', tests.person(2))
                               )::text, true);
  perform set_config('role', 'authenticated', true);
  state := '00000';
  if call ~ '^select ' and call !~ ' for (update|share)|;' then
    execute format('select jsonb_agg(to_jsonb(t)) from (%s) t', call) into answer;
  elsif call ~ '^(insert|update|delete) ' and call !~ 'returning|;' then
    execute format('with t as (%s returning *) select jsonb_agg(to_jsonb(t)) from t', call) into answer;
  else
    execute call;
    answer := 'done';
  end if;
  set constraints all immediate;
  fault := concat_ws('; ', case when tests.theirs() is distinct from before then 'changes what is theirs' end,
                     'makes a job with a forged ' || tests.forged());
  raise exception using errcode = 'TEST0';
exception
  when sqlstate 'TEST0' then null;
  when others then
    get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail,
      hint = pg_exception_hint;
    answer := concat_ws(' | ', state, message, detail, hint);
end $$;
create function pg_temp.same_twice(answer text) returns text language sql as $$
  select regexp_replace(
           regexp_replace(
             regexp_replace(answer, '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}', 'id', 'g'),
             '-[0-9a-z]{26}\y', '-key', 'g'),
           '\d{4}-\d\d-\d\d[T ][0-9:.+]*', 'time', 'g') $$;

-- One assertion. `state`: the SQLSTATE that it has to meet, where only a refusal is right. `tells`: the README says
-- that this does tell whether the name is taken, and no more.
create function pg_temp.fails(call text, state text default null, tells boolean default false) returns text
language plpgsql as $$
declare
  here record;
  there record;
  complaint text;
begin
  select * into here from pg_temp.hears(call, false);
  select * into there from pg_temp.hears(call, true);
  complaint := concat_ws('; ', nullif(here.fault, ''), 'without them: ' || nullif(there.fault, ''),
    case when tests.shows_secret(here.answer, call) then 'shows what is theirs: ' || here.answer end,
    case when not tells and pg_temp.same_twice(here.answer) is distinct from pg_temp.same_twice(there.answer)
         then format('tells whether it is there: %s — %s', here.answer, there.answer) end,
    case when here.state !~ coalesce(fails.state, '') then format('%s instead of %s', here.answer, fails.state) end);
  return ok(complaint = '', format('%s: %s', current_setting('tests.how'), call))
         || case when complaint = '' then '' else E'\n' || diag(left(complaint, 400)) end;
end $$;

-- What looks at each row that it is given, and tells.
create function pg_temp.peeks(row_as_text text) returns boolean language plpgsql cost 0.0001 as $$
begin
  if row_as_text ~ 'secret' then
    raise exception 'peeked at %', row_as_text;
  end if;
  return true;
end $$;
create function pg_temp.peeks(row_as_text text, text) returns boolean language sql cost 0.0001
as $$ select pg_temp.peeks(row_as_text) $$;
create operator pg_temp.=== (leftarg = text, rightarg = text, function = pg_temp.peeks);

--
-- The attempts
--
create temp table attempt (call text, state text, tells boolean default false);

-- The verbs that a member has, on their jobs: by both names, in each state.
insert into attempt (call)
select format('select * from %s', format(verb, name))
from tests.victim v, lateral (values (format('id => %L', v.id)), (format('job_id => %L', v.job_id))) n (name),
     unnest('{job_get(%s),job_cancel(%s),"job_cancel(%s, force => true, reason => ''x'')",job_retry(%s),
              "job_wait(%s, wait => ''0 s'')"}'::text[]) verb;
insert into attempt (call) select format('select * from job_children(%L)', v.id) from tests.victim v;
insert into attempt (call)
select format('select * from job_list(%s)', arguments)
from unnest(array[format('organisation_id => %L', tests.org(2)), format('restaurant_id => %L', tests.restaurant(2)),
                  'max_rows => 10000', 'skip_rows => 1', '''in_progress''', '''failed''', '''completed''',
                  '''blocked''', 'before => ''infinity''',
                  format('''failed'', organisation_id => %L', tests.org(2))]) arguments;

-- Theirs as a parent; their organisation, user and keys.
insert into attempt (call, state)
select format(way, v.id), '22023|42501'
from tests.victim v,
     unnest(array['select * from job_enqueue(''bulk-update'', parent_job_id => %L)',
                  'select * from job_enqueue_many(jsonb_build_array(jsonb_build_object(''job_type'', ''bulk-update'','
                    ' ''parent_job_id'', %L)))',
                  format('insert into jobs (job_type, organisation_id, parent_job_id) values (%L, %L, %%L)',
                         'bulk-update', tests.org(1))]) way;
insert into attempt (call, state)
select format(way, c.what, c.value), '42501'
from (values ('organisation_id', tests.org(2)), ('organisation_id', '00000000-0000-0000-0000-000000000000'),
             ('created_by', tests.person(2)), ('created_by', tests.person(9))) c (what, value),
     unnest(array['select * from job_enqueue(''bulk-update'', %I => %L)',
                  'select * from job_enqueue(''bulk-update'', job_key => ''secret queued'', %I => %L)',
                  'select * from job_enqueue_many(jsonb_build_array(jsonb_build_object(''job_type'', ''bulk-update'','
                    ' %L, %L)))']) way;
insert into attempt (call, state)
values (format('insert into jobs (job_type, organisation_id) values (%L, %L)', 'bulk-update', tests.org(2)), '42501'),
       (format('insert into jobs (job_type, organisation_id, created_by) values (%L, %L, %L)', 'bulk-update',
               tests.org(1), tests.person(2)), '42501'),
       (format('insert into jobs (job_type, organisation_id, job_key) values (%L, %L, %L)', 'bulk-update',
               tests.org(2), 'secret queued'), '42501'),
       ('insert into jobs (job_type) values (''bulk-update'')', '42501');
insert into attempt (call)
select format(way, 'secret ' || v.state)
from tests.victim v,
     unnest(array['select created from job_enqueue(''bulk-update'', job_key => %L)',
                  'select created from job_enqueue(''merge-menus'', job_key => %L)',
                  format('insert into jobs (job_type, organisation_id, job_key) values (%L, %L, %%L)', 'bulk-update',
                         tests.org(1))]) way;
-- job_id is one name over all tenants: taken is taken, and nothing more is told.
insert into attempt (call, state, tells)
select format(way, v.job_id), 'PT409|23505', true
from tests.victim v,
     unnest(array['select created from job_enqueue(''bulk-update'', job_id => %L)',
                  format('insert into jobs (job_type, organisation_id, job_id) values (%L, %L, %%L)', 'bulk-update',
                         tests.org(1))]) way
where v.state <> 'archived';

-- What only a worker or an operator may.
insert into attempt (call, state)
select 'select * from ' || replace(replace(call, '$id', quote_literal(v.id)), '$lease', quote_literal(v.lease_id)),
       '42501'
from tests.victim v,
     unnest(array['job_claim()', 'job_claim(''{bulk-update}'', worker => ''secret'')', 'job_claim(max_jobs => 10000)',
                  'job_heartbeat($id, $lease)', 'job_complete($id, $lease)', 'job_fail($id, $lease)',
                  'job_release($id, $lease)', 'job_await_children($id, $lease)', 'job_next($id, $lease)',
                  'job_heartbeat_many(jsonb_build_array(jsonb_build_object(''id'', $id, ''lease_id'', $lease)))',
                  'job_finish_many(jsonb_build_array(jsonb_build_object(''id'', $id, ''lease_id'', $lease,'
                    ' ''complete'', null)))',
                  'job_release_worker(''secret'')', 'job_pause($id)', 'job_resume($id)',
                  'job_type_set(''bulk-update'', paused => true)', 'job_type_set(''mine'')', 'job_maintain()',
                  'job_pause_all()', 'job_resume_all()', 'job_schedule(''s'', ''* * * * *'', ''bulk-update'')',
                  'job_unschedule(''s'')']) call
where v.state = 'in_progress';
-- Each function of ours that is not for members; what is asked for is judged before the arguments.
insert into attempt (call, state)
select format('%s %s(%s)', case p.prokind when 'p' then 'call' else 'select' end, p.oid::regproc,
              (select string_agg('null::' || format_type(t, null), ', ') from unnest(p.proargtypes) t)), '42501'
from pg_proc p
join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
join pg_extension e on e.oid = d.refobjid and e.extname = 'jobs_ext'
where p.prorettype not in ('trigger'::regtype, 'language_handler'::regtype, 'internal'::regtype)
  and not 'internal'::regtype = any (p.proargtypes)
  and not exists (select from jobs_ext.privileges('producer') g
                  where g.sort = 'routine' and g.object = p.pronamespace::regnamespace || '.' || p.proname);

-- SQL on what is shown: whatever is asked for, it is of the own organisation.
insert into attempt (call)
select format(query, r)
from unnest('{jobs,jobs_archive,job_attempts,jobs_active,jobs_running,jobs_failed,jobs_failed_summary,
              jobs_queue_status,jobs_metrics}'::text[]) r,
     unnest(array['select * from %s', 'select count(*) from %s', 'select * from %s t where pg_temp.peeks(t::text)',
                  'select * from %s t where t::text operator(pg_temp.===) ''secret''',
                  'select pg_temp.peeks(t::text) from %s t order by t::text limit 1']) query;
insert into attempt (call)
select format(query, v.id)
from tests.victim v,
     unnest(array['select * from jobs where id = %L', 'select * from jobs_archive where id = %L',
                  'select * from job_attempts where job = %L', 'select * from jobs where parent_job_id = %L',
                  'update jobs set cancel_requested_at = now() where id = %L',
                  'update jobs set finished_at = null where id = %L',
                  'select * from jobs where id = %L for update']) query
where v.state in ('in_progress', 'failed', 'archived', 'blocked');
insert into attempt (call)
values ('update jobs set cancel_requested_at = now()'), ('update jobs set finished_at = null'),
       ('update jobs set cancel_requested_at = now() where pg_temp.peeks(jobs::text)'),
       ('insert into jobs select * from jobs where organisation_id <> ' || quote_literal(tests.org(1))),
       ('select * from jobs j join job_attempts a on a.job = j.id'),
       ('select * from pg_stats where schemaname in (''public'', ''jobs_ext'') and tablename like ''job%'''),
       ('select j.* from jobs j tablesample bernoulli (100)');
insert into attempt (call, state)
select format('update jobs set %I = %I where organisation_id = %L', a.attname, a.attname, tests.org(2)), '42501'
from pg_attribute a
where a.attrelid = 'jobs'::regclass and a.attnum > 0
  and a.attname not in ('cancel_requested_at', 'finished_at', 'current_step');
insert into attempt (call, state)
select call, '42501'
from unnest(array['delete from jobs', 'delete from jobs where job_id = ''own''', 'truncate jobs',
                  'truncate jobs, job_attempts', 'lock table jobs in access exclusive mode',
                  'alter table jobs disable row level security', 'alter table jobs disable trigger all',
                  'alter table jobs owner to authenticated', 'drop table jobs', 'drop view jobs_active',
                  'create policy mine on jobs using (true)', 'drop policy jobs_ext_members_read on jobs',
                  'create trigger mine before insert on jobs for each row execute function tests.mine()',
                  'create rule mine as on insert to jobs do instead nothing', 'create index mine on jobs (status)',
                  'comment on table jobs is ''mine''', 'drop function job_claim',
                  'alter function job_claim rename to mine',
                  'insert into job_attempts select id, 1, null, null, now(), ''failed'' from jobs',
                  'update job_attempts set outcome = ''failed''', 'delete from job_attempts',
                  'insert into jobs_archive select j.*, now() from jobs j', 'delete from jobs_archive',
                  'update jobs_archive set status = ''failed''', 'truncate jobs_archive',
                  'insert into job_types values (''mine'')', 'update job_types set paused = true',
                  'delete from job_types', 'truncate job_types',
                  'copy jobs to program ''true''', 'copy jobs from ''/dev/null''',
                  'set local row_security = off; select * from jobs',
                  'set local jobs_ext.now = ''2100-01-01''', 'set local jobs_ext.max_payload = ''900kB''',
                  'set local jobs_ext.max_batch = 1', 'set local session_replication_role = replica',
                  'set local jobs_ext.archive_after = 0', 'set local jobs_ext.auto_register_types = on',
                  'drop extension jobs_ext', 'alter extension jobs_ext add table tests.victim',
                  'alter type job rename to mine']) call;
insert into attempt (call, state)
values (format('do language jobs_ext $x${"name": "s", "job_type": "bulk-update", "organisation_id": "%s"}$x$',
               tests.org(2)), '42501|22023');
insert into attempt (call, state)
select format(change, v), '42501|55000'
from unnest('{jobs_active,jobs_running,jobs_failed,jobs_failed_summary,jobs_queue_status,jobs_metrics,
              jobs_schedules}'::text[]) v,
     unnest('{delete from %s,update %s set job_type = ''x''}'::text[]) change;
-- What is private, and each month of the archive.
insert into attempt (call, state)
select format(query, c.oid::regclass), '42501'
from pg_class c,
     unnest('{select * from %s,delete from %s,truncate %s,insert into %s select * from %s}'::text[]) q,
     lateral (select replace(q, '%s', '%1$s')) f (query)
where c.relnamespace = 'jobs_ext'::regnamespace and c.relkind in ('r', 'p')
   or c.relispartition and c.relkind = 'r' and c.relname like 'jobs\_archive\_%'
   and c.relnamespace = 'public'::regnamespace;
insert into attempt (call, state)
values ('select nextval(''jobs_ext.lane_numbers'')', '42501'),
       ('select * from jobs_ext.maintenance', '42501'), ('select * from jobs_ext.jobs_set_aside', '42501');

-- Jobs with what no member can say: each column by INSERT, each parameter by call.
create temp table value as
select * from (values
  ('id', '00000000-0000-7000-8000-000000000001'), ('status', 'in_progress'), ('status', 'completed'),
  ('status', 'failed'), ('status', 'cancelled'), ('status', 'paused'), ('status', 'blocked'), ('result', '{"a": 1}'),
  ('error_message', 'x'), ('retries', '2'), ('max_retries', '1000'), ('execution_time_ms', '1'),
  ('created_at', '2000-01-01'), ('started_at', '2000-01-01'), ('completed_at', '2000-01-01'),
  ('cancelled_at', '2000-01-01'), ('updated_at', '2000-01-01'), ('priority', '11'), ('priority', '-11'),
  ('run_at', '2000-01-01'), ('run_at', '4713-01-01 BC'), ('run_at', '-infinity'), ('attempt', '7'),
  ('lease_id', '00000000-0000-4000-8000-000000000001'), ('worker', 'secret'), ('lease_expires_at', '2100-01-01'),
  ('timeout_at', '2100-01-01'), ('heartbeat_at', '2100-01-01'), ('finished_at', '2000-01-01'),
  ('cancel_requested_at', '2000-01-01'), ('progress', '1'), ('expires_at', '2000-01-01'), ('input_payload', '[]'),
  ('metadata', '5')) v (name, given);
insert into attempt (call)
select format('insert into jobs (job_type, organisation_id, %I) values (%L, %L, %L)', name, 'bulk-update',
              tests.org(1), given) from value
union all
select format('insert into jobs (job_type, organisation_id, id) values (%L, %L, %L)', 'bulk-update', tests.org(1), id)
from tests.victim where state in ('queued', 'archived');
insert into attempt (call)
select format(way, name, given)
from value, unnest(array['select * from job_enqueue(''bulk-update'', %I => %L)',
                         'select * from job_enqueue_many(jsonb_build_array(jsonb_build_object(''job_type'','
                           ' ''bulk-update'', %L, %L)))']) way
where name in ('run_at', 'max_retries', 'priority', 'expires_at', 'input_payload', 'metadata');
-- Written over by what a conflict makes of an INSERT, or by MERGE.
insert into attempt (call, state)
select format('insert into jobs (id, job_id, job_type, organisation_id) values (%L, %L, %L, %L) %s', v.id, v.job_id,
              'bulk-update', tests.org(1), c.what), '42501'
from tests.victim v,
     (values ('on conflict (id) do update set priority = 10'), ('on conflict (job_id) do update set priority = 10'),
             ('on conflict (job_id) do update set organisation_id = excluded.organisation_id')) c (what)
where v.state = 'queued';
insert into attempt (call, tells)
select format('insert into jobs (job_id, job_type, organisation_id) values (%L, %L, %L) %s', v.job_id, 'bulk-update',
              tests.org(1), c.what), true
from tests.victim v,
     (values ('on conflict do nothing'), ('on conflict (job_id) do nothing'),
             ('on conflict (job_id) do update set cancel_requested_at = now()')) c (what)
where v.state in ('queued', 'in_progress');

insert into attempt (call)
select format('merge into jobs j using (select %L::uuid as id) v on j.id = v.id when matched then '
              'update set cancel_requested_at = now() when not matched then do nothing', v.id)
from tests.victim v where v.state in ('queued', 'in_progress');

-- Names of the member's own that come before ours.
create temp table answer (line text);
grant insert, select on answer to public;
create function pg_temp.shows() returns void language plpgsql as $$
begin
  raise exception using errcode = 'TEST1',
    message = (select string_agg(a.line, E'\n' order by a.line) from pg_temp.answer a);
end $$;
create function tests.shadowed(setup text, call text) returns text language sql as $$
  select format('%s; set local search_path = pg_temp, public; insert into pg_temp.answer %s;'
                ' select pg_temp.shows()', setup, call) $$;
insert into attempt (call)
select tests.shadowed(s, format('select t::text from %s t', call))
from unnest(array['create temp table jobs (like public.jobs)', 'create temp table queue (job uuid)',
                  'create temp view job_types as select * from public.job_types',
                  'create function pg_temp.claimed_organisation() returns uuid language sql as '
                    '$x$ select tests.org(2) $x$',
                  'create function pg_temp.current_setting(text, boolean) returns text language sql as $x$ select '
                    'jsonb_build_object(''org_id'', tests.org(2), ''sub'', tests.person(2))::text $x$',
                  'create function pg_temp.uuid_eq(uuid, uuid) returns boolean language sql as $x$ select true $x$; '
                    'create operator pg_temp.= (leftarg = uuid, rightarg = uuid, function = pg_temp.uuid_eq)']) s,
     unnest('{job_list(max_rows => 10000),public.jobs,public.jobs_archive,jobs_active,jobs_failed_summary}'::text[])
       call;

--
-- None succeeds
--
select cmp_ok(count(*), '>=', 250::bigint, 'so many attempts') from attempt;
set local tests.how = 'by claim';
select pg_temp.fails(call, state, tells) from attempt;
set local jobs_ext.force_statement_path = on;
set local tests.how = 'by claim, statements';
select pg_temp.fails(call, state, tells) from attempt where call ~ '[ .]job_';
set local jobs_ext.force_statement_path = off;

grant select on profiles to authenticated;
alter table profiles enable row level security;
create policy own on profiles for select to authenticated using (id = (select jobs_ext.claimed_user()));
select jobs_ext.bind('organisations', 'restaurants', 'users') \g /dev/null
set local tests.how = 'bound to profiles';
select pg_temp.fails(call, state, tells) from attempt;

-- And the judges see what does: as the service, which may, hardly any attempt fails.
select ok((select h.fault ~ 'changes what is theirs'
           from pg_temp.hears('set local role service_role; update jobs set priority = 9', false) h),
          'a change is seen');
select ok((select h.fault ~ 'forged .*organisation_id'
           from pg_temp.hears('set local role service_role; insert into jobs (job_type) values (''bulk-update'')',
                              false) h), 'a forged job is seen');
select ok(tests.shows_secret((select h.answer from pg_temp.hears(
            'set local role service_role; select count(*) from jobs where pg_temp.peeks(jobs::text)', false) h), 'x'),
          'what is told is seen');
select * from finish();
rollback;
