-- job_steps_set, job_step_start, …_complete, …_fail, …_await, job_step_resolve: a job does its steps once each, and
-- pauses where a person has to decide. Both paths.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select no_plan();

set timezone = 'UTC';
set jobs_ext.now = '2030-01-01 12:00:00+00';

create function tests.step(key text, n int) returns text language sql as $$
  select concat_ws(' ', s.status, s.received, s.processed, s.passed, s.failed, s.result, s.decision, s.error_message,
                   s.metadata)
  from public.job_steps s where s.job = tests.id(key) and s.step_number = n
$$;
create function tests.steps(key text) returns text language sql as $$
  select string_agg(s.step_number || ' ' || s.step_name || ' ' || s.status, ', ' order by s.step_number)
  from public.job_steps s where s.job = tests.id(key)
$$;
create function tests.at(key text) returns text language sql as $$
  select concat_ws(' ', j.status, coalesce(j.current_step::text, '-'), 'of', coalesce(j.total_steps::text, '-'))
  from public.jobs j where j.job_id = key
$$;

--
-- One job, on either path
--
create procedure tests.life(path text) language plpgsql as $$
declare
  k constant text := path || ' job';
  id uuid;
  lease uuid;
  s record;
  before text;
begin
  perform job_enqueue('alpha', job_id => k, priority => 10, run_at => '2000-01-01+00');
  id := tests.id(k);
  insert into told values
    (path, 'without steps', tests.at(k), 'queued - of -'),
    (path, 'set by its producer', (select string_agg(concat_ws(' ', t.step_number, t.step_name, t.description,
       t.step_type, t.status, t.metadata), ', ' order by t.step_number) from job_steps_set(id,
       '[{"step_name": "fetch", "description": "all of it"}, {"step_name": "review", "step_type": "action_required"},
         {"step_number": 9, "step_name": "write", "metadata": {"a": 1}}]', null) t),
     '1 fetch all of it automatic pending {}, 2 review action_required pending {}, 9 write automatic pending {"a": 1}'),
    (path, 'the job says how many', tests.at(k), 'queued - of 3');
  perform tests.claim(k);
  lease := tests.lease(k);
  select * into s from job_step_start(id, lease, 1);
  insert into told values
    (path, 'a step begins', row(s.job = id, s.step_number, s.status, s.started_at, s.completed_at)::text,
     row(true, 1, 'in_progress', timestamptz '2030-01-01 12:00+00', null)::text),
    (path, 'the job is there', tests.at(k), 'in_progress 1 of 3'),
    (path, 'it fails', (job_step_fail(id, lease, 1, 'no net', received => 7)).error_message, 'no net'),
    (path, 'the job goes on', tests.at(k), 'in_progress 1 of 3'),
    (path, '… and begins it again', (job_step_start(id, lease, 1)).status || tests.step(k, 1),
     'in_progressin_progress 7 {}');
  perform set_config('jobs_ext.now', '2030-01-01 12:05:00+00', false);
  perform job_step_complete(id, lease, 1, '{"rows": 10}', 10, 9, 8, 1, '{"m": 1}');
  insert into told values
    (path, 'it is completed', tests.step(k, 1), 'completed 10 9 8 1 {"rows": 10} {"m": 1}');
  before := tests.everything();
  insert into told values
    (path, 'completed again it stays as it is', (job_step_complete(id, lease, 1, '{"rows": 11}')).result::text,
     '{"rows": 10}'),
    (path, 'begun again it says so', (job_step_start(id, lease, 1)).status, 'completed'),
    (path, 'awaited as well', (job_step_await(id, lease, 1)).status, 'completed'),
    (path, '… and nothing changed', tests.everything(), before);

  -- The worker dies; the next one begins from the start, and skips.
  perform job_fail(id, lease, 'died', run_at => '2030-01-01 12:05:00+00');
  perform tests.claim(k);
  lease := tests.lease(k);
  insert into told values
    (path, 'the next attempt sets what is there', (select string_agg(t.step_name || ' ' || t.status, ', ' order by
       t.step_number) from job_steps_set(id, '[{"step_name": "other"}, {"step_name": "look"}]', lease) t),
     'fetch completed, look pending'),
    (path, 'and finds what was done', (job_step_start(id, lease, 1)).result::text, '{"rows": 10}'),
    (path, 'how many', tests.at(k), 'in_progress 1 of 2');

  select * into s from job_step_await(id, lease, 2, '{"ask": "really?"}');
  insert into told values
    (path, 'a step waits for a person', s.status || s.metadata, 'action_required{"ask": "really?"}'),
    (path, 'and the job with it', tests.at(k), 'paused 2 of 2'),
    (path, 'without a lease',
     (select concat(j.worker, j.lease_expires_at, j.started_at) from jobs j where j.id = s.job),
     ''),
    (path, 'and nothing spent', (select retries::text from jobs j where j.id = s.job), '1'),
    (path, 'the attempt is on record', (select string_agg(a.attempt || ' ' || a.outcome, ', ' order by a.attempt)
                                        from job_attempts a where a.job = s.job), '1 failed, 2 released'),
    (path, 'the same again', (job_step_await(id, lease, 2)).status, 'action_required'),
    (path, 'nobody claims it', (select count(*)::text from job_claim('{alpha}')), '0');
  perform set_config('request.jwt.claims', '{"sub": "bbbbbbbb-0000-4000-8000-000000000001"}', false);
  select * into s from job_step_resolve(id, 2, '{"go": true}');
  perform set_config('request.jwt.claims', '', false);
  insert into told values
    (path, 'a person decides', row(s.status, s.decision, s.decided_by, s.completed_at)::text,
     row('completed', '{"go": true}'::jsonb, 'bbbbbbbb-0000-4000-8000-000000000001',
         timestamptz '2030-01-01 12:05+00')::text),
    (path, 'the job goes on', tests.at(k), 'queued 2 of 2'),
    (path, 'the same decision again', (job_step_resolve(id, 2, '{"go": true}')).status, 'completed');
  perform tests.claim(k);
  lease := tests.lease(k);
  insert into told values
    (path, 'its worker finds the decision', (job_step_await(id, lease, 2)).decision::text, '{"go": true}'),
    (path, '… and still has the job', tests.at(k), 'in_progress 2 of 2'),
    (path, 'it ends as any job', (job_complete(id, lease)).status, 'completed');
end $$;
create function tests.claim(key text) returns void language plpgsql as $$
begin
  if not exists (select from public.job_claim('{alpha}', worker => 'w1') c where c.job_id = key) then
    raise exception 'not claimed: %', key;
  end if;
end $$;
create temp table told (path text, what text, got text, wanted text);
call tests.life('direct');
set jobs_ext.now = '2030-01-01 12:00:00+00';
set jobs_ext.force_statement_path = on;
call tests.life('by statement');
reset jobs_ext.force_statement_path;
set jobs_ext.now = '2030-01-01 12:00:00+00';
select is(count(*), 58::bigint, 'both lives were lived') from told;
select is(got, wanted, path || ': ' || what) from told;
select tests.in_step('and the private tables follow');

--
-- Steps go where their job goes
--
select job_type_set('alpha', keep_completed => '1 day') \g /dev/null
set jobs_ext.now = '2030-01-03 12:00:00+00';
select job_maintain() \g /dev/null
select is((select string_agg(e ->> 'step_number' || ' ' || (e ->> 'status') || ' ' || (e ->> 'step_name'), ', ')
           from jsonb_array_elements(a.steps) e), '1 completed fetch, 2 completed look',
          a.job_id || ' takes its steps along')
from jobs_archive a order by a.job_id;
select is((steps #>> '{0,result,rows}', steps #>> '{1,decision,go}')::text, '(10,true)', 'with results and decisions')
from jobs_archive where job_id = 'direct job';
select is((select count(*) from job_steps), 0::bigint, 'and leaves none behind');

create function tests.with_steps(key text) returns void language sql as $$
  select tests.run(key);
  select job_steps_set(tests.id(key), '[{"step_name": "one"}, {"step_name": "two"}]', tests.lease(key));
$$;
select tests.with_steps('huge') \g /dev/null
update job_steps set result = to_jsonb(repeat('x', 700000)) where job = tests.id('huge');
select job_complete(tests.id('huge'), tests.lease('huge')) \g /dev/null
set jobs_ext.now = '2030-01-05 12:00:00+00';
select job_maintain() \g /dev/null
select is(length(steps #>> '{0,result}'), 700000, 'a large result is archived') from jobs_archive where job_id = 'huge';
select is((steps #>> '{1,result}', steps #>> '{1,left_out}')::text, '(,700004)', 'what is more than 1 MB is not')
from jobs_archive where job_id = 'huge';

select tests.with_steps('deleted'), tests.with_steps('erased'), tests.with_steps('truncated') \g /dev/null
set jobs_ext.force_statement_path = on;
select tests.with_steps('deleted, by statement') \g /dev/null
reset jobs_ext.force_statement_path;
select is((select count(*) from job_steps), 8::bigint, 'there are steps');
delete from jobs where job_id like 'deleted%';
select is((select count(*) from job_steps), 4::bigint, 'DELETE takes them along');
update jobs set organisation_id = 'aaaaaaaa-0000-4000-8000-000000000001' where job_id = 'erased';
select is(jobs_ext.erase_organisation('aaaaaaaa-0000-4000-8000-000000000001'), 0::bigint, 'an organisation is erased');
select is((select count(*) from job_steps), 2::bigint, '… with the steps of its jobs');
begin;
truncate jobs;
select count(*) as left from job_steps \gset
rollback;
select is(:left::int, 0, 'TRUNCATE takes all');
select is((select count(*) from job_steps), 2::bigint, '… and ROLLBACK brings them back');

--
-- Who decides when
--
select tests.with_steps('resumed') \g /dev/null
select job_step_await(tests.id('resumed'), tests.lease('resumed'), 1), job_resume(tests.id('resumed')) \g /dev/null
select is((job_step_resolve(tests.id('resumed'), 1, 'true')).status, 'completed',
          'a job that was resumed is decided on');
select is(tests.at('resumed'), 'queued 1 of 2', '… and stays as it is');
select tests.claim('resumed') \g /dev/null
select job_step_await(tests.id('resumed'), tests.lease('resumed'), 2), job_resume(tests.id('resumed')),
       tests.claim('resumed') \g /dev/null
select is((job_step_start(tests.id('resumed'), tests.lease('resumed'), 2)).status, 'action_required',
          'a worker does not begin what a person decides');
select is((job_step_await(tests.id('resumed'), tests.lease('resumed'), 2)).status, 'action_required', 'it waits again');
select is(tests.at('resumed'), 'paused 2 of 2', '… and so does the job');
select job_cancel(tests.id('resumed')) \g /dev/null

select tests.with_steps('stopped') \g /dev/null
select job_cancel(tests.id('stopped')), job_step_await(tests.id('stopped'), tests.lease('stopped'), 1) \g /dev/null
select is(tests.at('stopped'), 'cancelled 1 of 2', 'a job that was asked to stop does not wait');
select tests.refuses(format('select job_step_resolve(%L, 1, %L)', tests.id('stopped'), '1'), 'PT409',
                     'job % is cancelled and cannot become queued', 'illegal_transition', '… nor goes on');
select job_retry(tests.id('stopped')), tests.claim('stopped') \g /dev/null
select is(tests.at('stopped'), 'in_progress 1 of 2', 'job_retry brings it back with its steps');
select is((job_step_await(tests.id('stopped'), tests.lease('stopped'), 1)).status, 'action_required', '… to wait');
select is((job_step_resolve(tests.id('stopped'), 1, 'null')).decision, 'null'::jsonb, 'JSON null is a decision');
select tests.claim('stopped') \g /dev/null
select job_complete(tests.id('stopped'), tests.lease('stopped')) \g /dev/null

-- What is deferred on job_steps cannot fire as its owner.
select tests.with_steps('late') \g /dev/null
create function public.late() returns trigger language plpgsql as 'begin return null; end';
create constraint trigger late after update on job_steps deferrable initially deferred
  for each row execute function public.late();
create function tests.hint(call text) returns text language plpgsql as $$
declare
  hint text;
begin
  execute call;
  return 'no error';
exception when others then
  get stacked diagnostics hint = pg_exception_hint;
  return sqlstate || ' ' || hint;
end $$;
select alike(tests.hint(format('select job_step_start(%L, %L, 1)', tests.id('late'), tests.lease('late'))),
             '42501 What is deferred on job_steps%NOT DEFERRABLE%', 'a deferred trigger on job_steps, with a hint');
drop trigger late on job_steps;
select is((job_step_start(tests.id('late'), tests.lease('late'), 1)).status, 'in_progress',
          'without it the step begins');
delete from jobs where job_id = 'late';

--
-- What is refused
--
select tests.with_steps('r'), job_step_complete(tests.id('r'), tests.lease('r'), 1) \g /dev/null
select job_enqueue('beta', job_id => 'waits') \g /dev/null
select tests.refuses(replace(replace(replace(c.call, '$id', quote_literal(tests.id('r')) || '::uuid'),
                                     '$lease', quote_literal(tests.lease('r')) || '::uuid'),
                             '$waits', quote_literal(tests.id('waits')) || '::uuid'),
                     c.state, c.message, c.reason, c.call)
from (values
  ('select job_step_start($id, $lease, 3)', 'PT404', 'job % has no step 3', null),
  ('select job_step_resolve($id, 3, ''1'')', 'PT404', 'job % has no step 3', null),
  ('select job_step_resolve($id, 2, ''1'')', 'PT409', 'step 2 of job % is pending', 'step_status'),
  ('select job_step_resolve($id, 1, ''1'')', 'PT409', 'step 1 of job % is completed', 'step_status'),
  ('select job_step_fail($id, $lease, 1)', 'PT409', 'step 1 of job % is completed', 'step_status'),
  ('select job_step_start($id, gen_random_uuid(), 1)', 'PT409', 'the lease of job % is lost', 'lease_lost'),
  ('select job_step_complete($id, gen_random_uuid(), 2)', 'PT409', 'the lease of job % is lost', 'lease_lost'),
  ('select job_step_fail($id, gen_random_uuid(), 2)', 'PT409', 'the lease of job % is lost', 'lease_lost'),
  ('select job_step_await($id, gen_random_uuid(), 2)', 'PT409', 'the lease of job % is lost', 'lease_lost'),
  ('select job_steps_set($id, ''[]'', gen_random_uuid())', 'PT409', 'the lease of job % is lost', 'lease_lost'),
  ('select job_steps_set($id, ''[]'', null)', 'PT409', 'job % is in progress, and its steps are its worker''s', null),
  ('select job_steps_set($waits, ''[]'', $lease)', 'PT409', 'the lease of job % is lost', 'lease_lost'),
  ('select job_step_start(gen_random_uuid(), $lease, 1)', 'PT404', 'no such job%', null),
  ('select job_step_resolve(gen_random_uuid(), 1, ''1'')', 'PT404', 'no such job%', null),
  ('select job_steps_set(gen_random_uuid(), ''[]'', null)', 'PT404', 'no such job%', null),
  ('select job_step_start($id, $lease, 0)', '22023', '%step_number%0%', null),
  ('select job_step_start($id, $lease, 1001)', '22023', '%step_number%1001%', null),
  ('select job_step_start($id, $lease, null)', '22023', '%step_number%', null),
  ('select job_step_start($id, null, 1)', '22023', '%lease_id%', null),
  ('select job_step_resolve($id, 2, null)', '22023', '%decision%', null),
  ('select job_step_complete($id, $lease, 2, received => -1)', '22023', '%received%-1%', null),
  ('select job_step_complete($id, $lease, 2, metadata => ''[]'')', '22023', '%metadata%', null),
  ('select job_step_complete($id, $lease, 2, to_jsonb(repeat(''x'', 2000000)))', 'PT413', 'result is too large%', null),
  ('select job_steps_set($waits, null, null)', '22023', '%steps%', null),
  ('select job_steps_set($waits, ''{}'', null)', '22023', '%steps%', null),
  ('select job_steps_set($waits, ''[{"step_name": "a"}, 5]'', null)', '22023', 'element 2 of steps: %', null),
  ('select job_steps_set($waits, ''[{"step_name": "a"}, {}]'', null)', '22023',
   'element 2 of steps: %step_name%', null),
  ('select job_steps_set($waits, ''[{"step_name": "a", "step_typ": 1}]'', null)', '22023',
   'element 1 of steps: unknown key "step_typ"', null),
  ('select job_steps_set($waits, ''[{"step_name": "a", "step_type": "manual"}]'', null)', '22023',
   'element 1 of steps: unknown step_type "manual"', null),
  ('select job_steps_set($waits, ''[{"step_name": "a", "step_number": 2}, {"step_name": "b"}]'', null)', '22023',
   'element 2 of steps: step_number 2 is there twice', null),
  ('select job_steps_set($waits, (select jsonb_agg(''{}''::jsonb) from generate_series(1, 1001)), null)',
   '22023', 'a job has at most 1000 steps, not 1001', null)
) as c (call, state, message, reason);

-- What waits for a person is not the worker's.
select job_step_await(tests.id('r'), tests.lease('r'), 2), job_resume(tests.id('r')), tests.claim('r') \g /dev/null
select tests.refuses(format('select job_step_complete(%L, %L, 2)', tests.id('r'), tests.lease('r')), 'PT409',
                     'step 2 of job % is action_required', 'step_status', 'a worker completes no step of a person''s');
select tests.refuses(format('select job_step_fail(%L, %L, 2)', tests.id('r'), tests.lease('r')), 'PT409',
                     'step 2 of job % is action_required', 'step_status', '… and fails none');
-- Nor is one before anybody was asked.
select job_enqueue('alpha', job_id => 'unasked', priority => 10, run_at => '2000-01-01+00') \g /dev/null
select job_steps_set(tests.id('unasked'), '[{"step_name": "approve", "step_type": "action_required"}]',
                     null) \g /dev/null
select tests.claim('unasked') \g /dev/null
select job_step_start(tests.id('unasked'), tests.lease('unasked'), 1) \g /dev/null
select tests.refuses(format('select job_step_complete(%L, %L, 1)', tests.id('unasked'), tests.lease('unasked')),
                     'PT409', 'step 1 of job % is in_progress', 'step_status', 'nor does it decide by itself');
select is((job_step_fail(tests.id('unasked'), tests.lease('unasked'), 1, 'nobody there')).status, 'failed',
          'it may say that nobody could be asked');
select is((job_step_await(tests.id('unasked'), tests.lease('unasked'), 1)).status, 'action_required', 'it asks');
select is((job_step_resolve(tests.id('unasked'), 1, '"yes"')).status, 'completed', 'a person decides');
select tests.claim('unasked') \g /dev/null
select is((job_step_complete(tests.id('unasked'), tests.lease('unasked'), 1)).decision, '"yes"',
          'its worker finds the decision');
select job_complete(tests.id('unasked'), tests.lease('unasked')) \g /dev/null
select job_complete(tests.id('r'), tests.lease('r')) \g /dev/null
select tests.refuses(format('select job_steps_set(%L, %L, null)', tests.id('r'), '[]'), 'PT409',
                     'job % is completed: its steps are settled', 'steps of a job that has ended are settled');

-- An update of theirs changes neither number; no steps, no number.
update jobs set current_step = 7, total_steps = 7 where job_id = 'waits';
select is(tests.at('waits'), 'queued - of -', 'the server owns both numbers')
where not pg_has_role(current_user, (select relowner from pg_class where oid = 'jobs'::regclass), 'usage')
union all
select is(tests.at('waits'), 'queued 7 of 7', 'the owner may mend both numbers')
where pg_has_role(current_user, (select relowner from pg_class where oid = 'jobs'::regclass), 'usage');
select is((select count(*) from job_steps_set(tests.id('waits'), '[]', null)), 0::bigint, 'no steps');
select is(tests.at('waits'), 'queued 7 of -', '… no number');

--
-- ROLLBACK TO SAVEPOINT takes back step and job together
--
select tests.with_steps('saved') \g /dev/null
begin;
savepoint s;
select job_step_await(tests.id('saved'), tests.lease('saved'), 1) \g /dev/null
select tests.at('saved') || ' ' || tests.step('saved', 1) as meanwhile \gset
rollback to s;
select is(:'meanwhile'::text, 'paused 1 of 2 action_required {}', 'awaited');
select is(tests.at('saved') || ' ' || tests.step('saved', 1), 'in_progress - of 2 pending {}', 'and taken back');
commit;
begin isolation level repeatable read;
select is((job_step_start(tests.id('saved'), tests.lease('saved'), 1)).status, 'in_progress', 'at REPEATABLE READ');
select is((job_step_complete(tests.id('saved'), tests.lease('saved'), 1)).status, 'completed', '… twice');
commit;

-- A temporary table of the caller's does not matter, as long as nothing of the owner's could run.
create role steps_worker bypassrls;
select jobs_ext.grant_role('steps_worker', 'worker') \g /dev/null
set role steps_worker;
create temp table job_steps (id int);
select is((job_step_start(tests.id('saved'), tests.lease('saved'), 2)).status, 'in_progress',
          'the caller has a temporary table of the name');
reset role;
create function tests.nothing() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger theirs before update on public.job_steps for each row execute function tests.nothing();
set role steps_worker;
select tests.refuses(format('select job_step_complete(%L, %L, 2)', tests.id('saved'), tests.lease('saved')), '42501',
                     'nothing can run as % in a session that holds temporary objects of "steps_worker"',
                     'where there is a trigger it does');
drop table pg_temp.job_steps;
select is((job_step_complete(tests.id('saved'), tests.lease('saved'), 2)).status, 'completed', '… until it is gone');
reset role;
drop trigger theirs on job_steps;
create or replace function tests.nothing() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger theirs before update on public.job_steps for each row execute function tests.nothing();
select job_steps_set(tests.id('saved'), '[{"step_number": 3, "step_name": "three"}]', tests.lease('saved')) \g /dev/null
select tests.refuses(format('select job_step_start(%L, %L, 3)', tests.id('saved'), tests.lease('saved')), '09000',
                     'a trigger or rule on job_steps kept step 3 of job % from being written',
                     'a trigger that keeps it is told of');
drop trigger theirs on job_steps;
drop owned by steps_worker;
drop role steps_worker;

--
-- Two organisations
--
begin;
\ir setup/tenants.sql
select job_enqueue('bulk-update', job_id => 'of ' || n, organisation_id => tests.org(n), priority => 10)
from generate_series(1, 2) n \g /dev/null
create temp table it as select j.job_id, j.id from jobs j;
grant select on it to public;
create function tests.ask(n int, query text) returns text language sql as $$
  select tests.asks(jsonb_build_object('role', 'authenticated', 'sub', tests.person(n), 'org_id', tests.org(n))::text,
                    replace(query, '$id', quote_literal((select id from it where job_id = 'of 1')) || '::uuid'))
$$;
select is(tests.ask(1, 'select count(*) from job_steps_set($id, ''[{"step_name": "look"}]'', null)'), '1',
          'a member sets the steps of a job of its organisation');
select alike(tests.ask(2, 'select count(*) from job_steps_set($id, ''[{"step_name": "mine"}]'', null)'),
             'PT404 | no such job%', 'no member of another one does');
do $$
declare
  j record;
begin
  for j in select * from job_claim('{bulk-update}', 10) c where c.job_id = 'of 1' loop
    perform job_step_await(j.id, j.lease_id, 1, '{}');
  end loop;
end $$;
select is(tests.ask(1, 'select string_agg(step_name || '' '' || status, '','') from job_steps'), 'look action_required',
          'a member sees them');
select is(tests.ask(2, 'select count(*) from job_steps'), '0', 'no member of another one does');
select alike(tests.ask(2, 'select status from job_step_resolve($id, 1, ''"forged"'')'), 'PT404 | no such job%',
            'nor decides');
select alike(tests.ask(1, format('select status from job_step_start($id, %L, 1)', gen_random_uuid())),
            '42501 | permission denied for function job_step_start', 'a member does no step');
select alike(tests.ask(1, 'update job_steps set decision = ''1'' returning 1'), '42501 | permission denied%',
            'nor writes the table');
select is(tests.ask(1, 'select status || '' '' || decided_by from job_step_resolve($id, 1, ''"yes"'')'),
          'completed ' || tests.person(1), 'a member of its own decides');
select is(status, 'queued', 'and the job goes on') from jobs where job_id = 'of 1';
select finish();
rollback;
