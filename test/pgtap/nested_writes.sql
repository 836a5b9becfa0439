-- Triggers of the user's that write to the job that a verb is just writing: again after it, in a block that fails, by a
-- verb, or not at all. The verb's write is the verb's, the trigger's is the trigger's, and each attempt is on record as
-- it ended.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/jobs.sql
select plan(41);

create function tests.attempts(job_id text) returns text language sql as $$
  select string_agg(row(a.attempt, a.worker, a.started_at is not null, a.outcome, a.error_message)::text, ' '
                    order by a.attempt)
  from job_attempts a where a.job = tests.id($1)
$$;
-- Before our AFTER trigger in the order of names, and after it.
create function tests.on_update(trigger text, body text) returns void language plpgsql as $$
begin
  execute format('create or replace function tests.user_trigger() returns trigger language plpgsql as %L',
                 'begin if pg_trigger_depth() = 1 then ' || body || ' end if; return null; end');
  execute format('create trigger %I after update on jobs for each row execute function tests.user_trigger()', trigger);
end $$;

-- In a block that fails.
select $$
  begin update jobs set metadata = '{"x": 1}' where id = new.id; raise exception 'no';
  exception when raise_exception then null; end;
$$ as tries \gset
select tests.run('z-fails') \g /dev/null
select tests.on_update('z_user', :'tries') \g /dev/null
select lives_ok(format('select job_fail(%L, %L, ''oops'')', tests.id('z-fails'), tests.lease('z-fails')),
                'an update that is undone, after ours: the failure is written');
select lives_ok(format('select job_cancel(%L)', tests.id('z-fails')), 'and a cancel');
select is(tests.attempts('z-fails'), '(1,w1,t,failed,oops)', 'its attempt is on record');
drop trigger z_user on jobs;
select tests.run('a-fails') \g /dev/null
select tests.on_update('a_user', :'tries') \g /dev/null
select lives_ok(format('select job_fail(%L, %L, ''oops'')', tests.id('a-fails'), tests.lease('a-fails')),
                'an update that is undone, before ours: the failure is written');
select is(tests.attempts('a-fails'), '(1,w1,t,failed,oops)', 'its attempt is on record');
select tests.in_step('the queue is right');
drop trigger a_user on jobs;

-- Once more.
select $$
  update jobs set priority = 5 where id = new.id;
$$ as again \gset
select tests.run('a-again') \g /dev/null
select tests.on_update('a_user', :'again') \g /dev/null
select is(f.status, 'pending', 'an update that stays, before ours')
from job_fail(tests.id('a-again'), tests.lease('a-again'), 'oops') f;
select is(tests.attempts('a-again'), '(1,w1,t,failed,oops)', 'the attempt has its worker and its beginning');
select job_enqueue('beta', job_id => 'a-claimed') \g /dev/null
select is(c.priority, 5, 'a claim gives what is there') from job_claim('{beta}') c;
drop trigger a_user on jobs;
select tests.run('z-again') \g /dev/null
select tests.on_update('z_user', :'again') \g /dev/null
select is(f.status, 'pending', 'an update that stays, after ours')
from job_fail(tests.id('z-again'), tests.lease('z-again'), 'oops') f;
select is(tests.attempts('z-again'), '(1,w1,t,failed,oops)', 'the attempt has its worker and its beginning');
select job_enqueue('beta', job_id => 'z-claimed') \g /dev/null
select is(c.priority, 5, 'a claim gives what is there') from job_claim('{beta}') c;
select tests.in_step('the queue is right');
drop trigger z_user on jobs;

-- The same of a new job.
create function tests.delays() returns trigger language plpgsql as $$
begin
  update public.jobs set run_at = '2030-01-02 12:00+00' where id = new.id;
  return null;
end $$;
create trigger a_user after insert on jobs for each row execute function tests.delays();
select is(e.run_at, '2030-01-02 12:00+00', 'an update of a new job, before ours: the answer has it')
from job_enqueue('beta', job_id => 'a-new') e;
drop trigger a_user on jobs;
create trigger z_user after insert on jobs for each row execute function tests.delays();
select is(e.run_at, '2030-01-02 12:00+00', 'an update of a new job, after ours: the answer has it')
from job_enqueue('beta', job_id => 'z-new') e;
select is(e.run_at, '2030-01-02 12:00+00', 'and that of many')
from job_enqueue_many('[{"job_type": "beta", "job_id": "new-many"}]') e;
select tests.in_step('the queue is right');
drop trigger z_user on jobs;

-- One that ends what was just claimed.
select $$
  
  if new.status = 'in_progress' then update jobs set status = 'failed', error_message = 'refused' where id = new.id;
  end if;
$$ as ends \gset
select tests.on_update('z_user', :'ends') \g /dev/null
select job_enqueue('beta', job_id => 'z-refused') \g /dev/null
select is(c.status, 'failed', 'what a trigger ended at once, after ours: the claim says so')
from job_claim('{beta}', worker => 'w1') c;
select is(tests.attempts('z-refused'), '(1,w1,t,failed,refused)', 'its attempt is on record');
drop trigger z_user on jobs;
select tests.on_update('a_user', :'ends') \g /dev/null
select job_enqueue('beta', job_id => 'a-refused') \g /dev/null
select is(c.status, 'failed', 'what a trigger ended at once, before ours: the claim says so')
from job_claim('{beta}', worker => 'w1') c;
select is(tests.attempts('a-refused'), '(1,w1,t,failed,refused)', 'its attempt is on record');
select tests.in_step('the queue is right');
drop trigger a_user on jobs;

-- One that takes what was just given back, and fails.
select $$
  update jobs set status = 'in_progress', worker = 'sql' where id = new.id;
  update jobs set status = 'failed', error_message = 'second' where id = new.id;
$$ as takes \gset
select tests.run('a-taken') \g /dev/null
select tests.on_update('a_user', :'takes') \g /dev/null
select is(f.status, 'failed', 'what a trigger takes and fails, before ours: the release says so')
from job_release(tests.id('a-taken'), tests.lease('a-taken')) f;
select is(tests.attempts('a-taken'), '(1,w1,t,released,) (2,sql,t,failed,second)', 'each attempt ended in its own way');
drop trigger a_user on jobs;
select tests.run('z-taken') \g /dev/null
select tests.on_update('z_user', :'takes') \g /dev/null
select is(f.status, 'failed', 'what a trigger takes and fails, after ours: the release says so')
from job_release(tests.id('z-taken'), tests.lease('z-taken')) f;
select is(tests.attempts('z-taken'), '(1,w1,t,released,) (2,sql,t,failed,second)', 'each attempt ended in its own way');
select tests.in_step('the queue is right');
drop trigger z_user on jobs;

-- A verb inside of a verb.
select $$
  if old.status = 'in_progress' and new.status = 'pending' then perform job_cancel(new.id); end if;
$$ as cancels \gset
select tests.run('a-cancelled') \g /dev/null
select tests.on_update('a_user', :'cancels') \g /dev/null
select is(f.status, 'cancelled', 'a cancel in a trigger, before ours')
from job_fail(tests.id('a-cancelled'), tests.lease('a-cancelled'), 'oops') f;
select is(tests.attempts('a-cancelled'), '(1,w1,t,failed,oops)', 'the attempt failed');
drop trigger a_user on jobs;
select tests.run('z-cancelled') \g /dev/null
select tests.on_update('z_user', :'cancels') \g /dev/null
select is(f.status, 'cancelled', 'a cancel in a trigger, after ours')
from job_fail(tests.id('z-cancelled'), tests.lease('z-cancelled'), 'oops') f;
select is(tests.attempts('z-cancelled'), '(1,w1,t,failed,oops)', 'the attempt failed');
select tests.in_step('the queue is right');
drop trigger z_user on jobs;

-- One that keeps the job running.
create function tests.keeps() returns trigger language plpgsql as $$
begin
  return case when old.status = 'in_progress' and new.status = 'pending' then old else new end;
end $$;
select tests.run('kept') \g /dev/null
create trigger z_user before update on jobs for each row execute function tests.keeps();
select is(f.status, 'in_progress', 'a failure that a trigger turns down: the job runs on')
from job_fail(tests.id('kept'), tests.lease('kept'), 'oops') f;
select is(tests.attempts('kept'), null, 'an attempt that goes on has not ended');
drop trigger z_user on jobs;
select is(f.status, 'pending', 'a failure afterwards') from job_fail(tests.id('kept'), tests.lease('kept'), 'later') f;
select is(tests.attempts('kept'), '(1,w1,t,failed,later)', 'ends it');

-- What else the statement path meets.
select tests.id('kept') as kept \gset
update jobs set attempt = 0 where job_id = 'kept';
delete from jobs where job_id = 'kept';
select is(count(*), 0::bigint, 'a DELETE takes all attempts, also where the owner set back their number')
from job_attempts where job = :'kept';
select tests.run('replica') \g /dev/null
set session_replication_role = replica;
set jobs_ext.force_statement_path = on;
select lives_ok(format('select job_fail(%L, %L, ''oops'')', tests.id('replica'), tests.lease('replica')),
                'a verb by statement where triggers fire as for a replica');
select lives_ok('select job_enqueue(''alpha'', job_id => ''replicated'')', 'and a new job');
reset jobs_ext.force_statement_path;
reset session_replication_role;
select is(tests.attempts('replica'), '(1,w1,t,failed,oops)', 'the attempt is on record');
select tests.in_step('the queue is right');

select * from finish();
