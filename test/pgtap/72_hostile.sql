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
select jobs_ext.grant_role('tests_hostile_worker', 'worker'), jobs_ext.grant_role('tests_hostile_producer', 'producer') \g /dev/null

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
select tests.refuses(format('create trigger wrong %s on jobs for each %s execute function jobs_ext.%s(); %s', v.event, v.level, v.function, v.call),
                     '39P01', 'trigger "wrong" on "jobs"%', format('%s %s for each %s: %s', v.function, v.event, v.level, v.call))
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
select tests.refuses('create view v as select * from jobs; create trigger wrong instead of insert on v for each row execute function jobs_ext.jobs_before_row(); '
                     || 'insert into v (job_type) values (''alpha'')', '39P01', 'trigger "wrong" on "v"%', 'nor on a view of jobs');
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
select tests.refuses(format('update jobs set %I = null where job_id = %L; %s', c.name, 'leased', v.call), '23502', format('%%"%s"%%', c.name),
                     format('%s set to null, then %s', c.name, v.call))
from unnest('{lease_id,lease_expires_at,started_at}'::text[]) c (name), (values
  ($$select job_release_worker('w1')$$), (format('select job_heartbeat(%L, %L)', :'id', :'lease')),
  (format('select job_heartbeat(%L, %L, lease => %L)', :'id', :'lease', '1 hour')), (format('select job_complete(%L, %L)', :'id', :'lease')),
  ('select job_maintain()')) v (call);
create function tests.forgets() returns trigger language plpgsql as $$
begin
  if new.status = 'in_progress' then new.lease_id := null; end if;
  return new;
end $$;
select job_enqueue('alpha', job_id => 'unleased') \g /dev/null
select tests.refuses('create trigger z_user before update on jobs for each row execute function tests.forgets(); select job_claim()',
                     '23502', '%"lease_id"%', 'a trigger that takes the lease away, and job_claim()');

-- Written past our triggers, the nulls are there. Nothing works with such a row, nothing crashes, and it can be mended.
create function tests.past_triggers(statement text) returns void language plpgsql as $$
begin
  alter table public.jobs disable trigger user;
  execute statement;
  alter table public.jobs enable trigger user;
end $$;
create function tests.mend(col name, key text) returns text language plpgsql as $$
declare
  before constant jsonb := to_jsonb(tests.job(key));
  call text;
  got text;
begin
  execute format('alter table public.jobs alter %I drop not null', col);
  perform tests.past_triggers(format('update public.jobs set %I = null where id = %L', col, before ->> 'id'));
  foreach call in array array['select job_release_worker(''w1'')', format('select job_heartbeat(%L, %L)', before ->> 'id', before ->> 'lease_id'),
                              'select job_claim()', 'select job_maintain()', 'select jobs_ext.rebuild_queue()',
                              -- A client cannot mend it, and whatever it writes there is refused.
                              format('set local role tests_hostile_worker; update public.jobs set %I = %L where id = %L',
                                     col, before ->> col, before ->> 'id')] loop
    got := pg_temp.outcome(call);
    if got not like '23502 %"' || col || '"%' then
      return format('%s: %s', call, got);
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
    return 'the row is another one now';
  end if;
  return array_to_string(array(select tests.out_of_step()), E'\n');
exception when others then
  return concat_ws(' ', sqlstate, sqlerrm);
end $$;
select is(tests.mend(c, 'leased'), '', c || ' null in a running job: refused until the owner mends it')
from unnest('{job_id,job_type,status,retries,max_retries,retry_delay_ms,created_at,organisation_id,priority,run_at,attempt,lease_id,lease_expires_at,started_at}'::name[]) c;
select is(tests.mend(c, 'unleased'), '', c || ' null in a waiting job: refused until the owner mends it')
from unnest('{job_id,job_type,status,retries,max_retries,retry_delay_ms,created_at,organisation_id,priority,run_at,attempt}'::name[]) c;
select is((job_heartbeat(:'id', :'lease', lease => '1 hour')).lease_expires_at, '2030-01-01 13:00+00', 'mended, the job''s heartbeat works');
select is(released, 1, 'and job_release_worker()') from (select count(*)::int from job_release_worker('w1')) r (released);
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
select tests.refuses(format(v.call, :'id', :'lease'), 'PT409', '%' || :'id' || '%', 'lease_lost', 'an attempt without an outcome: ' || v.call)
from (values ('select job_fail(%L, %L, ''oops'')'), ('select job_release(%L, %L)'), ('set local role tests_hostile_worker; select job_fail(%L, %L)'),
             ('set local jobs_ext.force_statement_path = on; select job_fail(%L, %L)')) v (call);
delete from jobs;
delete from job_attempts;
alter table job_attempts alter outcome set not null;

--
-- Rows of a replica: from a dump that says so, or from another server
--
create temp table given as select * from jobs where false;
insert into given (id, job_id, job_type, job_category, status, input_payload, retries, max_retries, retry_delay_ms, created_at, updated_at, organisation_id,
                   metadata, priority, run_at, attempt, expires_at, error_message, started_at, finished_at, lease_id, worker, lease_expires_at)
select ('eeeeeeee-0000-0000-0000-00000000000' || n)::uuid, 'replicated ' || v.status, 'beta', 'mine', v.status, '{"a": 1}', 2, 5, 6, '2011-01-01', '2012-01-01',
       'eeeeeeee-0000-0000-0000-00000000000f', '{"m": 1}', 4, '2010-12-01', v.attempt, v.expires_at, 'oops', v.started_at, v.finished_at, v.lease_id, 'old hand',
       v.lease_expires_at
from (values (1, 'queued', 0, timestamptz '2050-01-01', null::timestamptz, null::timestamptz, null::uuid, null::timestamptz),
             (2, 'in_progress', 3, null, '2011-02-01', null, 'eeeeeeee-0000-0000-0000-0000000000aa', '2035-01-01'),
             (3, 'failed', 3, null, '2011-02-01', '2011-03-01', null, null),
             (4, 'paused', 0, '2051-01-01', null, null, null, null)) v (n, status, attempt, expires_at, started_at, finished_at, lease_id, lease_expires_at);
set local session_replication_role = replica;
insert into jobs select * from given;
reset session_replication_role;
select tests.in_step('rows of a replica: in step');
select results_eq('select * from jobs order by id', 'select * from given order by id', 'rows of a replica are kept as given');
select is(array_agg(c.job_id::text), '{replicated queued}', 'a row of a replica is claimed') from job_claim('{beta}', 5) c;
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
    update public.jobs set expires_at = case when metadata ->> 'bump' = 'null' then null else timestamptz '2040-01-01' end
    where id = new.id and expires_at is not null;
  end if;
  return null;
end $$;
create trigger a_bump after update on jobs for each row execute function tests.bump();
select job_enqueue('alpha', job_id => b.bump || ' ' || coalesce(e.expires, 'never'), metadata => jsonb_build_object('bump', b.bump), expires_at => e.expires::timestamptz)
from unnest('{later,null}'::text[]) b (bump), (values (null), ('2031-01-01')) e (expires) \g /dev/null
select lives_ok(v.call, 'a_bump: ' || v.call) from (values
  ('update jobs set expires_at = ''2032-01-01'''), ('update jobs set expires_at = ''2033-01-01'', priority = priority + 1'),
  ('update jobs set priority = 3'), ('select job_pause(id) from jobs'), ('select job_resume(id) from jobs')) v (call);
select results_eq($$ select metadata ->> 'bump', count(*), min(expires_at), max(expires_at) from jobs group by 1 order by 1 $$,
                  $$ values ('later', 2::bigint, timestamptz '2040-01-01', timestamptz '2040-01-01'), ('null', 2, null, null) $$, 'a_bump: what it sets holds');
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
create trigger jobs_ext_after_row after insert or update or delete on jobs for each row execute function tests.nothing();
insert into jobs (job_id, job_type) values ('meanwhile', 'alpha');
select matches(pg_temp.outcome(v.call), '^42804 .*"jobs_ext_after_row"', 'a trigger of our name: ' || v.call)
from (values ('select job_enqueue(''alpha'')'), ('select job_claim()'), ('select job_cancel(job_id => ''before'')'), ('select job_maintain()'),
             ('set local role tests_hostile_worker; select job_claim()'), ('select jobs_ext.rebuild_queue()')) v (call);
select tests.refuses('select jobs_ext.install()', '42710', '%"jobs_ext_after_row"%', 'install() does not take it for ours');
drop trigger jobs_ext_after_row on jobs;
-- The right function, on the wrong occasions.
select matches(pg_temp.outcome(format('create trigger jobs_ext_after_row %s execute function jobs_ext.jobs_after_row(); select job_claim()', v.how)),
               '^42804 .*"jobs_ext_after_row"', 'our function, but ' || v.how)
from (values ('after insert or update on jobs for each row'), ('after insert or update of status or delete on jobs for each row'),
             ('after insert or update or delete on jobs for each row when (pg_trigger_depth() > 9)')) v (how);
select lives_ok('select jobs_ext.install()', 'install() once it is gone');
select is(array_agg(c.job_id::text order by c.job_id), '{before,meanwhile}', 'nothing is lost') from job_claim('{alpha}', 5) c;
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
set local client_min_messages = error; -- the WARNING is looked at in test/tap/070_hostile.pl
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
  counts := tests.maintain() || '; ' || (select string_agg(j.status, ' ' order by j.lease_expires_at, j.job_id) from public.jobs j)
            || '; ' || (select count(*) from public.job_attempts);
  drop trigger a_poison on public.jobs;
  counts := counts || '; then ' || tests.maintain();
  perform set_config('jobs_ext.now', '2030-01-01 12:00:00+00', true);
  return counts;
end $$;
select is(tests.poisoned_at(p), 'leases_reaped 2, left 1, retried 2; in_progress pending pending; 2; then leases_reaped 1, retried 1',
          format('leases that ran out: all but the poisoned one, which is number %s', p)) || (select tests.in_step('in step') from (select 1) x where true)
from generate_series(1, 3) p, lateral (select 1) once where false;
