-- Triggers and rules of the user's on jobs that do something: what they do holds, the private tables follow what was
-- really written, a verb that they keep from writing is an error and not a silent success.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select plan(70);

set jobs_ext.now = '2030-01-01 12:00:00+00';

--
-- A BEFORE trigger that changes the row
--
create function tests.changes() returns trigger language plpgsql as $$
begin
  if new.status in ('pending', 'queued') then
    new.priority := 7;
    new.run_at := '2030-01-01 13:00+00';
  end if;
  new.metadata := new.metadata || '{"seen": true}';
  return new;
end $$;
-- Once before ours in the order of names, once after.
create trigger a_user before insert or update on jobs for each row execute function tests.changes();
select is(e.run_at, '2030-01-01 13:00+00', 'changed before our trigger: what was written comes back')
from job_enqueue('alpha', job_id => 'a') e;
select is(row(j.priority, j.run_at, j.metadata)::text,
          row(7, timestamptz '2030-01-01 13:00+00', '{"seen": true}'::jsonb)::text,
          'changed before our trigger: it holds')
from tests.job('a') j;
select tests.in_step('changed before our trigger: the queue has what was written');
drop trigger a_user on jobs;
delete from jobs;

create trigger z_user before insert or update on jobs for each row execute function tests.changes();
select is(e.run_at, '2030-01-01 13:00+00', 'changed after our trigger: what was written comes back')
from job_enqueue('alpha', job_id => 'z') e;
select is(row(j.priority, j.run_at, j.metadata)::text,
          row(7, timestamptz '2030-01-01 13:00+00', '{"seen": true}'::jsonb)::text,
          'changed after our trigger: it holds')
from tests.job('z') j;
select tests.in_step('changed after our trigger: the queue has what was written');
select is(e.created, false, 'the same key again is the same job') from job_enqueue('alpha', job_id => 'z') e;
set jobs_ext.now = '2030-01-01 13:00:00+00';
select is(c.metadata, '{"seen": true}', 'a claim gives what was written') from job_claim() c;
set jobs_ext.now = '2030-01-01 12:00:00+00';
select is(f.run_at, '2030-01-01 13:00+00', 'a retry is where the trigger put it')
from job_fail(tests.id('z'), tests.lease('z')) f;
select tests.in_step('and so is the queue');
drop trigger z_user on jobs;
delete from jobs;

-- One that gives the new job a key that is taken: neither the key that was asked for nor another one can be had.
create function tests.lowers()
returns trigger language plpgsql as $$ begin new.job_id := lower(new.job_id); return new; end $$;
create trigger z_user before insert on jobs for each row execute function tests.lowers();
select is(e.job_id || ' ' || e.created, 'abc true', 'a trigger that changes the key')
from job_enqueue('alpha', job_id => 'ABC') e;
select tests.refuses($$ select job_enqueue('alpha', job_id => 'Abc') $$,
                     '23505', '%jobs_job_id%', 'into one that is taken: says so');
select tests.refuses($$ select job_enqueue_many('[{"job_type": "alpha", "job_id": "Abc"}]') $$,
                     '23505', '%jobs_job_id%', 'also of many');
drop trigger z_user on jobs;
delete from jobs;

--
-- One that keeps the row from being written
--
create function tests.swallows() returns trigger language plpgsql as $$ begin return null; end $$;
select tests.run('running') as lease \gset
select tests.id('running') as id \gset
select job_enqueue('alpha', job_id => 'waiting') \g /dev/null
create trigger z_user before insert or update or delete on jobs for each row execute function tests.swallows();
select tests.refuses(call.text, '09000', '%trigger or rule on jobs%', call.text)
from (values
  ('select job_enqueue(''alpha'')'),
  ('select job_enqueue(''alpha'', job_id => ''k'')'),
  ('select job_enqueue_many(''[{"job_type": "alpha"}]'')'),
  (format('select job_complete(%L, %L)', :'id', :'lease')),
  (format('select job_fail(%L, %L)', :'id', :'lease')),
  (format('select job_heartbeat(%L, %L, lease => ''1 h'')', :'id', :'lease')),
  ('select job_cancel(job_id => ''waiting'')'),
  ('select job_pause(job_id => ''waiting'')'),
  (format('select job_finish_many(''[{"id": "%s", "lease_id": "%s", "complete": 1}]'')', :'id', :'lease'))
) as call (text);
-- A claim passes over what it cannot have.
select is((select count(*) from job_claim()), 0::bigint, 'a claim gets nothing');
select is(tests.status('waiting'), 'queued', 'and claims nothing');
drop trigger z_user on jobs;
select is((job_complete(:'id', :'lease')).status, 'completed', 'without the trigger all goes on');
select is((select c.job_id::text from job_claim() c), 'waiting', 'the job that a claim passed over is not lost');
select tests.in_step('the queue is right');
delete from jobs;

select id as id from job_enqueue('alpha') \gset
create rule nothing as on update to jobs do instead nothing;
select tests.refuses(format('select job_cancel(%L)', :'id'),
                     '09000', '%trigger or rule on jobs%', 'a rule that does nothing instead');
drop rule nothing on jobs;
delete from jobs;

--
-- One that raises an error
--
create function tests.raises() returns trigger language plpgsql as $$
begin
  if new.status = 'completed' then
    raise exception 'not today' using errcode = 'TEST7';
  end if;
  return new;
end $$;
select tests.run('running'), tests.run('running too') \g /dev/null
create trigger z_user after update on jobs for each row execute function tests.raises();
select tests.refuses(format('select job_complete(%L, %L)', tests.id('running'), tests.lease('running')),
                     'TEST7', 'not today', 'an error of a trigger''s is the verb''s');
select is((job_fail(tests.id('running'), tests.lease('running'))).status,
          'pending', 'the next call on the same job is as meant');
-- In a savepoint of a function: what the failed call meant to write must not be taken for a later one's.
create function tests.tries(key text) returns text language plpgsql as $$
begin
  perform job_complete(tests.id(key), tests.lease(key), '{"r": 1}');
  return 'completed';
exception when sqlstate 'TEST7' then
  update jobs set metadata = '{"by": "hand"}' where job_id = key;
  return tests.status(key);
end $$;
select is(tests.tries('running too'),
          'in_progress', 'an SQL update after a verb that failed writes what it says, no more');
select is(row(j.metadata, j.result)::text, row('{"by": "hand"}'::jsonb, null)::text, 'and that alone')
from tests.job('running too') j;
select tests.in_step('the queue is right');
drop trigger z_user on jobs;
delete from jobs;

--
-- One that calls a verb: what follows when a job ends
--
create function tests.follows() returns trigger language plpgsql as $$
begin
  if new.status = 'completed' and old.status = 'in_progress' and new.job_type = 'alpha' then
    perform job_enqueue('beta', job_id => new.job_id || ', then beta', parent_job_id => new.id);
  end if;
  return null;
end $$;
select tests.run('first') as lease \gset
create trigger a_user after update on jobs for each row execute function tests.follows();
select is((job_complete(tests.id('first'), :'lease', '{"r": 1}')).status,
          'completed', 'a trigger that enqueues: the job is completed');
select is(row(j.status, j.result)::text, row('completed', '{"r": 1}'::jsonb)::text, 'as meant')
from tests.job('first') j;
select is(row(j.job_type, j.status, j.parent_job_id)::text,
          row('beta', 'queued', tests.id('first'))::text, 'and the next one waits')
from tests.job('first, then beta') j;
select tests.in_step('the queue has it');
drop trigger a_user on jobs;
create trigger z_user after update on jobs for each row execute function tests.follows();
select is((job_complete(tests.id('second'), lease)).status, 'completed', 'the same from a trigger after ours')
from tests.run('second') lease;
select is(tests.status('second, then beta'), 'queued', 'the next one waits');
select is((select string_agg(f.status, ' ')
           from tests.run('third') a,
                tests.run('fourth') b,
                job_finish_many(jsonb_build_array(jsonb_build_object('id', tests.id('fourth'), 'lease_id', b,
                                                                     'complete', null),
                                                  jsonb_build_object('id', tests.id('third'), 'lease_id', a,
                                                                     'complete', null))) f),
          'completed completed', 'the same in job_finish_many');
select is((select count(*) from jobs where job_id like '%, then beta'), 4::bigint, 'each has its next one');
select tests.in_step('the queue has them');
drop trigger z_user on jobs;
delete from jobs;

-- One that ends another job: a parent that fails takes its children along.
create function tests.takes_along() returns trigger language plpgsql as $$
begin
  if new.status = 'failed' and old.status <> 'failed' then
    perform job_cancel(j.id, reason => 'the parent failed', force => true)
    from public.jobs j where j.parent_job_id = new.id;
  end if;
  return null;
end $$;
create trigger z_user after update on jobs for each row execute function tests.takes_along();
select tests.run('parent') as lease \gset
select job_enqueue('beta', job_id => 'child ' || i, parent_job_id => tests.id('parent'))
from generate_series(1, 3) i \g /dev/null
select count(*) from job_claim('{beta}') \g /dev/null
select is((job_fail(tests.id('parent'), :'lease', 'broken', permanent => true)).status,
          'failed', 'a trigger that cancels others: the job has failed');
select is((select string_agg(j.status || ' ' || j.error_message, ', ' order by j.job_id)
           from jobs j where j.job_id like 'child%'),
          'cancelled the parent failed, cancelled the parent failed, cancelled the parent failed',
          'the others are cancelled');
select is((select count(*) from job_attempts a join jobs j on j.id = a.job),
          2::bigint, 'the attempts of both that ran are noted');
select tests.in_step('the queue is right');
drop trigger z_user on jobs;
delete from jobs;

-- One that works on the very job that is written.
create function tests.at_once() returns trigger language plpgsql as $$
begin
  if new.status = 'in_progress' and old.status <> 'in_progress' then
    perform job_complete(new.id, new.lease_id, '{"by": "trigger"}');
  end if;
  return null;
end $$;
create trigger z_user after update on jobs for each row execute function tests.at_once();
select job_enqueue('alpha', job_id => 'at once 1', priority => 1), job_enqueue('alpha', job_id => 'at once 2')
\g /dev/null
select lives_ok('select job_claim(max_jobs => 5)', 'a trigger that completes what is claimed');
select is(tests.status('at once 1') || ' ' || tests.status('at once 2'), 'completed completed', 'both are completed');
select tests.in_step('the queue is empty of them');
drop trigger z_user on jobs;
delete from jobs;

create function tests.deletes() returns trigger language plpgsql as $$
begin
  if new.status = 'completed' then
    delete from public.jobs where id = new.id;
  end if;
  return null;
end $$;
create trigger a_user after update on jobs for each row execute function tests.deletes();
select is((job_complete(tests.id('gone'), lease)).status,
          'completed', 'a trigger that deletes what is completed, before ours')
from tests.run('gone') lease;
select is((select count(*) from jobs), 0::bigint, 'it is gone');
select tests.in_step('nothing of it is left in the queue');
drop trigger a_user on jobs;
create trigger z_user after update on jobs for each row execute function tests.deletes();
select is((job_complete(tests.id('gone'), lease)).status,
          'completed', 'a trigger that deletes what is completed, after ours')
from tests.run('gone') lease;
select is((select count(*) from jobs) + (select count(*) from jobs_ext.queue), 0::bigint, 'it is gone');
drop trigger z_user on jobs;

-- One that updates the very job again: a note of each change.
create function tests.notes() returns trigger language plpgsql as $$
begin
  if pg_trigger_depth() = 1 then
    update public.jobs set metadata = metadata || jsonb_build_object(new.status, true),
      priority = least(priority + 1, 10)
    where id = new.id;
  end if;
  return null;
end $$;
create trigger a_user after insert or update on jobs for each row execute function tests.notes();
select job_enqueue('alpha', job_id => 'noted') \g /dev/null
select tests.in_step('a trigger that updates the job again, before ours: the queue has the last version');
select lives_ok($$ select job_fail(c.id, c.lease_id, 'x', '2030-01-01 12:00+00') from job_claim() c $$,
                'such a trigger lets a job run and fail');
select is(row(j.status, j.attempt, j.metadata, j.priority)::text,
          row('pending', 1, '{"queued": true, "in_progress": true, "pending": true}'::jsonb, 3)::text,
          'each change is noted')
from tests.job('noted') j;
select tests.in_step('the queue still has the last version');
drop trigger a_user on jobs;
create trigger z_user after insert or update on jobs for each row execute function tests.notes();
select lives_ok($$ select job_complete(c.id, c.lease_id) from job_claim() c $$,
                'a trigger that updates the job again, after ours');
select is(row(j.status, j.metadata ? 'completed')::text, '(completed,t)', 'each change is noted')
from tests.job('noted') j;
select tests.in_step('the queue is right');
drop trigger z_user on jobs;

-- One that updates the same row, before ours, in a block that fails: what that statement did is undone, also what our
-- triggers took it for. The verb's own write is still the verb's.
create function tests.fails_inside() returns trigger language plpgsql as $$
begin
  if pg_trigger_depth() = 1 then
    begin
      update public.jobs set metadata = '{"inside": true}' where id = new.id;
      raise division_by_zero;
    exception
      when division_by_zero then null;
    end;
  end if;
  return new;
end $$;
create trigger a_user before update on jobs for each row execute function tests.fails_inside();
create role tests_failing_worker;
select jobs_ext.grant_role('tests_failing_worker', 'worker') \g /dev/null
grant usage on schema tests to tests_failing_worker;
grant execute on all functions in schema tests to tests_failing_worker;
select job_enqueue('alpha', job_id => 'inside') \g /dev/null
set role tests_failing_worker;
select c.lease_id as inside from job_claim(worker => 'w') c \gset
select is(h.lease_expires_at, '2030-01-01 14:00+00', 'an update inside that fails: a heartbeat holds all the same')
from job_heartbeat(tests.id('inside'), :'inside', lease => '2 hours') h;
select is(f.status || ' ' || f.retries, 'pending 1', 'a failure is one')
from job_fail(tests.id('inside'), :'inside', 'x') f;
reset role;
select is(row(j.metadata, j.error_message)::text, row('{}'::jsonb, 'x'::text)::text, 'and nothing of the update stays')
from tests.job('inside') j;
select is(a.outcome || ' ' || a.worker, 'failed w', 'the attempt is on record')
from job_attempts a where a.job = tests.id('inside');
drop trigger a_user on jobs;

-- Rules on INSERT or UPDATE: ON CONFLICT does not go with them, so a key is refused; all else works.
create table tests.audit (job uuid, status text);
create rule audit as on update to jobs
  where new.status <> old.status do also insert into tests.audit values (new.id, new.status);
delete from jobs;
select lives_ok('select job_enqueue(''alpha'')', 'a rule on UPDATE: a job without a key');
select tests.refuses('select job_enqueue(''alpha'', job_id => ''keyed'')',
                     '0A000', '%ON CONFLICT%rules', 'a rule on UPDATE: a job with a key');
select lives_ok('select job_complete(id, lease_id) from job_claim()', 'a rule on UPDATE: its life');
select isnt_empty('table tests.audit', 'a rule on UPDATE: it took effect');
select tests.in_step('the queue is right');

select * from finish();
