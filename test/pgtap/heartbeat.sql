-- job_heartbeat and job_heartbeat_many: leases that are renewed, progress, requests to stop.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select plan(60);

set jobs_ext.now = '2030-01-01 12:00:00+00';
select job_type_set('alpha', lease => '10 minutes') \g /dev/null

--
-- The type's lease: renewed once half of it is spent
--
select tests.run('job') as lease \gset
select tests.id('job') as id \gset
set jobs_ext.now = '2030-01-01 12:04:59+00';
select tests.everything() as before \gset
select is(h.lease_expires_at, '2030-01-01 12:10:00+00', 'before half of the lease is spent it stays as it is')
from job_heartbeat(:'id', :'lease') h;
select is(tests.everything(), :'before', 'and nothing is written');
set jobs_ext.now = '2030-01-01 12:05:01+00';
select is(h.lease_expires_at, '2030-01-01 12:15:01+00', 'once half of the lease is spent it counts from now')
from job_heartbeat(:'id', :'lease') h;
select is((tests.job('job')).lease_expires_at, '2030-01-01 12:15:01+00', 'what comes back is what holds');
select is((tests.job('job')).heartbeat_at, '2030-01-01 12:05:01+00', 'the heartbeat is noted');
select is((tests.job('job')).updated_at, '2030-01-01 12:05:01+00', 'the row says that it changed');
select tests.in_step('a renewed lease moves the queue''s row');

select is(row(h.id, h.job_id, h.job_type, h.status, h.attempt, h.retries, h.lease_id, h.run_at, h.cancel_requested_at,
              h.finished_at, h.created)::text,
          row(:'id'::uuid, 'job', 'alpha', 'in_progress', 1, 0, :'lease'::uuid, timestamptz '2000-01-01+00', null,
              null, null)::text,
          'the state of the job comes back')
from job_heartbeat(:'id', :'lease') h;

-- A lease that has run out and was not taken away yet is renewed: nobody else has the job.
set jobs_ext.now = '2030-01-01 13:00:00+00';
select is(h.lease_expires_at, '2030-01-01 13:10:00+00', 'a lease that has just run out is renewed')
from job_heartbeat(:'id', :'lease') h;
select is(job_maintain() ->> 'leases_reaped', '0', 'and the job is not taken away');

-- The type's lease may be another one by now.
select job_type_set('alpha', lease => '1 minute') \g /dev/null
set jobs_ext.now = '2030-01-01 13:09:40+00';
select is(h.lease_expires_at, '2030-01-01 13:10:40+00', 'a renewal takes the lease that the type has by now')
from job_heartbeat(:'id', :'lease') h;

-- Without a lease of the type: jobs_ext.default_lease.
select tests.run('default', 'gamma') as default_lease \gset
set jobs_ext.now = '2030-01-01 13:15:00+00';
select is(h.lease_expires_at, '2030-01-01 13:25:00+00', 'a type without a lease: jobs_ext.default_lease')
from job_heartbeat(tests.id('default'), :'default_lease') h;

--
-- An explicit lease: always, from now
--
select job_heartbeat(:'id', :'lease', lease => '10 minutes') \g /dev/null
select is(h.lease_expires_at, '2030-01-01 13:45:00+00', 'a longer one holds at once')
from job_heartbeat(:'id', :'lease', lease => '30 minutes') h;
select tests.in_step('a longer lease moves the queue''s row');
select is(h.lease_expires_at, '2030-01-01 13:16:00+00', 'a shorter one too')
from job_heartbeat(:'id', :'lease', lease => '1 minute') h;
select tests.in_step('a shorter lease moves the queue''s row');
set jobs_ext.now = '2030-01-01 13:16:01+00';
select is(job_maintain() ->> 'leases_reaped', '1', 'a lease that was made shorter ends earlier');
select is(tests.status('job'), 'pending', 'and its job is tried again');

--
-- The run-time limit
--
select job_type_set('beta', lease => '10 minutes', timeout => '15 minutes') \g /dev/null
select tests.run('limited', 'beta') as limited \gset
set jobs_ext.now = '2030-01-01 13:26:01+00';
select is(row(h.lease_expires_at, j.timeout_at)::text,
          row(timestamptz '2030-01-01 13:36:01+00', timestamptz '2030-01-01 13:31:01+00')::text,
          'a heartbeat does not move the run-time limit')
from job_heartbeat(tests.id('limited'), :'limited') h, tests.job('limited') j;
select tests.in_step('the limit is what the queue goes by');

--
-- Progress
--
select tests.run('p') as p \gset
select tests.id('p') as pid \gset
set jobs_ext.now = '2030-01-01 13:26:02+00';
select job_heartbeat(:'pid', :'p', '{"done": 10, "of": 100}') \g /dev/null
select is((tests.job('p')).progress, '{"done": 10, "of": 100}', 'progress is kept');
select is((tests.job('p')).heartbeat_at, '2030-01-01 13:26:02+00', 'progress is a heartbeat');
select is((tests.job('p')).lease_expires_at,
          '2030-01-01 13:27:01+00', 'progress alone renews no lease before its time');
select job_heartbeat(:'pid', :'p') \g /dev/null
select is((tests.job('p')).progress, '{"done": 10, "of": 100}', 'progress null leaves what is there');
select job_heartbeat(:'pid', :'p', '{"step": "upload"}') \g /dev/null
select is((tests.job('p')).progress, '{"step": "upload"}', 'progress replaces what is there');
select tests.refuses(format('select job_heartbeat(%L, %L, to_jsonb(repeat(''x'', 300 * 1024)))', :'pid', :'p'),
                     'PT413', '%progress%307%256%', 'progress over jobs_ext.max_payload is refused');

-- A request to stop.
select job_cancel(:'pid') \g /dev/null
set jobs_ext.now = '2030-01-01 13:26:03+00';
select is(h.cancel_requested_at, '2030-01-01 13:26:02+00', 'the heartbeat tells the worker to stop')
from job_heartbeat(:'pid', :'p') h;
select is(h.status, 'in_progress', 'until then the job runs') from job_heartbeat(:'pid', :'p') h;

--
-- Refused
--
select tests.refuses(format('select job_heartbeat(%L, %L)', :'pid', :'limited'), 'PT409', '%lease%' || :'pid' || '%',
                     'lease_lost', 'another job''s lease is refused');
select tests.refuses(format('select job_heartbeat(%L, %L)', tests.id('job'), :'lease'),
                     'PT409', '%' || tests.id('job') || '%', 'lease_lost', 'a lease that was taken away is refused');
select job_complete(:'pid', :'p') \g /dev/null
select tests.refuses(format('select job_heartbeat(%L, %L)', :'pid', :'p'), 'PT409', '%' || :'pid' || '%', 'lease_lost',
                     'the lease of a job that ended is refused');
select tests.refuses($$ select job_heartbeat('00000000-0000-7000-8000-000000000001', gen_random_uuid()) $$, 'PT404',
                     '%00000000-0000-7000-8000-000000000001', 'an unknown job');
select tests.refuses('select job_heartbeat(null, gen_random_uuid())', '22023', 'id %null%', 'id null is refused');
select tests.refuses('select job_heartbeat(gen_random_uuid(), null)',
                     '22023', 'lease_id %null%', 'lease_id null is refused');
select tests.refuses(format('select job_heartbeat(%L, %L, lease => ''0'')', tests.id('limited'), :'limited'), '22023',
                     'lease %', 'a lease of nothing is refused');
select tests.refuses(format('select job_heartbeat(%L, %L, lease => ''-1 h'')', tests.id('limited'), :'limited'),
                     '22023', 'lease %-01:00:00', 'a negative lease is refused');
begin read only;
select tests.refuses(format('select job_heartbeat(%L, %L)', tests.id('limited'), :'limited'), '25006',
                     '%job_heartbeat()%', 'a read-only transaction cannot');
rollback;

--
-- job_heartbeat_many
--
set jobs_ext.now = '2030-01-01 14:00:00+00';
select tests.run('m1') as m1, tests.run('m2') as m2, tests.run('m3') as m3 \gset
set jobs_ext.now = '2030-01-01 14:00:40+00';
select jsonb_build_array(
         jsonb_build_object('id', tests.id('m3'), 'lease_id', :'m3', 'progress', '{"p": 3}'::jsonb),
         jsonb_build_object('id', tests.id('m1'), 'lease_id', :'m1', 'progress', null),
         jsonb_build_object('id', tests.id('m2'), 'lease_id', :'m1'),
         jsonb_build_object('id', tests.id('m2'), 'lease_id', :'m2', 'progress', '[2]'::jsonb)) as many \gset
create temp table answers as
select h.*, row_number() over () as position from job_heartbeat_many(:'many') h;
select is(array_agg(a.job_id order by a.position) filter (where a.lease_id is not null), '{m3, m1, m2}',
          'many: in the order in which they were given') from answers a;
select is(array_agg(distinct a.lease_expires_at) filter (where a.lease_id is not null), '{2030-01-01 14:01:40+00}',
          'many: each lease that still held is renewed') from answers a;
select is(row((tests.job('m3')).progress, (tests.job('m1')).progress, (tests.job('m2')).progress)::text,
          row('{"p": 3}'::jsonb, null, '[2]'::jsonb)::text, 'many: each has its progress');
select is(row(a.job_id, a.lease_id, a.lease_expires_at, a.status)::text, row('m2', null, null, 'in_progress')::text,
          'many: a lost one says so by a row without a lease; the others take effect')
from answers a where a.position = 3;
select tests.in_step('many renewed leases move the queue''s rows');
select is(array_agg(h.lease_expires_at), array_fill(timestamptz '2030-01-01 16:00:40+00', '{3}'),
          'many: an explicit lease holds at once for all')
from job_heartbeat_many(
  format('[{"id": "%s", "lease_id": "%s"}, {"id": "%s", "lease_id": "%s"}, {"id": "%s", "lease_id": "%s"}]',
         tests.id('m1'), :'m1', tests.id('m2'), :'m2', tests.id('m3'), :'m3')::jsonb,
  '2 hours') h;
select is((select count(*) from job_heartbeat_many('[]')), 0::bigint, 'many: none at all');

select tests.refuses('select job_heartbeat_many(null)', '22023', 'leases %null%', 'many: null is refused');
select tests.refuses(format('select job_heartbeat_many(%L)', call.leases),
                     '22023', call.message, 'many: ' || call.about)
from (values ('{}', 'leases must be a JSON array%', 'an object is refused'),
             ('1', 'leases must be a JSON array%', 'a scalar is refused')
     ) as call (leases, message, about);
set jobs_ext.max_batch = 3;
select tests.refuses(format('select job_heartbeat_many(%L)', :'many'),
                     'PT413',
                     'leases has too many elements: 4, and jobs_ext.max_batch is 3',
                     'many: too many elements are refused');
reset jobs_ext.max_batch;

-- What is wrong with one element keeps no other lease from being renewed.
create function tests.beats(leases jsonb) returns text
language sql as $$
  select string_agg(concat_ws(' ', coalesce(j.job_id, '?'), coalesce(a.job_id, '-'),
                              coalesce(a.lease_expires_at::time::text, '-')),
                    ', ')
  from job_heartbeat_many(leases, '1 min') a left join public.jobs j on j.id = a.id
$$;
set timezone = 'UTC';
set jobs_ext.now = '2030-01-01 14:10:00+00';
select is(tests.beats(jsonb_build_array(
            jsonb_build_object('id', tests.id('m1'), 'lease_id', :'m1'), bad.element,
            jsonb_build_object('id', tests.id('m2'), 'lease_id', :'m2'))),
          'm1 m1 14:11:00, ' || bad.answer::text || ', m2 m2 14:11:00', 'many: beside ' || bad.element::text)
from (values ('3'::jsonb, '? - -'),
             ('{}', '? - -'),
             (jsonb_build_object('id', tests.id('m3')), 'm3 - -'),
             (jsonb_build_object('lease_id', :'m3'), '? - -'),
             (jsonb_build_object('id', tests.id('m3'), 'lease_id', :'m3', 'ID', 1), 'm3 - -'),
             (jsonb_build_object('id', 'x', 'lease_id', :'m3'), '? - -'),
             (jsonb_build_object('id', tests.id('m3'), 'lease_id', 'x'), 'm3 - -')) as bad (element, answer);
-- A progress that is too large is dropped.
select is(tests.beats(jsonb_build_array(jsonb_build_object('id', tests.id('m1'), 'lease_id', :'m1', 'progress', 1),
                                        jsonb_build_object('id', tests.id('m3'), 'lease_id', :'m3',
                                                           'progress', repeat('x', 300 * 1024)),
                                        jsonb_build_object('id', tests.id('m2'), 'lease_id', :'m2', 'progress', 2))),
          'm1 m1 14:11:00, m3 m3 14:11:00, m2 m2 14:11:00',
          'many: each lease is renewed beside a progress that is too large');
select is(row((tests.job('m1')).progress, (tests.job('m3')).progress, (tests.job('m2')).progress)::text,
          row('1'::jsonb, '{"p": 3}'::jsonb, '2'::jsonb)::text, 'many: which is dropped, and the others are written');
select tests.in_step('many: the queue follows');
-- So is one with which the row would be; what somebody else made too large keeps its lease.
set jobs_ext.max_payload = '900kB';
update jobs set metadata = jsonb_build_object('a', repeat('x', 600 * 1024)) where job_id = 'm3';
select is(tests.beats(jsonb_build_array(jsonb_build_object('id', tests.id('m3'), 'lease_id', :'m3',
                                                           'progress', repeat('x', 600 * 1024)))),
          'm3 m3 14:11:00', 'many: a row that would be too large');
select tests.refuses(format('select job_heartbeat(%L, %L, to_jsonb(repeat(''x'', 600 * 1024)))',
                            tests.id('m3'), :'m3'),
                     'PT413', 'job % would be too large: %', 'a single one is told');
reset jobs_ext.max_payload;

select * from finish();
