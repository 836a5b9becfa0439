-- job_finish_many: many outcomes in one call, one answer for each.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select plan(54);

set jobs_ext.now = '2030-01-01 12:00:00+00';

create function tests.outcome(key text, lease uuid, ending jsonb) returns jsonb
language sql as $$ select jsonb_build_object('id', tests.id(key), 'lease_id', lease) || ending $$;

create function tests.running(key text, ending jsonb) returns jsonb
language plpgsql as $$
declare
  lease constant uuid := tests.run(key);
begin
  return tests.outcome(key, lease, ending);
end $$;

-- The answers, job by job, in the order in which they came.
create function tests.answers(outcomes jsonb) returns text
language sql as $$
  select coalesce(string_agg(concat_ws(' ', coalesce(j.job_id, '?'), coalesce(a.outcome, '-'),
                                       coalesce(a.sqlstate, '-'), coalesce(a.status, '-')),
                             ', ' order by a.ordinality),
                  '')
  from job_finish_many(outcomes) with ordinality a
  left join public.jobs j on j.id = a.id
$$;

--
-- Each ending, in order
--
select tests.run('c'), tests.run('f'), tests.run('g'), tests.run('r'), tests.run('s'), tests.run('n') \g /dev/null
create temp table lease as select j.job_id as key, j.lease_id as id from jobs j;
set jobs_ext.now = '2030-01-01 12:00:10+00';
select jsonb_agg(tests.outcome(o.key, l.id, o.ending) order by o.position) as outcomes
from (values
  (1, 's', '{"release": {"run_at": "2030-01-02T00:00:00Z"}}'::jsonb),
  (2, 'c', '{"complete": {"rows": 3}}'),
  (3, 'g', '{"fail": {"permanent": true}}'),
  (4, 'r', '{"release": null}'),
  (5, 'f', '{"fail": {"error_message": "broken", "run_at": "2030-01-03T00:00:00Z", "error_details": {"code": 7}}}'),
  (6, 'n', '{"complete": null}')) as o (position, key, ending)
join lease l using (key) \gset
select is(
  tests.answers(:'outcomes'),
  's release - pending, c complete - completed, g fail - failed, '
  'r release - pending, f fail - pending, n complete - completed',
  'one answer for each, in order: what was asked for, no error, the status now');
select is(row(j.status, j.result, j.execution_time_ms, j.finished_at)::text,
          row('completed', '{"rows": 3}'::jsonb, 10000, timestamptz '2030-01-01 12:00:10+00')::text,
          'complete: as job_complete')
from tests.job('c') j;
select is((tests.job('n')).result, null, 'complete null: without a result');
select is(row(j.status, j.retries, j.run_at, j.error_message)::text,
          row('pending', 1, timestamptz '2030-01-03 00:00+00', 'broken')::text, 'fail: as job_fail')
from tests.job('f') j;
select is(row(j.status, j.retries, j.error_message)::text, row('failed', 0, null)::text, 'fail: permanently')
from tests.job('g') j;
select is(row(j.status, j.run_at)::text,
          row('pending', timestamptz '2030-01-01 12:00:10+00')::text, 'release: as job_release')
from tests.job('r') j;
select is((tests.job('s')).run_at, '2030-01-02 00:00+00', 'release: until then');
select results_eq($$ select j.job_id::text, a.outcome, a.error_message, a.error_details, a.ended_at
                     from job_attempts a join jobs j on j.id = a.job order by 1 $$,
                  $$ values ('f', 'failed', 'broken', '{"code": 7}'::jsonb, '2030-01-01 12:00:10+00'::timestamptz),
                            ('g', 'failed', null, null, '2030-01-01 12:00:10+00'),
                            ('r', 'released', null, null, '2030-01-01 12:00:10+00'),
                            ('s', 'released', null, null, '2030-01-01 12:00:10+00') $$,
                  'the attempts that did not succeed are in job_attempts');
select tests.in_step('the private tables followed');

-- All of it again: a reply that was lost.
set jobs_ext.now = '2030-01-01 12:00:20+00';
select tests.everything() as before \gset
select is(
  tests.answers(:'outcomes'),
  's release - pending, c complete - completed, g fail - failed, '
  'r release - pending, f fail - pending, n complete - completed',
  'the same call again gives the same answers');
select is(tests.everything(), :'before', 'and changes nothing');

--
-- What is stale says so, the others take effect
--
select tests.run('a1') as a1, tests.run('a2') as a2, tests.run('a3') as a3, tests.run('a4') as a4 \gset
select job_cancel(job_id => 'a2', force => true) \g /dev/null
select is(tests.answers(jsonb_build_array(tests.outcome('a4', :'a4', '{"fail": {"error_message": "x"}}'),
                                          tests.outcome('a3', :'a4', '{"fail": null}'),
                                          tests.outcome('a2', :'a2', '{"complete": 2}'),
                                          jsonb_build_object('id', '00000000-0000-7000-8000-000000000001',
                                                             'lease_id', :'a1', 'release', null),
                                          tests.outcome('a1', :'a1', '{"complete": 1}'),
                                          tests.outcome('a3', :'a3', '{"complete": 3}'))),
          'a4 fail - pending, a3 fail PT409 in_progress, a2 complete PT409 cancelled, ? release PT404 -, '
          'a1 complete - completed, a3 complete - completed',
          'under another lease, cancelled, unknown: PT409 and PT404; the others take effect');
select is((tests.job('a3')).result, '3', 'the right lease was the one that took effect');
-- Archived.
select tests.run('old') as old \gset
select job_complete(tests.id('old'), :'old') \g /dev/null
insert into jobs_archive select (jsonb_populate_record(null::job, to_jsonb(j))).* from tests.job('old') j;
delete from jobs where job_id = 'old';
select results_eq($$ select f.outcome, f.sqlstate, f.status
                     from jobs_archive a,
                          job_finish_many(jsonb_build_array(jsonb_build_object('id', a.id, 'lease_id', a.lease_id,
                                                                               'complete', null))) f $$,
                  $$ values ('complete', 'PT409', null) $$, 'an archived job is PT409');

--
-- The same job twice: the second sees what the first did
--
select tests.run('t1') as t1, tests.run('t2') as t2, tests.run('t3') as t3, tests.run('t4') as t4 \gset
select is(tests.answers(jsonb_build_array(
            tests.outcome('t2', :'t2', '{"fail": {"permanent": true}}'), tests.outcome('t1', :'t1', '{"complete": 1}'),
            tests.outcome('t3', :'t3', '{"release": null}'), tests.outcome('t1', :'t1', '{"complete": 2}'),
            tests.outcome('t2', :'t2', '{"complete": 2}'), tests.outcome('t3', :'t3', '{"release": null}'),
            tests.outcome('t4', :'t1', '{"complete": 1}'), tests.outcome('t4', :'t4', '{"complete": 2}'))),
          't2 fail - failed, t1 complete - completed, t3 release - pending, t1 complete - completed, '
          't2 complete PT409 failed, t3 release - pending, t4 complete PT409 in_progress, t4 complete - completed',
          'twice the same is no error; another outcome is too late; a wrong lease before the right one does no harm');
select is((tests.job('t1')).result, '1', 'the first result stays');
select is((select count(*) from job_attempts where job in (tests.id('t2'), tests.id('t3'))),
          2::bigint, 'an attempt is noted once');
select tests.in_step('the private tables followed');

--
-- A thousand
--
select job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'beta', 'job_id', 'm' || i))
                         from generate_series(1, 1000) i))
\g /dev/null
create temp table thousand as
select c.id, c.lease_id, substr(c.job_id, 2)::int as i from job_claim('{beta}', max_jobs => 1000) c;
select is((select count(*) from thousand), 1000::bigint, 'a thousand are claimed in one call');
create temp table answers as
select a.*
from job_finish_many(
  (select jsonb_agg(
     jsonb_build_object('id', t.id, 'lease_id', t.lease_id) || case t.i % 3
                                                                 when 0 then jsonb_build_object('complete', t.i)
                                                                 when 1 then '{"fail": {"run_at": "2030-02-01"}}'
                                                                 else '{"release": null}' end
     order by md5(t.i::text))
   from thousand t)) with ordinality a;
select results_eq('select a.id from answers a order by a.ordinality',
                  'select t.id from thousand t order by md5(t.i::text)',
                  'a thousand: the answers come in the order of the array');
select results_eq('select a.outcome, a.sqlstate, a.status, count(*)::int from answers a group by 1, 2, 3 order by 1',
                  $$ values ('complete', null, 'completed', 333),
                            ('fail', null, 'pending', 334),
                            ('release', null, 'pending', 333) $$,
                  'a thousand: each took effect');
select is((select count(*) from thousand t join jobs j using (id) where j.result = to_jsonb(t.i)), 333::bigint,
          'a thousand: each completed one has its own result');
select tests.in_step('a thousand: the private tables followed');

-- What is not in jobs may be in an archive that can't be used: that concerns one element.
select job_enqueue('beta', job_id => 'in the archive''s way', priority => 10) \g /dev/null
create temp table beside as select c.id, c.lease_id from job_claim('{beta}') c;
alter table jobs_archive rename column worker to other;
select results_eq(
  $$ select f.sqlstate, f.status from beside b, job_finish_many(jsonb_build_array(
       jsonb_build_object('id', gen_random_uuid(), 'lease_id', gen_random_uuid(), 'complete', null),
       jsonb_build_object('id', b.id, 'lease_id', b.lease_id, 'complete', null))) f $$,
  $$ values ('42804', null), (null, 'completed') $$, 'an archive that was altered keeps nobody else from completing');
alter table jobs_archive rename column other to worker;

-- None.
select is(tests.answers('[]'), '', 'none at all');

--
-- No list: nothing takes effect
--
select tests.run('held') as held \gset
select tests.refuses('select job_finish_many(null)', '22023', 'outcomes %null%', 'null is refused');
select tests.refuses(format('select job_finish_many(%L)', call.outcomes),
                     '22023', call.message, call.outcomes || ' is refused')
from (values
  ('{}', 'outcomes must be a JSON array%'),
  ('"x"', 'outcomes must be a JSON array%'),
  ('null', 'outcomes must be a JSON array%')) as call (outcomes, message);
set jobs_ext.max_batch = 2;
select tests.refuses(
  format('select job_finish_many(%L)', jsonb_build_array(tests.outcome('held', :'held', '{"complete": 1}'), 2, 3)),
  'PT413', 'outcomes has too many elements: 3, and jobs_ext.max_batch is 2', 'too many elements are refused');
reset jobs_ext.max_batch;

--
-- A malformed or too large element is its own outcome; those before and after it take effect
--
create temp table malformed as
select row_number() over () as n, call.*
from (values
  ('null'::jsonb, '22023', null, '? - 22023 -'),
  ('[]', '22023', null, null),
  ('3', '22023', null, null),
  ('{}', '22023', '{}', 'held - 22023 -'),
  ('{}', '22023', '{"complete": 1, "release": {}}', 'held - 22023 -'),
  ('{}', '22023', '{"done": 1}', 'held - 22023 -'),
  ('{}', '22023', '{"fail": 7}', 'held fail 22023 -'),
  ('{}', '22023', '{"fail": {"message": "x"}}', 'held fail 22023 -'),
  ('{}', '22023', '{"fail": {"run_at": "infinity"}}', 'held fail 22023 -'),
  ('{}', '22007', '{"fail": {"run_at": "tomorrow evening"}}', 'held fail 22007 -'),
  ('{}', '22P02', '{"fail": {"permanent": "perhaps"}}', 'held fail 22P02 -'),
  ('{}', '22023', '{"release": {"at": 1}}', 'held release 22023 -'),
  ('{}', '22023', '{"release": {"run_at": {}}}', 'held release 22023 -'),
  ('{}', '22023', '{"complete": 1, "id": null}', '? complete 22023 -'),
  ('{}', '22023', '{"complete": 1, "lease_id": null}', 'held complete 22023 -'),
  ('{}', '22P02', '{"complete": 1, "lease_id": "x"}', 'held complete 22P02 -'),
  ('{}', '22P02', '{"complete": 1, "id": "x"}', '? - 22P02 -'),
  ('{}', 'PT413', jsonb_build_object('complete', repeat('x', 300 * 1024)), 'held complete PT413 -'),
  ('{}', '22023', '{"fail": {"error_details": 1}, "worker": 1}', 'held fail 22023 -')
) as call (whole, state, ending, answer);
select is(tests.answers(jsonb_build_array(tests.running('before ' || m.n, '{"complete": 1}'),
                                          case when m.ending is null then m.whole
                                               else tests.outcome('held', :'held', m.ending) end,
                                          tests.running('after ' || m.n, '{"complete": 1}'))),
          format('before %s complete - completed, %s, after %s complete - completed',
                 m.n, coalesce(m.answer, '? - 22023 -'), m.n),
          'between two good ones: ' || left(coalesce(m.ending, m.whole)::text, 60))
from malformed m;
select is((select count(*) from jobs where job_id ~ '^(before|after) ' and status = 'completed'),
          2 * count(*), 'the good ones are completed')
from malformed;
select is(tests.answers((select jsonb_agg(case when i = 500 then tests.outcome('held', :'held', '{"complete": 1}')
                                               else '{}' end)
                         from generate_series(1, 1000) i)),
          repeat('? - 22023 -, ', 499) || 'held complete - completed' || repeat(', ? - 22023 -', 500),
          'one good one among a thousand bad');

-- A row that would be too large with it, by what is there already.
set jobs_ext.max_payload = '900kB';
select tests.run('large') as large \gset
update jobs set metadata = jsonb_build_object('a', repeat('x', 600 * 1024)) where job_id = 'large';
select is(tests.answers(jsonb_build_array(tests.outcome('large', :'large',
                                                        jsonb_build_object('complete', repeat('x', 600 * 1024))),
                                          tests.running('beside', '{"complete": 1}'))),
          'large complete PT413 in_progress, beside complete - completed', 'a row that would be too large');
select is(tests.answers(jsonb_build_array(tests.outcome('large', :'large', '{"complete": 1}'))),
          'large complete - completed', 'is completed with less');
reset jobs_ext.max_payload;

-- A JSON null is as if the key were left out.
select is(
  tests.answers(
    jsonb_build_array(
      tests.running(
        'nulls 1',
        '{"complete": null, "fail": {"permanent": null, "run_at": null, "error_message": null}, "release": null}'),
      tests.running('nulls 2', '{"complete": 1, "fail": null, "release": null}'),
      tests.running('nulls 3', '{"fail": null}'),
      tests.running('nulls 4', '{"complete": null, "fail": null}'))),
  'nulls 1 fail - pending, nulls 2 complete - completed, nulls 3 fail - pending, nulls 4 - 22023 -',
  'nulls beside the ending that is meant');

select * from finish();
