-- job_await_children, job_children: a job waits without a worker until its children have ended, however they end, and
-- finds what came of them. Both paths.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select no_plan();

set timezone = 'UTC';
set jobs_ext.now = '2030-01-01 12:00:00+00';
create function tests.maintain() returns text language sql as $$
  select coalesce(string_agg(format('%s %s', c.key, c.value), ', ' order by c.key), '')
  from jsonb_each_text(job_maintain()) c where c.value not in ('0', 'false')
$$;
-- Makes children of a job, under the keys "<parent> 1", ….
create function tests.children(parent text, count int) returns void language sql as $$
  select job_enqueue('beta', job_id => parent || ' ' || i, parent_job_id => tests.id(parent))
  from generate_series(1, count) i
$$;
create function tests.await(key text) returns text language sql as $$
  select status from job_await_children(tests.id(key), tests.lease(key))
$$;
-- Brings a child to its end.
create function tests.end(key text, as_what text) returns void language plpgsql as $$
declare
  j public.jobs;
begin
  if as_what in ('completed', 'failed') then
    update public.jobs set priority = 10 where job_id = key;
    select c.id, c.lease_id into j.id, j.lease_id from public.job_claim('{beta}') c where c.job_id = key;
  end if;
  case as_what
    when 'completed' then perform public.job_complete(j.id, j.lease_id, to_jsonb(key));
    when 'failed' then perform public.job_fail(j.id, j.lease_id, 'no luck', permanent => true);
    when 'cancelled' then perform public.job_cancel(job_id => key);
    when 'deleted' then delete from public.jobs where job_id = key;
    when 'orphaned' then update public.jobs set parent_job_id = null where job_id = key;
    when 'adopted' then update public.jobs set parent_job_id = gen_random_uuid() where job_id = key;
  end case;
end $$;

--
-- One job, on either path
--
create procedure tests.life(path text) language plpgsql as $$
declare
  p constant text := path || ' parent';
  a record;
  before text;
  lease uuid;
begin
  perform tests.run(p);
  perform job_heartbeat(tests.id(p), tests.lease(p), '{"half": true}');
  perform tests.children(p, 3);
  lease := tests.lease(p);
  select * into a from job_await_children(tests.id(p), lease);
  insert into told values
    (path, 'the answer', row(a.job_id, a.status, a.attempt, a.retries, a.lease_id = lease, a.lease_expires_at,
                             a.finished_at)::text, row(p, 'blocked', 1, 0, true, null, null)::text);
  select j.* into a from jobs j where j.job_id = p;
  insert into told values
    (path, 'it has no worker, no lease, and what it had said', row(a.worker, a.lease_expires_at, a.timeout_at,
     a.started_at, a.progress)::text, row(null, null, null, null, '{"half": true}'::jsonb)::text);
  before := tests.everything();
  select * into a from job_await_children(tests.id(p), lease);
  insert into told values (path, 'the same call again', a.status, 'blocked'),
                          (path, '… changes nothing', tests.everything(), before);
  insert into told values
    (path, 'the attempt is on record',
     (select string_agg(t.attempt || ' ' || t.outcome, ',') from job_attempts t where t.job = tests.id(p)),
     '1 blocked'),
    (path, 'nobody claims it', (select count(*) from job_claim('{alpha}', 100))::text, '0'),
    (path, 'nothing is to be done', tests.maintain(), '');
  perform tests.end(p || ' 1', 'completed'), tests.end(p || ' 2', 'failed');
  insert into told values
    (path, 'with one child left', tests.maintain() || tests.status(p), 'blocked');
  perform set_config('jobs_ext.now', '2030-01-01 12:30:00+00', false);
  perform tests.end(p || ' 3', 'cancelled');
  insert into told values
    (path, 'after the last one', tests.maintain(), 'unblocked 1');
  insert into told values -- under a snapshot that shows what maintenance did
    (path, 'it is queued', (select row(status, run_at, retries, attempt, started_at, finished_at)::text
                            from jobs where job_id = p),
     row('queued', timestamptz '2030-01-01 12:30+00', 0, 1, null, null)::text),
    (path, 'the same call once more', (job_await_children(tests.id(p), lease)).status, 'queued'),
    (path, 'to be claimed, for one more attempt',
     (select row(c.job_id, c.attempt, c.retries, c.progress, c.lease_id <> lease)::text
      from job_claim('{alpha}') c),
     row(p, 2, 0, '{"half": true}'::jsonb, true)::text),
    (path, 'with what came of its children, in their order',
     (select string_agg(concat_ws(' ', c.status, c.result, c.error_message), ', ') from job_children(tests.id(p)) c),
     format('completed "%s 1", failed no luck, cancelled', p)),
    (path, 'and ends as any job', (job_complete(tests.id(p), tests.lease(p))).status, 'completed');
end $$;
create temp table told (path text, what text, got text, wanted text);
call tests.life('direct');
set jobs_ext.force_statement_path = on;
call tests.life('by statement');
reset jobs_ext.force_statement_path;
select is(count(*), 28::bigint, 'both lives were lived') from told;
select is(got, wanted, path || ': ' || what) from told;
select tests.in_step('and the private tables follow');

--
-- However the last child leaves, on either path
--
select tests.run('p ' || way || path) is not null, tests.children('p ' || way || path, 2),
       tests.await('p ' || way || path)
from unnest('{completed,failed,cancelled,deleted,orphaned,adopted}'::text[]) way,
     unnest('{"", ", by SQL"}'::text[]) path
\g /dev/null
select tests.end('p ' || way || ' ' || n, way)
from unnest('{completed,failed,cancelled,deleted,orphaned,adopted}'::text[]) way, generate_series(1, 2) n
\g /dev/null
select is(tests.maintain(), 'unblocked 6', 'those whose children have left go on');
set jobs_ext.force_statement_path = on;
select tests.end('p ' || way || ', by SQL ' || n, way)
from unnest('{completed,failed,cancelled,deleted,orphaned,adopted}'::text[]) way, generate_series(1, 2) n
\g /dev/null
select is(tests.maintain(), 'unblocked 6', 'and by SQL');
reset jobs_ext.force_statement_path;
select is(tests.status('p ' || way || path), 'queued', 'the last child is ' || way || path)
from unnest('{completed,failed,cancelled,deleted,orphaned,adopted}'::text[]) way,
     unnest('{"", ", by SQL"}'::text[]) path;

-- Reaped, expired, removed and archived: by time.
truncate jobs, job_attempts;
select tests.run('p time'), tests.children('p time', 2) \g /dev/null
select job_enqueue('gamma', job_id => 'expires', parent_job_id => tests.id('p time'),
                   expires_at => '2030-01-01 12:30:30+00')
\g /dev/null
update jobs set max_retries = 0 where job_id like 'p time %';
select tests.await('p time') \g /dev/null
select job_claim('{beta}', 2, lease => '10 s') \g /dev/null
set jobs_ext.now = '2030-01-01 12:31:00+00';
select is(tests.maintain(), 'expired 1, failed 2, leases_reaped 2, unblocked 1',
          'one round reaps and expires the children, and then queues their parent');
select tests.run('p archive'), tests.children('p archive', 2) \g /dev/null
select tests.await('p archive') \g /dev/null
select tests.end('p archive 1', 'completed'), tests.end('p archive 2', 'failed') \g /dev/null
set jobs_ext.now = '2030-06-01 12:00:00+00';
select alike(tests.maintain(), 'archived %, unblocked 1', 'archived children have ended');
select is((select count(*) from jobs where parent_job_id = tests.id('p archive')), 0::bigint,
          'they are gone from jobs');
select is((select string_agg(c.job_id || ' ' || c.status || coalesce(' ' || c.error_message, ''), ', ')
           from job_children(tests.id('p archive')) c),
          'p archive 1 completed, p archive 2 failed no luck', 'job_children has them all the same');
select tests.run('p half') \g /dev/null
select tests.children('p half', 1) \g /dev/null
select tests.end('p half 1', 'completed') \g /dev/null
set jobs_ext.now = '2030-09-01 12:00:00+00';
select tests.maintain() \g /dev/null
select tests.children('p half', 2) \g /dev/null
select is((select string_agg(c.job_id || ' ' || c.status, ', ') from job_children(tests.id('p half')) c),
          'p half 1 completed, p half 1 queued, p half 2 queued', 'and those in jobs beside those in the archive');
truncate jobs, job_attempts, jobs_archive;

--
-- What it waits for
--
set jobs_ext.now = '2031-01-01 12:00:00+00';
select tests.run('none') \g /dev/null
select is(tests.await('none'), 'queued', 'without a child it is queued at once');
select is((select row(run_at, attempt)::text from jobs where job_id = 'none'),
          row(timestamptz '2031-01-01 12:00+00', 1)::text, 'due now');
select is((select string_agg(outcome, ',') from job_attempts where job = tests.id('none')), 'blocked',
          'the attempt is on record');
select is(tests.await('none'), 'queued', 'the same call again');
select job_cancel(job_id => 'none') \g /dev/null

select tests.run('one') \g /dev/null
select tests.children('one', 1), tests.end('one 1', 'completed') \g /dev/null
select is(tests.await('one'), 'queued', 'nor where all have ended already');
select job_cancel(job_id => 'one') \g /dev/null

-- In one transaction with the child.
begin;
select tests.run('both') \g /dev/null
select tests.children('both', 1) \g /dev/null
select is(tests.await('both'), 'blocked', 'a child of the same transaction is waited for');
savepoint s;
select tests.end('both 1', 'cancelled') \g /dev/null
select is(tests.maintain(), 'unblocked 1', 'its end counts');
rollback to s;
select is(tests.maintain(), '', 'and does not when it is undone');
select is(tests.status('both'), 'blocked', '… so that the parent waits on');
commit;
select tests.end('both 1', 'cancelled'), job_cancel(job_id => 'both') \g /dev/null

-- Grandchildren.
select tests.run('top') \g /dev/null
select tests.children('top', 1) \g /dev/null
select tests.children('top 1', 1) \g /dev/null
select tests.await('top') \g /dev/null
select tests.end('top 1', 'completed') \g /dev/null
select is(tests.maintain(), 'unblocked 1', 'grandchildren do not count');
select is((select string_agg(c.job_id, ', ') from job_children(tests.id('top')) c), 'top 1', 'nor are they shown');
select job_cancel(job_id => 'top') \g /dev/null

-- A child that is added, one that is tried again, one that waits for a retry.
select tests.run('grows') \g /dev/null
select tests.children('grows', 1) \g /dev/null
select tests.await('grows') \g /dev/null
select job_enqueue('beta', job_id => 'later', parent_job_id => tests.id('grows')) \g /dev/null
insert into jobs (job_id, job_type, parent_job_id) values ('by SQL', 'beta', tests.id('grows'));
select tests.end('grows 1', 'failed') \g /dev/null
select is(tests.maintain(), '', 'a child that was added meanwhile is waited for');
select tests.end('later', 'completed') \g /dev/null
select is(tests.maintain(), '', '… by SQL too');
select tests.end('by SQL', 'cancelled') \g /dev/null
select job_retry(job_id => 'grows 1') \g /dev/null
select is(tests.maintain(), '', 'so is a failed child that is tried again, if that was before it was queued');
update jobs set priority = 10, max_retries = 1 where job_id = 'grows 1';
select (job_fail(c.id, c.lease_id, run_at => '2031-01-01 13:00+00')).status from job_claim('{beta}') c \g /dev/null
select is(tests.maintain(), '', 'one that waits for a retry has not ended');
select tests.end('grows 1', 'cancelled') \g /dev/null
select is(tests.maintain(), 'unblocked 1', 'then it goes on');
select job_retry(job_id => 'grows 1') \g /dev/null
select is(tests.maintain() || tests.status('grows'), 'queued', 'a child that is brought back later does not stop it');
select tests.end('grows 1', 'cancelled'), job_cancel(job_id => 'grows') \g /dev/null

-- Nested.
truncate jobs, job_attempts;
select tests.run('outer') \g /dev/null
select tests.children('outer', 1) \g /dev/null
select tests.await('outer') \g /dev/null
select job_claim('{beta}') \g /dev/null
select tests.children('outer 1', 1) \g /dev/null
select is(tests.await('outer 1'), 'blocked', 'a child may wait for its own children');
select is(tests.maintain(), '', '… and has not ended while it does');
select tests.end('outer 1 1', 'cancelled') \g /dev/null
select is(tests.maintain(), 'unblocked 1', 'the inner one goes on');
select job_complete(c.id, c.lease_id) from job_claim('{beta}') c \g /dev/null
select is(tests.maintain(), 'unblocked 1', 'then the outer one');
truncate jobs, job_attempts;

--
-- What else can be done with it
--
select tests.run('b') \g /dev/null
select tests.children('b', 1) \g /dev/null
select tests.lease('b') as lease \gset
select tests.await('b') \g /dev/null
select tests.refuses($$select job_pause(job_id => 'b')$$, 'PT409', '%is blocked and cannot become paused',
                     'illegal_transition', 'it is not paused');
select tests.refuses($$select job_resume(job_id => 'b')$$, 'PT409', '%is blocked and cannot become queued',
                     'illegal_transition', 'nor resumed');
select tests.refuses($$select job_retry(job_id => 'b')$$, 'PT409', '%is blocked and cannot become queued',
                     'illegal_transition', 'nor tried again');
create function pg_temp.hint(call text) returns text language plpgsql as $$
declare hint text;
begin
  execute call;
  return 'no error';
exception when others then
  get stacked diagnostics hint = pg_exception_hint;
  return hint;
end $$;
select alike(pg_temp.hint(call), '%waits for its children%job_cancel%', call)
from unnest(array[$$select job_pause(job_id => 'b')$$, $$select job_resume(job_id => 'b')$$,
                  $$select job_retry(job_id => 'b')$$,
                  $$update jobs set status = 'queued' where job_id = 'b'$$]) call;
select alike(pg_temp.hint($$update jobs set status = 'blocked' where job_id = 'b 1'$$), '%job_await_children%',
             'no UPDATE blocks a job, and the hint says what does');
select tests.refuses(format('select %s(%L, %L)', f, tests.id('b'), :'lease'), 'PT409', 'the lease of job % is lost',
                     'lease_lost', f || ' under the old lease')
from unnest('{job_complete,job_fail,job_release,job_heartbeat}'::text[]) f;
select is((select count(*) from jobs_active where status = 'blocked'), 1::bigint, 'jobs_active shows it');
select is((select string_agg(job_id, ', ') from job_list('blocked')), 'b', 'so does job_list');
select is((select count from jobs_queue_status where status = 'blocked'), 1::bigint, 'and jobs_queue_status');
select is((select row(blocked_count, in_progress_count, waiting_count, running_count)::text
           from jobs_metrics where job_type = 'alpha'), '(1,0,0,0)', 'and jobs_metrics');
select is((select status from job_wait(tests.id('b'), wait => '0 s')), 'blocked', 'job_wait: it has not ended');
-- A time limit of its type, and an expiry, do not concern it.
select job_type_set('alpha', timeout => '1 s') \g /dev/null
update jobs set expires_at = '2031-01-01 12:00:01+00' where job_id = 'b';
set jobs_ext.now = '2031-01-02 12:00:00+00';
select is(tests.maintain() || tests.status('b'), 'blocked', 'no lease, time limit or expiry ends it');
select is((job_cancel(job_id => 'b', reason => 'not wanted')).status, 'cancelled', 'job_cancel ends it at once');
select is(row(j.status, j.error_message, j.finished_at)::text,
          row('cancelled', 'not wanted', timestamptz '2031-01-02 12:00+00')::text, 'with the reason')
from tests.job('b') j;
select is(tests.status('b 1'), 'queued', 'its children go on');
select tests.end('b 1', 'completed') \g /dev/null
select is(tests.maintain() || tests.status('b'), 'cancelled', 'and their end does not bring it back');
select is((job_retry(job_id => 'b')).status, 'queued', 'job_retry does');
select is((select attempt from job_claim('{alpha}')), 2, 'for another attempt');
select is(tests.await('b'), 'queued', 'after which it may wait once more');

-- One that is asked to stop; by the column as well.
select tests.run('stop') \g /dev/null
select tests.children('stop', 1), job_cancel(job_id => 'stop', reason => 'no more') \g /dev/null
select is(tests.await('stop'), 'cancelled', 'a job that was to stop is cancelled instead');
select is(tests.await('stop'), 'cancelled', 'the same call again');
select tests.run('column') \g /dev/null
select tests.children('column', 1) \g /dev/null
select tests.await('column') \g /dev/null
update jobs set cancel_requested_at = now() where job_id = 'column';
select is(tests.status('column'), 'cancelled', 'a blocked one by its column');
delete from jobs where job_id = 'stop';
select tests.run('gone') \g /dev/null
select tests.children('gone', 1) \g /dev/null
select tests.await('gone') \g /dev/null
delete from jobs where job_id = 'gone';
select tests.end('gone 1', 'completed') \g /dev/null
select is(tests.maintain(), '', 'a parent that was deleted harms nobody');
select tests.in_step('in step');

-- The owner may insert any state, and a restore does.
insert into jobs (job_id, job_type, status, started_at) values ('restored', 'alpha', 'blocked', '2000-01-01');
select is(tests.maintain() || tests.status('restored'), 'unblocked 1queued', 'a blocked job of the owner''s goes on');
truncate jobs, job_attempts;

--
-- What is refused
--
select tests.run('r') \g /dev/null
select tests.children('r', 1) \g /dev/null
select tests.refuses('select job_await_children(null, gen_random_uuid())', '22023', 'id must not be null', 'no id');
select tests.refuses('select job_await_children(gen_random_uuid(), null)', '22023', 'lease_id must not be null',
                     'no lease');
select tests.refuses('select job_await_children(gen_random_uuid(), gen_random_uuid())', 'PT404', 'no such job%',
                     'an unknown job');
select tests.refuses(format('select job_await_children(%L, gen_random_uuid())', tests.id('r')), 'PT409',
                     'the lease of job % is lost', 'lease_lost', 'another lease');
select tests.refuses(format('select job_await_children(%L, gen_random_uuid())', tests.id('r 1')), 'PT409',
                     'the lease of job % is lost', 'lease_lost', 'a job that was never claimed');
select tests.lease('r') as lease \gset
select job_release(tests.id('r'), :'lease') \g /dev/null
select tests.refuses(format('select job_await_children(%L, %L)', tests.id('r'), :'lease'), 'PT409',
                     'the lease of job % is lost', 'lease_lost', 'after job_release it is not the same call');
select tests.run_again('r') \g /dev/null
select tests.lease('r') as lease, tests.await('r') \gset
select tests.refuses(format('select job_release(%L, %L)', tests.id('r'), :'lease'), 'PT409',
                     'the lease of job % is lost', 'lease_lost', 'nor is job_release after it');
select tests.refuses('select job_children(null)', '22023', 'id must not be null', 'job_children of null');
select is((select count(*) from job_children(gen_random_uuid())), 0::bigint, 'an unknown job has no children');
begin read only;
select tests.refuses(format('select job_await_children(%L, %L)', tests.id('r'), :'lease'), '25006', '%read-only%',
                     'not in a read-only transaction');
select is((select count(*) from job_children(tests.id('r'))), 1::bigint, 'where job_children looks');
rollback;

-- REPEATABLE READ.
begin isolation level repeatable read;
select is((select count(*) from job_children(tests.id('r'))), 1::bigint, 'at REPEATABLE READ too');
select tests.end('r 1', 'cancelled') \g /dev/null
select is(tests.maintain(), 'unblocked 1', 'what the transaction did counts');
rollback;
select is(tests.status('r'), 'blocked', 'ROLLBACK takes it back');

--
-- A trigger of the user's that does not let it go on
--
create function tests.refuse() returns trigger language plpgsql as $$
begin
  if old.status = 'blocked' and new.status = 'queued' then
    raise exception 'not yet' using errcode = 'TEST1';
  end if;
  return new;
end $$;
create trigger z_user before update on jobs for each row execute function tests.refuse();
select tests.end('r 1', 'cancelled') \g /dev/null
set client_min_messages = error;
select is(tests.maintain(), 'set_aside 1', 'it is set aside');
select is((select string_agg(concat_ws(' ', s.task, s.sqlstate, s.message), ', ') from jobs_ext.jobs_set_aside s),
          'unblock TEST1 not yet', 'with the reason');
set jobs_ext.now = '2031-01-03 12:00:00+00';
select job_enqueue('beta', job_id => 'r 2', parent_job_id => tests.id('r')) \g /dev/null
select is(tests.maintain(), '', 'while it has a child again nothing is to be done');
select is((select count(*) from jobs_ext.jobs_set_aside), 0::bigint, '… and it is not set aside any more');
select tests.end('r 2', 'cancelled') \g /dev/null
select is(tests.maintain(), 'set_aside 1', 'then again');
drop trigger z_user on jobs;
set jobs_ext.now = '2031-01-04 12:00:00+00';
select is(tests.maintain(), 'unblocked 1', 'without the trigger it goes on');
reset client_min_messages;

--
-- A build of the private tables, and row security
--
select tests.run('built') \g /dev/null
select tests.children('built', 2) \g /dev/null
select tests.await('built') \g /dev/null
alter table jobs disable trigger user;
update jobs set status = 'cancelled', finished_at = '2031-01-04+00', cancelled_at = '2031-01-04+00'
where job_id = 'built 1';
alter table jobs enable trigger user;
select is(tests.maintain(), '', 'after triggers were off: one child is left');
select tests.in_step('built anew');
select tests.end('built 2', 'cancelled') \g /dev/null
select is(tests.maintain(), 'unblocked 1', 'and then none');

do $$
begin
  if to_regrole('tests_children') is null then
    create role tests_children;
  end if;
  perform jobs_ext.grant_role('tests_children', 'monitor');
end $$;
alter table jobs enable row level security;
create policy first_ones on jobs to tests_children using (job_id like '% 1');
set role tests_children;
select is((select string_agg(c.job_id, ', ')
           from job_children((select parent_job_id from jobs where job_id = 'built 1')) c),
          'built 1', 'job_children shows what the caller may see');
reset role;

--
-- What it costs: no look walks past the children that have ended, and no row is met by two of them
--
alter table jobs disable row level security;
drop policy first_ones on jobs;
truncate jobs, job_attempts;
select tests.run('many') \g /dev/null
select count(*) from job_enqueue_many((
  select jsonb_agg(jsonb_build_object('job_type', 'beta', 'parent_job_id', tests.id('many')))
  from generate_series(1, 2000))) \g /dev/null
select tests.await('many'), xmin as version from jobs where job_id = 'many' \g /dev/null
select j.ctid as place, j.xmax as lock from jobs j where j.job_id = 'many' \gset
select count(*) from (
  select job_complete(c.id, c.lease_id) from job_claim('{beta}', 1999) c) x \g /dev/null
select is((select row(j.ctid, j.xmax)::text from jobs j where j.job_id = 'many'),
          row(:'place'::tid, :'lock'::xid)::text,
          'the ends of 1999 children leave the parent''s row as it is');
select is(tests.maintain(), '', 'one is left');
select job_complete(c.id, c.lease_id) from job_claim('{beta}') c \g /dev/null
select is(tests.maintain(), 'unblocked 1', 'and then none');
select is((select count(*) from job_children(tests.id('many')) where status = 'completed'), 2000::bigint,
          'all their outcomes, in one query');
select tests.in_step('in step');

select * from finish();
