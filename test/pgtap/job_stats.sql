-- job_stats: what is counted of each job type, alike whichever path wrote it, and nothing of what was rolled back.
-- test/tap/job_stats.pl has restarts, crashes and long queues.
\ir setup/begin.psql
\ir setup/refuses.sql
\ir setup/jobs.sql
select no_plan();
set timezone = 'UTC';

-- The columns of a type that are not 0 or null, of those that the pattern names; jsonb has the short names first.
create function tests.stats(type text, columns text default '^(?!.*(last|p\d\d|job_type|oldest|since))') returns text
language sql security definer set search_path = public, pg_temp as $$
  select coalesce(string_agg(concat(e.key, ' ', e.value), ', ' order by e.place), 'nothing')
  from job_stats(type) s,
  jsonb_each_text(to_jsonb(s)) with ordinality e (key, value, place)
  where e.key ~ columns and e.value <> '0'
$$;

create function tests.at(moment text) returns text
language sql as $$ select set_config('jobs_ext.now', '2030-01-01 ' || moment || '+00', false) $$;

-- Each of these events is a transaction of its own.
create procedure tests.live(type text) language plpgsql as $$
declare
  key constant text := type || ' ';
begin
  perform tests.at('12:00');
  perform job_enqueue(type, job_id => key || n, retry_delay_ms => 0, max_retries => 1, expires_at => case
                        when n in (9, 10) then timestamptz '2030-01-01 13:00+00' end)
  from generate_series(1, 10) n;
  commit;
  perform job_enqueue_many(format('[{"job_type": "%1$s", "job_id": "%1$s 11", "run_at": "2030-01-01 20:00Z"},
                                    {"job_type": "%1$s", "job_id": "%1$s 12"}]', type)::jsonb);
  commit;
  insert into jobs (job_id, job_type, status, run_at)
  values (key || 13, type, 'paused', '2030-01-01 12:00+00'), (key || 14, type, 'queued', '2030-01-01 12:00+00');
  commit;
  -- 1 completes, 2 fails twice, 3 is released and cancelled, 4 loses its lease, 5 is heard of, 6 asked to stop.
  perform tests.at('12:00:10');
  perform job_claim(array[type], max_jobs => 6, lease => '10 minutes');
  commit;
  perform tests.at('12:01:00');
  perform job_heartbeat(tests.id(key || 5), tests.lease(key || 5), progress => '1', lease => '1 day');
  commit;
  perform job_complete(tests.id(key || 1), tests.lease(key || 1));
  commit;
  perform job_fail(tests.id(key || 2), tests.lease(key || 2));
  commit;
  perform job_release(tests.id(key || 3), tests.lease(key || 3));
  commit;
  perform job_cancel(job_id => key || 3);
  commit;
  perform job_cancel(job_id => key || 6);
  commit;
  perform job_complete(tests.id(key || 6), tests.lease(key || 6)); -- a success stays one
  commit;
  -- 2 again, and back.
  update jobs set priority = 10 where job_id = key || 2;
  commit;
  perform tests.run_again(key || 2);
  commit;
  perform job_fail(tests.id(key || 2), tests.lease(key || 2));
  commit;
  perform job_retry(job_id => key || 2);
  commit;
  delete from jobs where job_id = key || 2;
  commit;
  -- 5 is claimed and completed by SQL of a client's own, after a pause.
  perform job_finish_many(format('[{"id": "%s", "lease_id": "%s", "release": {}}]', tests.id(key || 5),
                                 tests.lease(key || 5))::jsonb);
  commit;
  perform job_pause(job_id => key || 5);
  commit;
  perform job_resume(job_id => key || 5);
  commit;
  update jobs set status = 'in_progress', worker = 'direct' where job_id = key || 5;
  commit;
  update jobs set status = 'completed', worker = 'direct' where job_id = key || 5;
  commit;
  -- 12 waits for its child 15.
  update jobs set priority = 10 where job_id = key || 12;
  commit;
  perform tests.run_again(key || 12);
  commit;
  perform job_enqueue(type, job_id => key || 15, parent_job_id => tests.id(key || 12), priority => 10);
  perform job_await_children(tests.id(key || 12), tests.lease(key || 12));
  commit;
  perform job_next(c.id, c.lease_id, job_types => array[type]) from job_claim(array[type]) c;
  commit;
  -- The lease of 4 is over, then the time of 9 and 10, one of which is cancelled by hand.
  perform tests.at('12:30');
  perform job_maintain();
  commit;
  perform tests.at('13:30');
  perform job_cancel(job_id => key || 9);
  commit;
  perform job_maintain();
  commit;
end $$;

-- What all that comes to. Left are 7 (claimed by job_next, its lease is over as well), 8, 11, 13, 14, 4 and 12.
set jobs_ext.force_statement_path = off;
call tests.live('alpha');
select is(tests.stats('alpha'),
          'due 5, failed 1, reaped 2, claimed 11, expired 2, retried 4, waiting 6, enqueued 15, released 2, '
          'cancelled 3, completed 4', 'a life by the direct path');
set jobs_ext.force_statement_path = on;
call tests.live('beta');
select is(tests.stats('beta'), tests.stats('alpha'), 'and by statements');
select is((select (s.waiting, s.running, s.due, s.oldest_due)::text from job_stats('beta') s),
          (select (count(*) filter (where status in ('pending', 'queued')),
                   count(*) filter (where status = 'in_progress'),
                   count(*) filter (where status in ('pending', 'queued') and run_at <= '2030-01-01 13:30+00'),
                   min(run_at) filter (where status in ('pending', 'queued')))::text
           from jobs where job_type = 'beta'), 'what waits and runs is what jobs says');
select is((select array_agg(s.job_type order by s.job_type collate "C") from job_stats() s),
          (select array_agg(t.job_type::varchar order by t.job_type collate "C") from job_types t),
          'a row for each type');
select is((select array_agg(s.job_type) from job_stats() s),
          (select array_agg(s.job_type order by s.job_type collate "C") from job_stats() s), 'by name');
select is((select count(*) from job_stats('no-such-type')), 0::bigint, 'none for another type');
select is(tests.stats('gamma'), 'nothing', 'nothing of a type that has no jobs');
select is(tests.stats('alpha', '^enqueued_last|^claimed_last|^completed_last|^failed_last'),
          'failed_last_hour 1, claimed_last_hour 11, enqueued_last_hour 15, failed_last_minute 1, '
          'claimed_last_minute 11, completed_last_hour 4, enqueued_last_minute 15, completed_last_minute 4',
          'and so many of late');

--
-- What is rolled back does not count
--
select tests.at('14:00') \g /dev/null
select tests.stats('alpha') as alpha, tests.stats('beta') as beta \gset before_
create procedure tests.rolled_back(key text) language plpgsql as $$
begin
  perform job_enqueue('alpha', job_id => key), job_enqueue('beta', job_id => key || ' beta');
  perform job_complete(c.id, c.lease_id) from job_claim('{alpha,beta}', max_jobs => 2) c;
  perform job_fail(c.id, c.lease_id), job_cancel(job_id => key || ' beta') from job_claim('{alpha}') c;
  update jobs set status = 'cancelled' where job_id = key;
  delete from jobs where status = 'completed';
end $$;
set jobs_ext.force_statement_path = off;
begin;
call tests.rolled_back('rolled back');
rollback;
select is(tests.stats('alpha') || tests.stats('beta'), :'before_alpha' || :'before_beta', 'ROLLBACK');
set jobs_ext.force_statement_path = on;
begin;
call tests.rolled_back('rolled back');
rollback;
select is(tests.stats('alpha') || tests.stats('beta'), :'before_alpha' || :'before_beta', 'ROLLBACK of statements');
begin;
savepoint a;
call tests.rolled_back('one');
savepoint b;
call tests.rolled_back('two');
release b;
rollback to a;
commit;
select is(tests.stats('alpha') || tests.stats('beta'), :'before_alpha' || :'before_beta', 'ROLLBACK TO SAVEPOINT');
-- What stays, though a savepoint after it, or around it, was rolled back; and a thousand blocks with an EXCEPTION.
set jobs_ext.force_statement_path = off;
begin;
savepoint a;
select job_enqueue('gamma', job_id => 'g1') \g /dev/null
savepoint b;
select job_enqueue('gamma', job_id => 'g2') \g /dev/null
rollback to b;
select job_enqueue('gamma', job_id => 'g3') \g /dev/null
release b;
release a;
select job_enqueue('gamma', job_id => 'g4') \g /dev/null
select is(tests.stats('gamma'), 'due 3, waiting 3', 
          'before the commit nothing is counted, and the queue shows one''s own');
do $$ begin
  for i in 1 .. 1000 loop
    begin
      perform job_enqueue('gamma', job_id => 'loop ' || i);
      if i % 4 = 0 then
        raise exception 'no';
      end if;
    exception when raise_exception then
    end;
  end loop;
end $$;
commit;
select is(tests.stats('gamma'), 'due 753, waiting 753, enqueued 753', 'what was not rolled back counts');

--
-- How long jobs waited and ran
--
select job_type_set('timed') \g /dev/null
create procedure tests.timed() language plpgsql as $$
declare
  c jobs;
begin
  for n in 1 .. 100 loop
    perform tests.at('15:00');
    perform job_enqueue('timed', run_at => '2030-01-01 15:00+00');
    perform set_config('jobs_ext.now', ('2030-01-01 15:00+00'::timestamptz + n * interval '1 s')::text, false);
    select * into c from job_claim('{timed}');
    perform set_config('jobs_ext.now', ('2030-01-01 15:00+00'::timestamptz + n * interval '4 s')::text, false);
    if n % 2 = 0 then
      perform job_complete(c.id, c.lease_id);
    else
      perform job_fail(c.id, c.lease_id, permanent => true);
    end if;
    commit;
  end loop;
end $$;
call tests.timed();
create function tests.within(given interval, seconds numeric) returns boolean
language sql as $$ select abs(extract(epoch from given) - seconds) <= 0.05 * seconds $$;
select ok(tests.within(s.wait_p50, 50) and tests.within(s.wait_p95, 95) and tests.within(s.wait_p99, 99),
          format('jobs waited for 1 to 100 s: %s %s %s', s.wait_p50, s.wait_p95, s.wait_p99))
from job_stats('timed') s;
select ok(tests.within(s.run_p50, 150) and tests.within(s.run_p95, 285) and tests.within(s.run_p99, 297),
          format('and ran for 3 to 300 s: %s %s %s', s.run_p50, s.run_p95, s.run_p99))
from job_stats('timed') s;
select is(tests.stats('timed'), 'failed 50, claimed 100, enqueued 100, completed 50', 'all of them');
select is((select s.wait_p50 from job_stats('gamma') s), null, 'null where none was claimed');

--
-- Who sees what
--
create role tests_stats_member;
grant usage on schema tests, tap to tests_stats_member;
select jobs_ext.grant_role('tests_stats_member', 'monitor') \g /dev/null
alter table jobs enable row level security;
create policy own on jobs for select to tests_stats_member
  using (organisation_id = 'aaaaaaaa-0000-4000-8000-000000000000');
select tests.at('16:00') \g /dev/null
select job_enqueue('gamma', job_id => 'own ' || n, organisation_id => 'aaaaaaaa-0000-4000-8000-000000000000',
                   run_at => case when n = 1 then timestamptz '2030-01-01 15:00+00' else '2030-01-01 17:00+00' end)
from generate_series(1, 3) n \g /dev/null
select job_enqueue('timed', job_id => 'own timed', organisation_id => 'aaaaaaaa-0000-4000-8000-000000000000')
\g /dev/null
select job_claim('{timed}') \g /dev/null
set role tests_stats_member;
select results_eq(
  'select job_type::text, waiting, due, running, oldest_due from job_stats()',
  $$ values ('gamma', 3::bigint, 1::bigint, 0::bigint, '2030-01-01 15:00+00'::timestamptz),
            ('timed', 0, 0, 1, null) $$, 'a member sees the own jobs');
select is((select string_agg(e.key, ' ' order by e.place)
           from job_stats() s, jsonb_each_text(to_jsonb(s)) with ordinality e (key, value, place)
           where s.job_type = 'gamma' and e.value is not null),
          'due running waiting job_type oldest_due', 'and nothing that is counted of all');
select is((select count(*) from job_stats('alpha')), 0::bigint, 'nor a type of which it has none');
reset role;
alter table jobs disable row level security;
set role tests_stats_member;
select is((select s.enqueued from job_stats('gamma') s), 756::bigint, 'who sees all jobs sees all that is counted');
reset role;
revoke select on jobs from tests_stats_member;
set role tests_stats_member;
select tests.refuses('select job_stats()', '42501', 'permission denied for table jobs', 'job_stats without SELECT');
reset role;

--
-- Where the private tables are not built, and at REPEATABLE READ
--
select (select jsonb_agg(s.waiting || ' ' || s.due || ' ' || s.running) from job_stats() s) as depths \gset before_
begin transaction isolation level repeatable read;
select is((select jsonb_agg(s.waiting || ' ' || s.due || ' ' || s.running) from job_stats() s)::text, :'before_depths',
          'the same at REPEATABLE READ');
commit;
alter table jobs disable trigger user;
alter table jobs enable trigger user;
select is((select jsonb_agg(s.waiting || ' ' || s.due || ' ' || s.running) from job_stats() s)::text, :'before_depths',
          'the same where the private tables are not built');
select jobs_ext.rebuild_queue() \g /dev/null
select is((select jsonb_agg(s.waiting || ' ' || s.due || ' ' || s.running) from job_stats() s)::text, :'before_depths',
          'and where they are again');
truncate jobs;
select is(tests.stats('alpha'), replace(replace(:'before_alpha', 'due 5, ', ''), 'waiting 6, ', ''),
          'TRUNCATE leaves what was counted');

drop owned by tests_stats_member;
drop role tests_stats_member;
select * from finish();
