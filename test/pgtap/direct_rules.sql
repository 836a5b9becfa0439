-- What a direct UPDATE on public.jobs may not do: parents, results that are there, attempts of others, what never
-- changes, claims of what is not to be had; and what it may. As a worker (a role that may UPDATE and bypasses row
-- security, as service_role), as a member under row security who was granted UPDATE, and as the owner, who mends.
-- The moves themselves are in direct_moves.sql, races in isolation/specs/direct-rules.spec.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/job_in.sql
\ir setup/jobs.sql
begin;
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();
create role tests_rules_worker bypassrls;
create role tests_rules_member;
create role tests_rules_producer;
select jobs_ext.grant_role('tests_rules_worker', 'worker'), jobs_ext.grant_role('tests_rules_member', 'producer'),
       jobs_ext.grant_role('tests_rules_producer', 'producer') \g /dev/null
grant update on jobs to tests_rules_member; -- as Supabase's default privileges do
alter table jobs enable row level security;
create policy own on jobs to tests_rules_member
  using (organisation_id = current_setting('tests.organisation')::uuid);
set local tests.organisation = 'aaaaaaaa-0000-0000-0000-00000000000a';

-- The job of this key is refused to `role`; the statement goes on with what is to be set.
create function pg_temp.refuses_to(role name, key text, change text, state text, message text, reason text, what text)
returns text language sql
as $$ select tests.refuses(format('set local role %I; update jobs set %s where job_id = %L', role, change, key),
                           state, message, reason, format('%s: %s', role, what)) $$;
-- The error as its caller sees it.
create function pg_temp.error_of(call text) returns jsonb language plpgsql as $$
declare
  detail text;
  hint text;
begin
  execute call;
  return null;
exception when others then
  get stacked diagnostics detail = pg_exception_detail, hint = pg_exception_hint;
  return jsonb_build_object('state', sqlstate, 'message', sqlerrm, 'hint', hint,
                            'detail', case when detail ~ '^{' then detail::jsonb end);
end $$;
create function pg_temp.clock(instant timestamptz) returns void language sql security definer
as $$ select set_config('jobs_ext.now', instant::text, true) $$;

--
-- Parents
--
select (job_enqueue('alpha', job_id => k, organisation_id => o, run_at => '2031-01-01')).id
from (values ('a', 'aaaaaaaa-0000-0000-0000-00000000000a'::uuid), ('b', 'aaaaaaaa-0000-0000-0000-00000000000a'),
             ('c', 'aaaaaaaa-0000-0000-0000-00000000000a'), ('theirs', 'bbbbbbbb-0000-0000-0000-00000000000b'))
     v (k, o) \g /dev/null
create temp table no_parent as
select 'of another organisation' as what, tests.id('theirs') as id
union all select 'that is nowhere', 'cccccccc-0000-0000-0000-00000000000c';
select pg_temp.refuses_to(r, 'a', format('parent_job_id = %L', n.id), '42501',
                          'parent_job_id names no job of this organisation: ' || n.id, null, 'a parent ' || n.what)
from no_parent n, unnest('{tests_rules_worker,tests_rules_member}'::name[]) r;
select pg_temp.refuses_to(r, 'a', 'parent_job_id = id', 'PT409', 'job % would be its own ancestor', 'cycle',
                          'a job as its own parent')
from unnest('{tests_rules_worker,tests_rules_member}'::name[]) r;
set local role tests_rules_worker;
update jobs set parent_job_id = tests.id('b') where job_id = 'a';
update jobs set parent_job_id = tests.id('b') where job_id = 'a';
reset role;
set local role tests_rules_member;
update jobs set parent_job_id = (select id from jobs where job_id = 'c') where job_id = 'b';
reset role;
select is((select array_agg(k || ' of ' || (select p.job_id from jobs p where p.id = (tests.job(k)).parent_job_id))
           from unnest('{a,b}'::text[]) k),
          '{"a of b","b of c"}', 'a worker and a member give parents, also the same again');
select pg_temp.refuses_to(r, 'b', format('parent_job_id = %L', tests.id('a')), 'PT409', '%its own ancestor', 'cycle',
                          'a cycle of two')
from unnest('{tests_rules_worker,tests_rules_member}'::name[]) r;
select pg_temp.refuses_to(r, 'c', format('parent_job_id = %L', tests.id('a')), 'PT409', '%its own ancestor', 'cycle',
                          'a cycle of three')
from unnest('{tests_rules_worker,tests_rules_member}'::name[]) r;
set local role tests_rules_worker;
select lives_ok($$ update jobs set parent_job_id = null where job_id in ('a', 'b') $$, 'no parent is no cycle');
reset role;
select tests.refuses(
  format('set local role tests_rules_worker;
          update jobs set parent_job_id = case job_id when %L then %L else %L end::uuid where job_id in (%L, %L)',
         'a', tests.id('b'), tests.id('a'), 'a', 'b'),
  'PT409', '%its own ancestor', 'cycle', 'a cycle that one statement makes');
set local role tests_rules_worker;
savepoint s;
update jobs set parent_job_id = tests.id('b') where job_id = 'a';
rollback to s;
select lives_ok($$ update jobs set parent_job_id = tests.id('a') where job_id = 'b' $$,
                'what was rolled back is no cycle');
reset role;

-- A member under a policy that hides a job of the own organisation hears what it hears of a job that is nowhere.
create policy hidden on jobs as restrictive to tests_rules_member using (job_id <> 'c');
create temp table errors as
select n.what, n.id,
       pg_temp.error_of(format('set local role tests_rules_member;
                                update jobs set parent_job_id = %L where job_id = %L', n.id, 'a')) as error
from (select * from no_parent union all select 'that is hidden', tests.id('c')) n;
reset role;
select is(count(distinct replace(error::text, id::text, '')), 1::bigint, 'nobody learns which of them is there')
from errors;
drop policy hidden on jobs;

-- The owner writes what the owner likes; who follows parents does not go round for ever, nor without an end.
select lives_ok(format('update jobs set parent_job_id = %L where job_id = %L', tests.id('theirs'), 'c'),
                'the owner gives any parent');
update jobs set parent_job_id = case job_id when 'a' then tests.id('b') else tests.id('a') end
where job_id in ('a', 'b');
select pg_temp.refuses_to('tests_rules_worker', 'c', format('parent_job_id = %L', tests.id('a')), 'PT409',
                          '%has more than 10000 ancestors', 'cycle', 'a parent in a cycle of the owner''s');
update jobs set parent_job_id = null where job_id in ('a', 'b', 'c');
select tests.in_step();

--
-- What has ended keeps its result
--
select tests.job_in(s, 'was ' || s) from unnest('{completed,failed,cancelled}'::text[]) s \g /dev/null
create temp table before as select * from jobs where job_id like 'was %';
grant select on before to public;
select pg_temp.refuses_to('tests_rules_worker', 'was ' || s, c.change, 'PT409', m.message, 'illegal_transition',
                          format('%s: %s', s, c.change))
from unnest('{completed,failed,cancelled}'::text[]) s,
     (values ($$result = '{"other": 1}'$$, 'result'), ($$error_message = 'other'$$, 'error_message'),
             ($$result = '{"other": 1}', worker = worker, lease_id = lease_id$$, 'result'),
             ($$result = 'null'$$, 'result')) c (change, col),
     lateral (values (format('job %% is %s and keeps its %s', s, c.col))) m (message);
select pg_temp.refuses_to('tests_rules_worker', 'was completed', 'result = null', 'PT409', '%keeps its result',
                          'illegal_transition', 'completed: no result');
select pg_temp.refuses_to('tests_rules_worker', 'was ' || s,
                          format($$status = %L, result = '{"other": 1}', worker = worker$$, s), 'PT409',
                          '%keeps its result', 'illegal_transition', 'the same status with another result: ' || s)
from unnest('{completed,failed,cancelled}'::text[]) s;
-- The seed's updateJobResult, and once more after a lost reply.
set local role tests_rules_worker;
select lives_ok($$ update jobs set result = '{"done": true}', status = 'completed', completed_at = '2031-01-01',
                     execution_time_ms = 99, updated_at = '2031-01-01'
                   where job_id = 'was completed' $$, 'the same status and the same result again');
select lives_ok($$ update jobs set status = 'failed', error_message = 'broken' where job_id = 'was failed' $$,
                'the same status and the same message again');
reset role;
select results_eq($$ select to_jsonb(j) - 'updated_at' from jobs j where j.job_id like 'was %' order by j.id $$,
                  $$ select to_jsonb(b) - 'updated_at' from before b order by b.id $$, 'change nothing');
select pg_temp.refuses_to('tests_rules_worker', 'was ' || f, format('status = %L', t), 'PT409',
                          format('job %% is %s and cannot become %s', f, t), 'illegal_transition', f || ' to ' || t)
from unnest('{completed,failed,cancelled}'::text[]) f,
     unnest('{pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) t
where f <> t;
set local role tests_rules_worker;
select lives_ok($$ update jobs set metadata = '{"noted": true}' where job_id like 'was %' $$, 'metadata may be noted');
reset role;
select is((select (tests.job('was completed')).metadata), '{"noted": true}', 'and is');
-- As jsonb compares, not by its bytes.
select tests.run('numbers', worker => 'w') as lease \gset
select job_complete(tests.id('numbers'), :'lease', '{"n": 1.0, "m": [1]}') \g /dev/null
set local role tests_rules_worker;
select lives_ok($$ update jobs set result = '{"m": [1.00], "n": 1}' where job_id = 'numbers' $$,
                'a result that is equal, but written otherwise');
reset role;
select is((select result::text from tests.job('numbers')), '{"m": [1], "n": 1.0}', 'stays as it was written');
select lives_ok($$ update jobs set result = '{"mended": true}', error_message = null where job_id like 'was %' $$,
                'the owner mends');
select tests.in_step();

--
-- Whose attempt it is
--
create temp table ends as
select * from (values ('completed'), ('failed'), ('pending'), ('cancelled'), ('paused')) v (status);
select tests.run('held ' || status, worker => 'mine') from ends \g /dev/null
select tests.run('held', worker => 'mine') as lease \gset
create temp table claims as select * from jobs where job_id like 'held%';
grant select on claims, ends to public;
select pg_temp.refuses_to('tests_rules_worker', 'held', format('status = %L', status), 'PT409',
                          'job % is held by a worker, and the UPDATE names neither its lease_id nor its worker',
                          'illegal_transition', status || ' without a word of whose attempt')
from ends;
select ok(e.error ->> 'hint' ~ 'lease_id or worker' and e.error ->> 'hint' ~ 'job_cancel', 'the hint says the rule')
from pg_temp.error_of($$ set local role tests_rules_worker;
                         update jobs set status = 'cancelled' where job_id = 'held' $$) e (error);
reset role;
select pg_temp.refuses_to('tests_rules_worker', 'held', format('status = %L, %s', status, v.value), 'PT409',
                          'the lease of job % is lost', 'lease_lost', format('%s with %s', status, v.value))
from ends, (values ($$worker = 'other'$$), ('worker = null'), ('lease_id = null'), ('lease_id = gen_random_uuid()'),
                   ('lease_id = lease_id, worker = null'),
                   ($$lease_id = gen_random_uuid(), worker = 'mine'$$)) v (value);
select pg_temp.refuses_to('tests_rules_worker', 'held', $$result = '{"r": 1}'$$, 'PT409', '%is held by a worker%',
                          'illegal_transition', 'a result alone');
select pg_temp.refuses_to('tests_rules_worker', 'held', $$result = '{"r": 1}', worker = 'other'$$, 'PT409',
                          '%lease%is lost', 'lease_lost', 'a result alone, of another worker');
-- What is in WHERE the trigger does not see.
select tests.refuses($$ set local role tests_rules_worker;
                        update jobs set status = 'completed' where job_id = 'held' and worker = 'mine' $$,
                     'PT409', '%is held by a worker%', 'named in WHERE only');
set local role tests_rules_worker;
select lives_ok($$ update jobs set result = '{"r": 1}', worker = 'mine' where job_id = 'held' $$, 'the own result');
select lives_ok($$ update jobs set result = '{"r": 1}', progress = '[1]', priority = 1, metadata = '{"m": 1}'
                   where job_id = 'held' $$, 'the same result, and what is no outcome, need no name');
update jobs j set status = e.status, lease_id = c.lease_id
from ends e, claims c where c.id = j.id and j.job_id = 'held ' || e.status;
reset role;
select is((select array_agg(format('%s %s', e.status, j.status) order by e.status)
           from ends e join jobs j on j.job_id = 'held ' || e.status),
          '{"cancelled cancelled","completed completed","failed failed","paused paused","pending pending"}',
          'ended and given back under the own lease');
set local role tests_rules_worker;
select lives_ok($$ update jobs set status = 'completed', worker = 'mine', result = '{"r": 2}' where job_id = 'held' $$,
                'ended under the worker''s own name');
reset role;
select is((select worker from tests.job('held')), 'mine', 'whose name stays');
select is(tests.lease('held'), :'lease', 'and the lease''s id');
-- A value that is right ends it, and is not written: nor is a wrong one where nothing ends.
select tests.run('untouched', worker => 'mine') as lease \gset
set local role tests_rules_worker;
select lives_ok($$ update jobs set worker = 'thief', lease_id = gen_random_uuid(), priority = 2
                   where job_id = 'untouched' $$, 'who ends nothing may name what they like');
reset role;
select results_eq($$ select worker, priority from tests.job('untouched') $$, $$ values ('mine', 2) $$,
                  'and it is taken back');
select is(tests.lease('untouched'), :'lease', 'the lease too');

-- A claim by a direct UPDATE without a worker, as the seed's own.
select tests.job_in('queued', 'nobody''s ' || n, 'beta') from generate_series(1, 5) n \g /dev/null
set local role tests_rules_worker;
update jobs set status = 'in_progress', started_at = '2020-01-01' where job_id like 'nobody''s %';
select lives_ok($$ update jobs set status = 'completed', result = '{"r": 1}' where job_id = 'nobody''s 1' $$,
                'ends without a name');
select lives_ok($$ update jobs set status = 'pending', worker = null, lease_id = null where job_id = 'nobody''s 2' $$,
                'is given back by nulls');
select lives_ok($$ update jobs set status = 'failed', worker = 'who' where job_id = 'nobody''s 3' $$,
                'a worker''s name says nothing there');
select lives_ok($$ update jobs set result = '[]' where job_id = 'nobody''s 4' $$, 'a result alone');
reset role;
select pg_temp.refuses_to('tests_rules_worker', 'nobody''s 4', $$status = 'completed', lease_id = gen_random_uuid()$$,
                          'PT409', '%lease%is lost', 'lease_lost', 'but another lease is another attempt');
-- One with a worker is that worker's.
set local role tests_rules_worker;
update jobs set status = 'in_progress', worker = 'named' where job_id = 'nobody''s 2';
reset role;
select pg_temp.refuses_to('tests_rules_worker', 'nobody''s 2', $$status = 'completed'$$, 'PT409', '%held by a worker%',
                          'illegal_transition', 'a direct claim with a worker');
set local role tests_rules_worker;
select lives_ok($$ update jobs set status = 'completed', worker = 'named' where job_id = 'nobody''s 2' $$,
                'is ended by that worker');
reset role;

-- A request to cancel names nothing, by a producer with the grant of that one column; the owner ends what is to end.
select tests.run('asked', worker => 'mine'), tests.run('mended', worker => 'mine') \g /dev/null
create policy all_of_it on jobs to tests_rules_producer using (true);
set local role tests_rules_producer;
select lives_ok($$ update jobs set cancel_requested_at = now() where job_id = 'asked' $$, 'a request to cancel');
select throws_ok($$ update jobs set status = 'cancelled', worker = 'mine' where job_id = 'asked' $$, '42501', null,
                 'who may not UPDATE worker names none');
select is((select (job_cancel(id, force => true)).status from jobs where job_id = 'asked'), 'cancelled',
          'job_cancel(force) ends it, on the statement path too');
reset role;
select lives_ok($$ update jobs set status = 'failed', error_message = 'by the owner' where job_id = 'mended' $$,
                'the owner need name nothing');
select tests.in_step();

--
-- What never changes
--
select tests.run('fixed', worker => 'mine') \g /dev/null
create temp table change as
select * from (values ('input_payload', '''{"forged": 1}'''), ('input_payload', 'null'), ('job_type', '''beta'''),
                      ('organisation_id', 'gen_random_uuid()'), ('created_by', 'gen_random_uuid()')) v (col, value);
select pg_temp.refuses_to(r, k, format('%I = %s', col, value), '22023',
                          format('the %s of job %% cannot be changed', col), null, format('%s of %s', col, k))
from change, (values ('tests_rules_worker', 'fixed'), ('tests_rules_worker', 'was failed'),
                     ('tests_rules_worker', 'a'), ('tests_rules_member', 'a')) v (r, k);
select tests.refuses($$ set local role tests_rules_worker; update jobs set job_type = 'nonsense' where job_id = 'a' $$,
                     '22023', 'unknown job type "nonsense"%', 'nor to an unknown type');
set local role tests_rules_worker;
select lives_ok($$ insert into jobs as j (id, job_id, job_type, organisation_id, created_by, input_payload, created_at,
                                          metadata)
                   select id, job_id, job_type, organisation_id, created_by, input_payload, '2001-01-01',
                          '{"upserted": 1}'
                   from jobs where job_id = 'a'
                   on conflict (id) do update set
                     job_type = excluded.job_type, organisation_id = excluded.organisation_id,
                     created_by = excluded.created_by, input_payload = excluded.input_payload,
                     created_at = excluded.created_at, metadata = excluded.metadata $$,
                'whole rows may be sent back');
reset role;
select results_eq($$ select metadata, created_at from tests.job('a') $$,
                  $$ values ('{"upserted": 1}'::jsonb, '2030-01-01 12:00+00'::timestamptz) $$,
                  'created_at is the server''s, as ever');
select lives_ok(format('update jobs set %I = %s where job_id = %L', col, value, 'b'), 'the owner mends ' || col)
from change;
-- A foreign key's action runs as the owner.
create table tests.users (id uuid primary key);
grant all on tests.users to tests_rules_worker;
insert into tests.users values ('dddddddd-0000-0000-0000-00000000000d');
update jobs set created_by = null where created_by is not null;
update jobs set created_by = 'dddddddd-0000-0000-0000-00000000000d' where job_id = 'a';
alter table jobs add constraint made_by foreign key (created_by) references tests.users on delete set null;
set local role tests_rules_worker;
delete from tests.users;
reset role;
select is((select created_by from tests.job('a')), null, 'ON DELETE SET NULL of created_by');
alter table jobs drop constraint made_by;
select tests.in_step();

--
-- A claim by UPDATE takes what job_claim() would take
--
select (job_enqueue('alpha', job_id => 'later', run_at => '2030-01-01 12:10+00')).id,
       (job_enqueue('gamma', job_id => 'short', run_at => '2030-01-01 12:00+00',
                    expires_at => '2030-01-01 12:05+00')).id,
       (job_enqueue('beta', job_id => 'held back', run_at => '2030-01-01 12:00+00')).id \g /dev/null
select pg_temp.refuses_to(r, 'later', $$status = 'in_progress'$$, 'PT409', 'job % is not due before 2030-01-01 12:10%',
                          'illegal_transition', 'not due')
from unnest(array['tests_rules_worker', session_user]) r;
set local datestyle = 'German';
select is(pg_temp.error_of($$ update jobs set status = 'in_progress' where job_id = 'later' $$) #>> '{detail,run_at}',
          '2030-01-01T12:10:00+00:00', 'the detail has run_at, whatever the DateStyle');
set local datestyle = 'ISO';
select pg_temp.refuses_to('tests_rules_worker', 'later', $$status = 'in_progress', run_at = '2030-01-01 11:00+00'$$,
                          'PT409', '%is not due before%', 'illegal_transition',
                          'not due, and moved in the same statement');
select job_type_set('beta', paused => true) \g /dev/null
select pg_temp.refuses_to(r, 'held back', $$status = 'in_progress'$$, 'PT409', 'jobs of type "beta" are paused: job %',
                          'illegal_transition', 'of a type that is paused')
from unnest(array['tests_rules_worker', session_user]) r;
select job_type_set('beta', paused => false), job_pause_all('as a test') \g /dev/null
select pg_temp.refuses_to(r, 'held back', $$status = 'in_progress'$$, 'PT409', 'the queue is paused: job %',
                          'illegal_transition', 'of a queue that is paused')
from unnest(array['tests_rules_worker', session_user]) r;
select job_resume_all() \g /dev/null
set local role tests_rules_worker;
select lives_ok($$ update jobs set status = 'in_progress' where job_id = 'held back' $$, 'till the pause ends');
select pg_temp.clock('2030-01-01 12:05+00');
reset role;
select pg_temp.refuses_to(r, 'short', $$status = 'in_progress'$$, 'PT409', 'job % has expired, at 2030-01-01 12:05%',
                          'illegal_transition', 'expired, and not reaped yet')
from unnest(array['tests_rules_worker', session_user]) r;
set local role tests_rules_worker;
select pg_temp.clock('2030-01-01 12:10+00');
select lives_ok($$ update jobs set status = 'in_progress', worker = 'mine' where job_id = 'later' $$, 'due by now');
-- The backoff of a failure binds as well.
update jobs set status = 'pending', error_message = 'no luck', worker = 'mine' where job_id = 'later';
reset role;
select pg_temp.refuses_to('tests_rules_worker', 'later', $$status = 'in_progress'$$, 'PT409', '%is not due before%',
                          'illegal_transition', 'within the backoff');
set local role tests_rules_worker;
update jobs set run_at = '2030-01-01 12:10+00' where job_id = 'later';
select lives_ok($$ update jobs set status = 'in_progress', worker = 'mine' where job_id = 'later' $$,
                'sooner, where its run_at was updated first');
reset role;
select tests.in_step();

--
-- pending and queued
--
select (job_enqueue('gamma', job_id => 'soon', run_at => '2032-01-01')).id,
       (job_enqueue('gamma', job_id => 'now', run_at => '2030-01-01 12:00+00')).id \g /dev/null
create temp table waits as select * from jobs where job_id in ('soon', 'now');
grant select on waits to public;
select pg_temp.clock('2030-01-01 12:11+00') \g /dev/null
select lives_ok(format('set local role %I; update jobs set status = %L where job_id in (%L, %L)', r, s, 'soon', 'now'),
                format('%s: %s', r, s))
from unnest(array['tests_rules_worker', session_user]) r, unnest('{queued,pending}'::text[]) s;
reset role;
select results_eq(
  $$ select to_jsonb(j) - 'updated_at' from jobs j where j.job_id in ('soon', 'now') order by j.id $$,
  $$ select to_jsonb(w) - 'updated_at' from waits w order by w.id $$, 'between the two words nothing moves');
set local role tests_rules_worker;
update jobs set status = 'queued', priority = 4, metadata = '{"m": 1}', started_at = '2001-01-01', retries = 9
where job_id = 'soon';
reset role;
select results_eq($$ select status::text, priority, metadata, started_at, retries, run_at from tests.job('soon') $$,
                  $$ values ('pending', 4, '{"m": 1}'::jsonb, null::timestamptz, 0,
                             '2032-01-01 00:00+00'::timestamptz) $$,
                  'and the rest of the statement counts');
select tests.in_step();

--
-- A running job is paused: given back, and held
--
select pg_temp.clock('2030-01-01 12:20+00'), tests.run('pause', worker => 'mine') as lease \gset
select tests.refuses(format('select job_pause(%L)', tests.id('pause')), 'PT409',
                     '%is in_progress and cannot become paused', 'illegal_transition',
                     'job_pause() does not pause a running job');
set local role tests_rules_worker;
update jobs set status = 'paused', worker = 'mine' where job_id = 'pause';
reset role;
select results_eq($$ select status::text, attempt, retries,
                            num_nulls(lease_id, worker, lease_expires_at, timeout_at, heartbeat_at, started_at,
                                      finished_at)
                     from tests.job('pause') $$,
                  $$ values ('paused', 1, 0, 7) $$, 'it holds no lease, and has spent no retry');
select results_eq($$ select attempt, worker, outcome, ended_at, error_message
                     from job_attempts where job = tests.id('pause') $$,
                  $$ values (1, 'mine', 'released', '2030-01-01 12:20+00'::timestamptz, null) $$,
                  'its attempt is on record as released');
select tests.in_step('it is in no queue');
select is_empty($$ select from job_claim('{alpha}', worker => 'next') c where c.job_id = 'pause' $$,
                'nobody claims it');
select tests.refuses(format('select %s', replace(replace(v.call, 'ID', tests.id('pause')::text), 'LEASE', :'lease')),
                     'PT409', 'the lease of job % is lost', 'lease_lost', 'its worker hears of it by ' || v.call)
from (values ($$job_heartbeat('ID', 'LEASE')$$), ($$job_complete('ID', 'LEASE')$$), ($$job_fail('ID', 'LEASE')$$),
             ($$job_release('ID', 'LEASE')$$), ($$job_next('ID', 'LEASE')$$)) v (call);
select is(pg_temp.error_of(format('select job_heartbeat(%L, %L)', tests.id('pause'), :'lease')) #>> '{detail,status}',
          'paused', 'and why');
select is((job_resume(tests.id('pause'))).status, 'queued', 'resumed');
select is((select attempt from job_claim('{alpha}', worker => 'next') c where c.job_id = 'pause'), 2,
          'it is claimed again');
-- Asked to stop, it has stopped: cancelled, as by a release.
select job_cancel(tests.id('pause')) \g /dev/null
set local role tests_rules_worker;
update jobs set status = 'paused', worker = 'next' where job_id = 'pause';
reset role;
select is(tests.status('pause'), 'cancelled', 'a pause of a job that is to stop');
select tests.in_step();

--
-- The seed's updateJobStatus and updateJobResult, one after the other
--
select (job_enqueue('alpha', job_id => 'seed', priority => 10, run_at => '2030-01-01 12:00+00')).id \g /dev/null
set local role tests_rules_worker;
update jobs set status = 'queued', updated_at = '1999-01-01' where job_id = 'seed';
update jobs set status = 'in_progress', updated_at = '1999-01-01', started_at = '1999-01-01' where job_id = 'seed';
select pg_temp.clock('2030-01-01 12:20:02+00') \g /dev/null
update jobs set result = '{"r": 1}', status = 'completed', completed_at = '1999-01-01', execution_time_ms = 7,
  updated_at = '1999-01-01' where job_id = 'seed';
reset role;
select results_eq($$ select status::text, result, started_at, completed_at, execution_time_ms, updated_at
                     from tests.job('seed') $$,
                  $$ values ('completed', '{"r": 1}'::jsonb, '2030-01-01 12:20+00'::timestamptz,
                             '2030-01-01 12:20:02+00'::timestamptz, 2000, '2030-01-01 12:20:02+00'::timestamptz) $$,
                  'the times are the server''s');
select pg_temp.refuses_to('tests_rules_worker', 'seed', $$result = '{"r": 2}', status = 'completed'$$, 'PT409',
                          '%is completed and keeps its result', 'illegal_transition', 'a second result is refused');

-- Verbs mean what they say, on the statement path as well: none of this is asked of them.
set local jobs_ext.force_statement_path = on;
select tests.run('by verbs', worker => 'mine') as lease \gset
select is((job_fail(tests.id('by verbs'), :'lease', 'no', run_at => '2030-01-01 12:30+00')).status, 'pending',
          'a verb names no column for us');
set local jobs_ext.force_statement_path = off;
-- So does replication, which brings what is so already.
set local session_replication_role = replica;
select lives_ok($$ update jobs set result = '{"r": 3}', job_type = 'beta', parent_job_id = id where job_id = 'seed' $$,
                'a replica');
set local session_replication_role = origin;

select tests.in_step();
select * from finish();
rollback;
