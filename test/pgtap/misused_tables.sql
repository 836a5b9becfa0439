-- What an owner, a client or a superuser can do to the tables that looks harmless or is plainly wrong: each of these
-- once crashed the server, lost a job, or kept all others waiting.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
begin;
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();
create role tests_hostile_worker bypassrls;
create role tests_hostile_producer bypassrls;
select jobs_ext.grant_role('tests_hostile_worker', 'worker'), jobs_ext.grant_role('tests_hostile_producer', 'producer')
\g /dev/null

-- What came of a call: its SQLSTATE, message and DETAIL, or "yes". Nothing that it does stays.
create function pg_temp.outcome(call text) returns text language plpgsql as $$
declare state text; message text; detail text;
begin
  execute call;
  raise exception using errcode = 'TEST0';
exception
  when sqlstate 'TEST0' then return 'yes';
  when others then
    get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
    return concat_ws(' ', state, message, nullif(detail, ''));
end $$;

--
-- Our trigger functions in triggers of the wrong shape, on jobs itself
--
select tests.run('running') as lease \gset
select tests.id('running') as id \gset
select job_enqueue('alpha', job_id => 'waiting') \g /dev/null
select tests.refuses(format('create trigger wrong %s on jobs for each %s execute function jobs_ext.%s(); %s',
                            v.event, v.level, v.function, v.call),
                     '39P01',
                     'trigger "wrong" on "jobs"%',
                     format('%s %s for each %s: %s', v.function, v.event, v.level, v.call))
from (values
  ('jobs_before_row', 'before delete', 'row', 'delete from jobs'),
  ('jobs_before_row', 'before delete', 'row', $$delete from jobs where job_id = 'waiting'$$),
  ('jobs_before_row', 'after insert', 'row', $$insert into jobs (job_type) values ('alpha')$$),
  ('jobs_before_row', 'after update', 'row', 'update jobs set priority = 1'),
  ('jobs_before_row', 'before insert', 'statement', $$insert into jobs (job_type) values ('alpha')$$),
  ('jobs_before_row', 'before update', 'statement', 'update jobs set priority = 1'),
  ('jobs_before_row', 'before truncate', 'statement', 'truncate jobs'),
  ('jobs_after_row', 'after update', 'statement', 'update jobs set priority = 1'),
  ('jobs_after_row', 'after update', 'statement', 'update jobs set priority = 1 where false'),
  ('jobs_after_row', 'after insert', 'statement', $$insert into jobs (job_type) values ('alpha')$$),
  ('jobs_after_row', 'after delete', 'statement', 'delete from jobs'),
  ('jobs_after_row', 'after truncate', 'statement', 'truncate jobs'),
  ('jobs_after_row', 'before insert', 'row', $$insert into jobs (job_type) values ('alpha')$$),
  ('jobs_after_row', 'before update', 'row', 'update jobs set priority = 1'),
  ('jobs_after_row', 'before delete', 'row', 'delete from jobs'),
  ('jobs_after_truncate', 'after insert', 'statement', $$insert into jobs (job_type) values ('alpha')$$),
  ('jobs_after_truncate', 'after update', 'row', 'update jobs set priority = 1'),
  ('jobs_after_truncate', 'after delete', 'statement', 'delete from jobs'),
  ('jobs_after_truncate', 'before truncate', 'statement', 'truncate jobs'),
  -- A verb meets them too.
  ('jobs_before_row', 'before update', 'statement', $$select job_cancel(job_id => 'waiting')$$),
  ('jobs_after_row', 'after update', 'statement', 'select job_claim()'),
  ('jobs_after_truncate', 'after insert', 'statement', $$select job_enqueue('alpha')$$),
  ('jobs_after_truncate', 'after insert', 'statement', $$select job_enqueue('alpha', job_id => 'keyed')$$)
) v (function, event, level, call);
select tests.refuses(
  'create view v as select * from jobs; '
  'create trigger wrong instead of insert on v for each row execute function jobs_ext.jobs_before_row(); '
  'insert into v (job_type) values (''alpha'')',
  '39P01', 'trigger "wrong" on "v"%', 'nor on a view of jobs');
select is((select count(*) from jobs), 2::bigint, 'both jobs are there');
select tests.in_step('wrong triggers: in step');
select is((job_complete(:'id', :'lease')).status, 'completed', 'and work goes on');
delete from jobs;

--
-- A running job without a lease: the constraint that forbids it was dropped
--
alter table jobs drop constraint check_lease, drop constraint check_started_timestamp;
select tests.run('leased') as lease \gset
select tests.id('leased') as id \gset
select tests.refuses(format('update jobs set %I = null where job_id = %L; %s', c.name, 'leased', v.call),
                     '23502', format('%%"%s"%%', c.name), format('%s set to null, then %s', c.name, v.call))
from unnest('{lease_id,lease_expires_at,started_at}'::text[]) c (name),
     (values
       ($$select job_release_worker('w1')$$),
       (format('select job_heartbeat(%L, %L)', :'id', :'lease')),
       (format('select job_heartbeat(%L, %L, lease => %L)', :'id', :'lease', '1 hour')),
       (format('select job_complete(%L, %L)', :'id', :'lease')),
       ('select job_maintain()')) v (call);
create function tests.forgets() returns trigger language plpgsql as $$
begin
  if new.status = 'in_progress' then new.lease_id := null; end if;
  return new;
end $$;
select job_enqueue('alpha', job_id => 'unleased') \g /dev/null
select tests.refuses(
  'create trigger z_user before update on jobs for each row execute function tests.forgets(); select job_claim()',
  '23502', '%"lease_id"%', 'a trigger that takes the lease away, and job_claim()');

-- Written past our triggers, the nulls are there. Nothing works with such a row, nothing crashes, and it can be
-- mended.
create function tests.past_triggers(statement text) returns void language plpgsql as $$
begin
  alter table public.jobs disable trigger user;
  execute statement;
  -- ENABLE alone would leave them out for rows of a replica.
  alter table public.jobs enable always trigger jobs_ext_before_row, enable always trigger jobs_ext_after_row,
    enable always trigger jobs_ext_after_truncate;
end $$;
create function tests.mend(col name, key text) returns text language plpgsql as $$
declare
  before constant jsonb := to_jsonb(tests.job(key));
  call text;
  got text;
begin
  execute format('alter table public.jobs alter %I drop not null', col);
  perform tests.past_triggers(format('update public.jobs set %I = null where id = %L', col, before ->> 'id'));
  foreach call in array array[
    'select job_release_worker(''w1'')',
    format('select job_heartbeat(%L, %L)', before ->> 'id', coalesce(before ->> 'lease_id', before ->> 'id')),
    'select job_claim()',
    'select job_maintain()',
    'select jobs_ext.rebuild_queue()',
    -- A client cannot mend it, and whatever it writes there is refused.
    format('set local role tests_hostile_worker; update public.jobs set %I = %L where id = %L',
           col, before ->> col, before ->> 'id')]
  loop
    got := pg_temp.outcome(call);
    if got not like '23502 %"' || col || '"%' then
      raise exception '%: %', call, got;
    end if;
  end loop;
  begin
    execute format('delete from public.jobs where id = %L', before ->> 'id');
    raise exception using errcode = 'TEST0';
  exception when sqlstate 'TEST0' then null;
  end;
  execute format('update public.jobs set %I = %L where id = %L', col, before ->> col, before ->> 'id');
  perform public.job_maintain();
  if to_jsonb(tests.job(before ->> 'job_id')) - 'updated_at' <> before - 'updated_at' then
    raise exception 'the row is another one now';
  end if;
  return array_to_string(array(select tests.out_of_step()), E'\n');
exception when others then
  return concat_ws(' ', sqlstate, sqlerrm);
end $$;
select is(tests.mend(c, 'leased'), '', c || ' null in a running job: refused until the owner mends it')
from unnest('{job_id,job_type,status,retries,max_retries,retry_delay_ms,created_at,organisation_id,priority,run_at,
              attempt,lease_id,lease_expires_at,started_at}'::name[]) c;
select is(tests.mend(c, 'unleased'), '', c || ' null in a waiting job: refused until the owner mends it')
from unnest('{job_id,job_type,status,retries,max_retries,retry_delay_ms,created_at,organisation_id,priority,run_at,
              attempt}'::name[]) c;
select is((job_heartbeat(:'id', :'lease', lease => '1 hour')).lease_expires_at,
          '2030-01-01 13:00+00', 'mended, the job''s heartbeat works');
select is(released, 1, 'and job_release_worker()')
from (select count(*)::int from job_release_worker('w1')) r (released);
select tests.in_step('mended: in step');
delete from jobs;

--
-- An attempt without an outcome
--
alter table job_attempts alter outcome drop not null;
select tests.run('tried') as lease \gset
select tests.id('tried') as id \gset
select job_fail(:'id', :'lease', 'oops') \g /dev/null
select is((job_fail(:'id', :'lease', 'oops')).status, 'pending', 'job_fail() repeated is answered as it was');
update job_attempts set outcome = null;
select is(count(*), 1::bigint, 'the attempt has no outcome') from job_attempts where job = :'id' and outcome is null;
select tests.refuses(format(v.call, :'id', :'lease'),
                     'PT409', '%' || :'id' || '%', 'lease_lost', 'an attempt without an outcome: ' || v.call)
from (values
  ('select job_fail(%L, %L, ''oops'')'),
  ('select job_release(%L, %L)'),
  ('set local role tests_hostile_worker; select job_fail(%L, %L)'),
  ('set local jobs_ext.force_statement_path = on; select job_fail(%L, %L)')) v (call);
delete from jobs;
delete from job_attempts;
alter table job_attempts alter outcome set not null;

--
-- Rows of a replica: from a dump that says so, or from another server
--
create temp table given as select * from jobs where false;
insert into given (id, job_id, job_type, job_category, status, input_payload, retries, max_retries, retry_delay_ms,
                   created_at, updated_at, organisation_id, metadata, priority, run_at, attempt, expires_at,
                   error_message, started_at, finished_at, lease_id, worker, lease_expires_at)
select ('eeeeeeee-0000-0000-0000-00000000000' || n)::uuid, 'replicated ' || v.status, 'beta', 'mine', v.status,
       '{"a": 1}', 2, 5, 6, '2011-01-01', '2012-01-01', 'eeeeeeee-0000-0000-0000-00000000000f', '{"m": 1}', 4,
       '2010-12-01', v.attempt, v.expires_at, 'oops', v.started_at, v.finished_at, v.lease_id, 'old hand',
       v.lease_expires_at
from (values
  (1, 'queued', 0, timestamptz '2050-01-01', null::timestamptz, null::timestamptz, null::uuid, null::timestamptz),
  (2, 'in_progress', 3, null, '2011-02-01', null, 'eeeeeeee-0000-0000-0000-0000000000aa', '2035-01-01'),
  (3, 'failed', 3, null, '2011-02-01', '2011-03-01', null, null),
  (4, 'paused', 0, '2051-01-01', null, null, null, null)
) v (n, status, attempt, expires_at, started_at, finished_at, lease_id, lease_expires_at);
select jobs_ext.rebuild_queue() \g /dev/null
set local session_replication_role = replica;
insert into jobs select * from given;
reset session_replication_role;
select tests.in_step('rows of a replica: in step');
select results_eq('select * from jobs order by id',
                  'select * from given order by id', 'rows of a replica are kept as given');
select is(array_agg(c.job_id::text), '{replicated queued}', 'a row of a replica is claimed')
from job_claim('{beta}', 5) c;
set local session_replication_role = replica;
update jobs set priority = -3, run_at = '2009-01-01' where job_id = 'replicated paused';
update jobs set expires_at = '2052-01-01' where job_id = 'replicated paused';
delete from jobs where job_id = 'replicated failed';
reset session_replication_role;
select tests.in_step('UPDATE and DELETE of a replica: in step');
set local session_replication_role = replica;
truncate jobs;
reset session_replication_role;
select tests.in_step('TRUNCATE of a replica: in step');

--
-- A trigger that sets expires_at once more on the row that was just updated
--
create function tests.bump() returns trigger language plpgsql as $$
begin
  if new.expires_at is distinct from '2040-01-01' and new.metadata ? 'bump' then
    update public.jobs set expires_at = case
                                          when metadata ->> 'bump' = 'none' then null
                                          else timestamptz '2040-01-01' end
    where id = new.id and expires_at is not null;
  end if;
  return null;
end $$;
create trigger a_bump after update on jobs for each row execute function tests.bump();
select job_enqueue('alpha', job_id => b.bump || ' ' || coalesce(e.expires, 'never'),
                   metadata => jsonb_build_object('bump', b.bump), expires_at => e.expires::timestamptz)
from unnest('{later,none}'::text[]) b (bump), (values (null), ('2031-01-01')) e (expires) \g /dev/null
select lives_ok(v.call, 'a_bump: ' || v.call)
from (values
  ('update jobs set expires_at = ''2032-01-01'''),
  ('update jobs set expires_at = ''2033-01-01'', priority = priority + 1'),
  ('update jobs set priority = 3'),
  ('select job_pause(id) from jobs'),
  ('select job_resume(id) from jobs')) v (call);
select results_eq($$ select metadata ->> 'bump', count(*), min(expires_at), max(expires_at)
                     from jobs group by 1 order by 1 $$,
                  $$ values ('later', 2::bigint, timestamptz '2040-01-01', timestamptz '2040-01-01'),
                            ('none', 2, null, null) $$,
                  'a_bump: what it sets holds');
select tests.in_step('a_bump: in step');
drop trigger a_bump on jobs;
create trigger z_bump after update on jobs for each row execute function tests.bump();
select lives_ok('update jobs set expires_at = ''2034-01-01''', 'the same after ours');
select tests.in_step('the same after ours: in step');
drop trigger z_bump on jobs;
delete from jobs;

--
-- A trigger of our name, but another's function
--
select job_enqueue('alpha', job_id => 'before') \g /dev/null
create function tests.nothing() returns trigger language plpgsql as 'begin return null; end';
drop trigger jobs_ext_after_row on jobs;
create trigger jobs_ext_after_row after insert or update or delete on jobs
  for each row execute function tests.nothing();
insert into jobs (job_id, job_type) values ('meanwhile', 'alpha');
select matches(pg_temp.outcome(v.call), '^42804 .*"jobs_ext_after_row"', 'a trigger of our name: ' || v.call)
from (values
  ('select job_enqueue(''alpha'')'),
  ('select job_claim()'),
  ('select job_cancel(job_id => ''before'')'),
  ('select job_maintain()'),
  ('set local role tests_hostile_worker; select job_claim()'),
  ('select jobs_ext.rebuild_queue()')) v (call);
select tests.refuses('select jobs_ext.install()',
                     '42710', '%"jobs_ext_after_row"%', 'install() does not take it for ours');
drop trigger jobs_ext_after_row on jobs;
-- The right function, on the wrong occasions.
select matches(
  pg_temp.outcome(
    format('create trigger jobs_ext_after_row %s execute function jobs_ext.jobs_after_row(); select job_claim()',
           v.how)),
  '^42804 .*"jobs_ext_after_row"', 'our function, but ' || v.how)
from (values
  ('after insert or update on jobs for each row'),
  ('after insert or update of status or delete on jobs for each row'),
  ('after insert or update or delete on jobs for each row when (pg_trigger_depth() > 9)')) v (how);
select lives_ok('select jobs_ext.install()', 'install() once it is gone');
select is(array_agg(c.job_id::text order by c.job_id), '{before,meanwhile}', 'nothing is lost')
from job_claim('{alpha}', 5) c;
select tests.in_step('our trigger is back: in step');
delete from jobs;

--
-- One job that cannot be written, and job_maintain()
--
create function tests.poison() returns trigger language plpgsql as $$
begin
  if new.job_id = 'poisoned' then raise exception 'not this one'; end if;
  return new;
end $$;
-- What it counts that is not zero.
create function tests.maintain() returns text language sql as $$
  select coalesce(string_agg(format('%s %s', c.key, c.value), ', ' order by c.key), '')
  from jsonb_each_text(job_maintain()) c where c.value not in ('0', 'false')
$$;
set local client_min_messages = error; -- the WARNING is looked at in test/tap/clock_and_older_snapshots.pl
-- Wherever the poisoned one stands among them.
create function tests.poisoned_at(place int) returns text language plpgsql as $$
declare
  counts text;
begin
  for i in 1..3 loop
    perform tests.run(case when i = place then 'poisoned' else 'fine ' || i end, lease => make_interval(secs => i));
  end loop;
  create trigger a_poison before update on public.jobs for each row execute function tests.poison();
  perform set_config('jobs_ext.now', '2030-01-01 12:01:00+00', true);
  counts := tests.maintain();
  counts := counts || '; '
  || (select string_agg(j.status, ' ' order by j.lease_expires_at, j.job_id) from public.jobs j)
            || '; ' || (select count(*) from public.job_attempts);
  drop trigger a_poison on public.jobs;
  perform set_config('jobs_ext.now', '2030-01-01 12:01:01+00', true);
  counts := counts || '; then ' || tests.maintain();
  perform set_config('jobs_ext.now', '2030-01-01 12:00:00+00', true);
  return counts;
end $$;
select is(tests.poisoned_at(1),
          'leases_reaped 2, retried 2, set_aside 1; in_progress pending pending; 2; then leases_reaped 1, retried 1',
          'leases that ran out: all but the poisoned one, the first');
select tests.in_step('the poisoned one was the first: in step');
delete from jobs;
select is(tests.poisoned_at(2),
          'leases_reaped 2, retried 2, set_aside 1; in_progress pending pending; 2; then leases_reaped 1, retried 1',
          'the poisoned one is the second');
delete from jobs;
select is(tests.poisoned_at(3),
          'leases_reaped 2, retried 2, set_aside 1; in_progress pending pending; 2; then leases_reaped 1, retried 1',
          'the poisoned one is the last');
select tests.in_step('the poisoned one was the last: in step');
delete from jobs;

-- The same for jobs that expire.
select job_enqueue('alpha', job_id => k, expires_at => '2030-01-01 12:01+00')
from unnest('{first,poisoned,third}'::text[]) k \g /dev/null
create trigger a_poison before update on public.jobs for each row execute function tests.poison();
set local jobs_ext.now = '2030-01-01 12:02:00+00';
select is(tests.maintain(), 'expired 2, set_aside 1', 'jobs that expire: all but the poisoned one');
select is(string_agg(job_id || ' ' || status, ', ' order by job_id),
          'first cancelled, poisoned queued, third cancelled', 'it is left as it was')
from jobs;
select tests.in_step('jobs that expire: in step');
drop trigger a_poison on jobs;
delete from jobs;
set local jobs_ext.now = '2030-01-01 12:00:00+00';

-- A constraint that refuses the attempt of one.
alter table job_attempts add constraint no_poison check (worker <> 'poison');
select tests.run('one'), tests.run('two', worker => 'poison'), tests.run('three') \g /dev/null
set local jobs_ext.now = '2030-01-02 12:00:00+00';
select is(tests.maintain(), 'leases_reaped 2, retried 2, set_aside 1', 'an attempt that is refused: all but its job');
select is(row(j.status, j.retries, j.lease_id is null)::text, '(in_progress,0,f)', 'which is left as it was')
from tests.job('two') j;
select tests.in_step('an attempt that is refused: in step');
alter table job_attempts drop constraint no_poison;
delete from jobs;
set local jobs_ext.now = '2030-01-01 12:00:00+00';

-- … also where it stands in the place of the one that we make, under its name.
alter table job_attempts drop constraint check_outcome, add constraint check_outcome check (worker <> 'poison');
select tests.run('one', worker => 'poison') \g /dev/null
select throws_ok($$select job_fail(tests.id('one'), tests.lease('one'))$$,
                 '23514', null, 'a check in the place of ours is met');
alter table job_attempts drop constraint check_outcome,
  add constraint check_outcome check (outcome in ('failed', 'lease_expired', 'timed_out', 'released', 'cancelled',
                                                   'completed', 'blocked'));
-- With ours alone attempts are written directly. By a statement nothing could run as the owner in such a session.
create role tests_hostile_stranger;
select format('grant temporary on database %I to tests_hostile_stranger', current_database()) \gexec
set local role tests_hostile_stranger;
create temporary table strange ();
reset role;
select lives_ok($$select job_fail(tests.id('one'), tests.lease('one'))$$, 'ours made anew, it is ours');
drop table strange;
delete from jobs;

-- The attempt's row is there already, whoever wrote it.
select tests.run('one'), tests.run('two'), tests.run('three') \g /dev/null
insert into job_attempts (job, attempt, worker, ended_at, outcome, error_message)
values (tests.id('two'), 1, 'somebody', '2030-01-01', 'released', 'by hand');
set local jobs_ext.now = '2030-01-02 12:00:00+00';
select is(tests.maintain(), 'leases_reaped 3, retried 3', 'an attempt that is there already does not hinder');
select is(string_agg(concat_ws(' ', j.job_id, j.status, a.worker, a.outcome), ', ' order by j.job_id),
          'one pending w1 lease_expired, three pending w1 lease_expired, two pending somebody released',
          'it is left as it is')
from jobs j left join job_attempts a on a.job = j.id;
select tests.run('four') as lease \gset
insert into job_attempts (job, attempt, ended_at, outcome) values (tests.id('four'), 1, '2030-01-01', 'released');
select is((job_fail(tests.id('four'), :'lease', 'oops')).status, 'pending', 'nor does it hinder job_fail()');
select tests.in_step('an attempt that is there already: in step');
set local client_min_messages = warning;
delete from jobs;
set local jobs_ext.now = '2030-01-01 12:00:00+00';

--
-- A client's null, and a trigger of the user's that would make something of it that no client may write
--
create function tests.fills() returns trigger language plpgsql as $$
begin
  if new.status is null then
    new.status := 'completed';
    new.started_at := now();
    new.completed_at := now();
    new.finished_at := now();
  end if;
  new.job_type := coalesce(new.job_type, 'nonsense');
  return new;
end $$;
select job_enqueue('alpha', job_id => 'there') \g /dev/null
create trigger z_default before insert or update on jobs for each row execute function tests.fills();
select tests.refuses(
  'set local role tests_hostile_producer; insert into jobs (job_type, status) values (''alpha'', null)',
  '23502', '%"status"%', 'a client''s null status is not z_default''s to fill');
select tests.refuses('set local role tests_hostile_producer; insert into jobs (job_id) values (''no type'')',
                     '23502', '%"job_type"%', 'nor is a null job_type');
select tests.refuses('set local role tests_hostile_worker; update jobs set status = null',
                     '23502', '%"status"%', 'nor one of an UPDATE');
select tests.refuses('set local role tests_hostile_worker; update jobs set job_type = null',
                     '23502', '%"job_type"%', 'nor a null job_type of one');
select lives_ok(
  'set local role tests_hostile_producer; '
  'insert into jobs (job_type, job_id) values (''alpha'', ''right''); '
  'reset role',
  'without a null it is made');
select is(tests.status('right'), 'pending', 'with the default of the column');
drop trigger z_default on jobs;
delete from jobs;

--
-- A type of extreme settings, which job_type_set() would refuse
--
alter table job_types drop constraint check_max_retries;
insert into job_types (job_type, retry_delay_max, lease, timeout, retry_delay_ms, max_retries)
values ('endless', '300 years', '300 years', '178000000 years', 2147483647, 2147483647);
select throws_ok('select job_type_set(''endless'', retry_delay_max => ''300 years'')',
                 '22023', null, 'job_type_set() refuses the like');
select lives_ok(format('select job_enqueue(%L, job_id => %L)', t.job_type, 'of ' || t.job_type),
                'beside a type of extreme settings: ' || t.job_type)
from job_types t order by t.job_type = 'endless';
select lives_ok($$insert into jobs (job_type) values ('endless'), ('alpha')$$, 'beside it, directly');
select is((select array_agg(distinct max_retries) from jobs where job_type = 'endless' and job_id = 'of endless'),
          '{1000}', 'the ceiling of retries holds');
select is((select count(*) from job_claim(max_jobs => 100)), (select count(*) from jobs), 'all are claimed');
select ok(j.lease_expires_at between '2200-01-01' and '2400-01-01', 'its lease is long, not lost')
from tests.job('of endless') j;
select is((job_fail(tests.id('of endless'), tests.lease('of endless'), 'oops')).status,
          'pending', 'job_fail() of the extreme type');
-- As late as ever: further retries, as long as there are dates.
update jobs set run_at = '2030-01-01 12:00+00', retries = 2000000000, max_retries = 2147483647
where job_id = 'of endless';
select is((job_fail(c.id, c.lease_id, 'again')).status, 'pending', 'its 2000000001st retry')
from job_claim('{endless}') c;
select ok(j.run_at > '2030-01-01 12:00+00' and isfinite(j.run_at) and j.retries = 2000000001, 'has a time')
from tests.job('of endless') j;
select is((job_fail(tests.id('of alpha'), tests.lease('of alpha'), 'oops')).status,
          'pending', 'job_fail() of another type');
select tests.in_step('extreme settings: in step');
delete from jobs;
delete from job_types where job_type = 'endless';

--
-- A user whom the identity provider names otherwise than by a UUID
--
create function pg_temp.made_by(claims text, call text) returns text language plpgsql as $$
declare
  answer text;
begin
  perform set_config('request.jwt.claims', claims, true);
  delete from public.jobs;
  execute call;
  perform set_config('request.jwt.claims', '', true);
  select string_agg(concat_ws(' ', coalesce(j.created_by::text, 'nobody'), j.organisation_id), ', ') into answer
  from public.jobs j;
  return answer;
exception when others then
  return concat_ws(' ', sqlstate, sqlerrm);
end $$;
select is(pg_temp.made_by(jsonb_build_object('sub', v.sub, 'org_id', 'aaaaaaaa-0000-0000-0000-000000000001')::text,
                          c.call),
          v.maker || ' aaaaaaaa-0000-0000-0000-000000000001', format('sub %s: %s', v.sub, c.call))
from (values
  ('auth0|123', 'nobody'),
  ('', 'nobody'),
  ('bbbbbbbb-0000-0000-0000-00000000000', 'nobody'),
  ('bbbbbbbb-0000-0000-0000-00000000000g', 'nobody'),
  ('{bbbbbbbb-0000-0000-0000-000000000002}', 'nobody'),
  ('bbbbbbbb-0000-0000-0000+000000000002', 'nobody'),
  (repeat('x', 36), 'nobody'),
  ('bbbbbbbb-0000-0000-0000-000000000002', 'bbbbbbbb-0000-0000-0000-000000000002'),
  ('BBBBBBBB-0000-0000-0000-000000000002', 'bbbbbbbb-0000-0000-0000-000000000002')) v (sub, maker),
     (values ($$select job_enqueue('alpha')$$), ($$select job_enqueue_many('[{"job_type": "alpha"}]')$$)) c (call);
select is(pg_temp.made_by('{"sub": "auth0|123"}',
                          $$select job_enqueue('alpha', created_by => 'cccccccc-0000-0000-0000-000000000003')$$),
          'cccccccc-0000-0000-0000-000000000003 00000000-0000-0000-0000-000000000000',
          'created_by given, the claims do not matter');
delete from jobs;

--
-- A long message, directly
--
select tests.run('long ' || r || ' ' || length(m), worker => m)
from unnest('{owner,client}'::text[]) r, unnest('{x,xx}'::text[]) m \g /dev/null
update jobs set status = 'failed', error_message = repeat('x', 200000) where job_id = 'long owner 1';
update jobs set status = 'pending', error_message = 'x' || repeat('ä', 100000) where job_id = 'long owner 2';
set local role tests_hostile_worker;
update jobs set status = 'failed', error_message = repeat('x', 200000), worker = 'x'
where job_id = 'long client 1';
update jobs set status = 'cancelled', error_message = 'x' || repeat('ä', 100000), worker = 'xx'
where job_id = 'long client 2';
reset role;
select ok(octet_length(j.error_message) between 65000 and 65536
            and j.error_message ~ '^x+ \.\.\. \[cut\]$|^xä+ \.\.\. \[cut\]$',
          format('%s: %s bytes, with the mark', j.job_id, octet_length(j.error_message)))
from jobs j order by j.job_id;
select is((select count(*) from jobs), 4::bigint, 'of all four');
select is(count(*), 4::bigint, 'so are their attempts')
from job_attempts a join jobs j on j.id = a.job where a.error_message = j.error_message;
update jobs set error_message = repeat('y', 65536) where job_id = 'long owner 1';
select is(error_message, repeat('y', 65536), 'what fits is not cut') from tests.job('long owner 1');
update jobs set error_message = repeat('y', 65537) where job_id = 'long owner 1';
select matches(error_message, '^y+ \.\.\. \[cut\]$', 'a byte more is, whatever the status')
from tests.job('long owner 1');
select tests.in_step('long messages: in step');

--
-- An UPDATE that comes from a publisher is taken as it is, also one that no client may make
--
delete from jobs;
select job_enqueue('bulk-update', job_id => 'replicated') \g /dev/null
set session_replication_role = replica;
update jobs set status = 'in_progress', attempt = 1, started_at = '2030-01-01', worker = 'there',
                lease_id = 'aaaaaaaa-0000-0000-0000-000000000001',
                lease_expires_at = '2031-01-01', updated_at = '2029-01-01';
select results_eq($$ select status::text, attempt, worker, lease_id, lease_expires_at, updated_at from jobs $$,
                  $$ values ('in_progress', 1, 'there', 'aaaaaaaa-0000-0000-0000-000000000001'::uuid,
                             '2031-01-01'::timestamptz, '2029-01-01'::timestamptz) $$,
                  'a replicated claim is kept as given');
update jobs set status = 'failed', finished_at = '2030-01-02';
update jobs set status = 'queued', started_at = null, finished_at = null;
select is(status::text, 'queued', 'a replicated job_retry is no illegal move') from jobs;
select is_empty('select * from job_attempts a join jobs j on j.id = a.job',
                'attempts come by replication of their own table');
reset session_replication_role;
select tests.in_step('the queue follows replicated updates');

-- Who switches triggers off and on leaves them for rows of this server alone: install() puts that right.
alter table jobs disable trigger all;
alter table jobs enable trigger all;
select jobs_ext.install() \g /dev/null
select is(array_agg(distinct tgenabled), '{A}', 'install() makes the triggers fire always')
from pg_trigger where tgrelid = 'jobs'::regclass and not tgisinternal;

-- An attempt noted by hand hinders nobody, also where job_attempts is reached by SQL.
alter table job_attempts add column mine text;
select id, lease_id from job_claim('{bulk-update}') \gset
insert into job_attempts (job, attempt, ended_at, outcome) select id, attempt, now(), 'released' from jobs;
select is((job_fail(:'id', :'lease_id', 'no')).status, 'pending', 'a job fails although its attempt is noted already');
select tests.in_step('at the end');

select * from finish();
rollback;
