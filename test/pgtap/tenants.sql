-- What a member of an organisation tries against others: to learn of their jobs, to name them, to come before them, to
-- be somebody else. Each attempt is made by a function and by an INSERT, where there is such a way.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
begin;
select no_plan();
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
\set a '''aaaaaaaa-0000-0000-0000-000000000001'''
\set b '''bbbbbbbb-0000-0000-0000-000000000001'''
\set ann '''aaaaaaaa-0000-0000-0000-00000000000a'''
\set bob '''bbbbbbbb-0000-0000-0000-00000000000b'''

-- A member as PostgREST has it: the role, and the claims of the JWT.
create role tests_member;
create role tests_service bypassrls;
select jobs_ext.grant_role('tests_member', 'producer'), jobs_ext.grant_role('tests_service', 'worker') \g /dev/null
alter table jobs enable row level security;
create policy members on jobs to tests_member
  using (organisation_id = (select (current_setting('request.jwt.claims')::jsonb ->> 'org_id')::uuid))
  with check (organisation_id = (select (current_setting('request.jwt.claims')::jsonb ->> 'org_id')::uuid));
create function pg_temp.become(who text) returns void language plpgsql as $$
begin
  perform set_config('request.jwt.claims', (case who
    when 'ann' then '{"org_id": "aaaaaaaa-0000-0000-0000-000000000001", "sub": "aaaaaaaa-0000-0000-0000-00000000000a"}'
    when 'bob' then '{"org_id": "bbbbbbbb-0000-0000-0000-000000000001", "sub": "bbbbbbbb-0000-0000-0000-00000000000b"}'
    else '{"org_id": "aaaaaaaa-0000-0000-0000-000000000001", "sub": "user_2abc"}' end), true);
  execute 'set local role tests_member';
end $$;
select job_type_set('work') \g /dev/null
select pg_temp.become('bob') \g /dev/null
select id as of_bob from job_enqueue('work', job_id => 'of bob') \gset
select pg_temp.become('ann') \g /dev/null
select id as of_ann from job_enqueue('work', job_id => 'of ann') \gset

--
-- created_by
--
select results_eq($$ select created_by from jobs where job_id = 'of ann' $$,
                  format('values (%L::uuid)', :ann), 'created_by is the sub of the JWT, by job_enqueue');
select job_enqueue('work', job_id => 'own name', created_by => :ann),
       job_enqueue_many(jsonb_build_array(jsonb_build_object('job_type', 'work', 'job_id', 'own name too',
         'created_by', :ann)))
\g /dev/null
insert into jobs (job_type, job_id, organisation_id) values ('work', 'inserted', :a);
insert into jobs (job_type, job_id, organisation_id, created_by) values ('work', 'inserted, own name', :a, :ann);
select results_eq($$ select distinct created_by, count(*) over () from jobs $$, format('values (%L::uuid, 5::bigint)',
  :ann),
                  'the same by each way, also where the client says so itself, as the seed''s createJob does');
select tests.refuses(call, '42501', '%created_by names another than the user of the request: bbbbbbbb-0000%', what)
from (values
  ('job_enqueue: created_by of another user', format('select job_enqueue(%L, created_by => %L)', 'work', :bob)),
  ('job_enqueue_many: created_by of another user',
   format('select job_enqueue_many(%L)',
          jsonb_build_array(jsonb_build_object('job_type', 'work'), jsonb_build_object('job_type', 'work',
            'created_by', :bob)))),
  ('INSERT: created_by of another user',
   format('insert into jobs (job_type, organisation_id, created_by) values (%L, %L, %L)', 'work', :a, :bob)),
  ('INSERT: one of many rows with created_by of another user',
   format('insert into jobs (job_type, organisation_id, created_by) values (%L, %L, null), (%1$L, %2$L, %L)',
          'work', :a, :bob))) v (what, call);
select pg_temp.become('nobody') \g /dev/null
select tests.refuses(format('select job_enqueue(%L, created_by => %L)', 'work', :bob), '42501',
  '%created_by names another%',
                     'job_enqueue: a creator where the JWT names no user by a uuid');
select tests.refuses(format('insert into jobs (job_type, organisation_id, created_by) values (%L, %L, %L)', 'work',
  :a, :bob),
                     '42501', '%created_by names another%', 'INSERT: a creator where the JWT names no user by a uuid');
insert into jobs (job_type, job_id, organisation_id) values ('work', 'of no user', :a);
select job_enqueue('work', job_id => 'of no user too') \g /dev/null
select results_eq($$ select created_by from jobs where job_id like 'of no user%' $$, 'values (null::uuid), (null)',
                  'without a user null stays null');
set local role tests_service;
insert into jobs (job_type, job_id, organisation_id, created_by) values ('work', 'served', :a, :bob);
select results_eq($$ select created_by from jobs where job_id = 'served' $$, format('values (%L::uuid)', :bob),
                  'who is not under row security says who it was');

--
-- Parents
--
reset role;
create temp table parents as
select * from (values ('of another organisation', :'of_bob'::uuid), ('that never was',
  '00000000-0000-7000-8000-000000000000'),
                      ('that is the new job itself', '00000000-0000-7000-8000-000000000001')) v (what, id);
grant select on parents to public;
select pg_temp.become('ann') \g /dev/null
select tests.refuses(format('select job_enqueue(%L, parent_job_id => %L)', 'work', id), '22023',
                     'parent_job_id names no job of this organisation: ' || id, 'job_enqueue: a parent ' || what)
from parents;
select tests.refuses(format('insert into jobs (id, job_type, organisation_id, parent_job_id) values (%L, %L, %L, %L)',
                            '00000000-0000-7000-8000-000000000001'::uuid, 'work', :a, id), '22023',
                     'parent_job_id names no job of this organisation: ' || id, 'INSERT: a parent ' || what)
from parents;
insert into jobs (job_type, job_id, organisation_id, parent_job_id) values ('work', 'child', :a, :'of_ann');
select results_eq($$ select parent_job_id from jobs where job_id = 'child' $$, format('values (%L::uuid)', :'of_ann'),
                  'a parent of the own organisation');
set local role tests_service;
select tests.refuses(format('insert into jobs (id, job_type, organisation_id, parent_job_id) values (%L, %L, %L, %L)',
                            '00000000-0000-7000-8000-000000000001'::uuid, 'work', :a, id), '22023',
                     'parent_job_id names no job of this organisation: ' || id, 'INSERT by a service: a parent '
                       || what)
from parents;
insert into jobs (id, job_type, job_id, organisation_id, parent_job_id) values
  ('00000000-0000-7000-8000-000000000002', 'work', 'parent in it', :a, null),
  ('00000000-0000-7000-8000-000000000003', 'work', 'child in it', :a, '00000000-0000-7000-8000-000000000002');
select isnt(parent_job_id, null, 'a parent of the same statement') from jobs where job_id = 'child in it';
reset role;
insert into jobs (id, job_type, organisation_id, parent_job_id)
values ('00000000-0000-7000-8000-000000000004', 'work', :a, '00000000-0000-7000-8000-000000000004');
select pass('what the owner inserts is kept as given');

--
-- Values that no job can have
--
create temp table bad as
select * from (values
  ('expires_at in the past', 'expires_at', '''2030-01-01 11:59+00''', 'expires_at is before the job could start: %'),
  ('expires_at now', 'expires_at', '''2030-01-01 12:00+00''', 'expires_at is before the job could start: %'),
  ('expires_at before run_at', 'run_at, expires_at', '''2030-01-03'', ''2030-01-02''',
   'expires_at is before the job could start: %'),
  ('expires_at that never comes', 'expires_at', '''infinity''', 'expires_at must be a finite time: infinity'),
  ('run_at before all times', 'run_at', '''-infinity''', 'run_at must be a finite time: -infinity'),
  ('a payload that is an array', 'input_payload', '''[1]''', 'input_payload must be a JSON object: %'),
  ('a payload that is a text', 'input_payload', '''"a"''', 'input_payload must be a JSON object: %'),
  ('a payload that is JSON''s null', 'input_payload', '''null''', 'input_payload must be a JSON object: %'),
  ('metadata that are an array', 'metadata', '''[]''', 'metadata must be a JSON object: %'),
  ('metadata that are a number', 'metadata', '''5''', 'metadata must be a JSON object: %')) v (what, columns, value,
    message);
grant select on bad to public;
select pg_temp.become('ann') \g /dev/null
select tests.refuses(format('insert into jobs (job_type, organisation_id, %s) values (%L, %L, %s)', columns, 'work',
  :a, value),
                     '22023', message, 'INSERT: ' || what) from bad;
select tests.refuses(format('select job_enqueue(%L, %s)', 'work',
                            (select string_agg(c || ' => ' || v, ', ')
                             from rows from (string_to_table(columns, ', '), string_to_table(value, ', ')) t (c, v))),
                     '22023', message, 'job_enqueue: ' || what) from bad;
set local role tests_service;
select tests.refuses(format('insert into jobs (job_type, organisation_id, %s) values (%L, %L, %s)', columns, 'work',
  :a, value),
                     '22023', message, 'INSERT by a service: ' || what) from bad;
insert into jobs (job_type, job_id, input_payload) values ('work', 'without a payload', null);
reset role;
insert into jobs (job_type, job_id, input_payload, expires_at) values ('work', 'of the owner', '[]', '2020-01-01');
select results_eq($$ select input_payload from jobs where job_id in ('without a payload',
  'of the owner') order by 1 nulls first $$,
                  $$ values (null::jsonb), ('[]') $$, 'no payload is a payload; the owner''s rows are kept');

--
-- run_at
--
select pg_temp.become('ann') \g /dev/null
select job_enqueue('work', job_id => 'first', run_at => '4713-01-01 BC'),
       job_enqueue_many('[{"job_type": "work", "job_id": "first of many", "run_at": "2000-01-01"}]') \g /dev/null
insert into jobs (job_type, job_id, organisation_id, run_at) values ('work', 'first by INSERT', :a, '4713-01-01 BC');
select results_eq($$ select job_id::text, run_at, status::text from jobs where job_id like 'first%' order by 1 $$,
                  $$ values ('first', '2030-01-01 12:00+00'::timestamptz, 'queued'),
                            ('first by INSERT', '2030-01-01 12:00+00', 'pending'),
                            ('first of many', '2030-01-01 12:00+00', 'queued') $$,
                  'a time in the past is now');
select tests.refuses($$ insert into jobs (job_type, organisation_id, priority) values ('work', '$$ || :a || $$', 11) $$,
                     '23514', '%check_priority%', 'no priority beyond those that there are');
set local role tests_service;
select job_enqueue('work', job_id => 'old', run_at => '2029-12-31') \g /dev/null
select results_eq($$ select run_at from jobs where job_id = 'old' $$, $$ values ('2029-12-31'::timestamptz) $$,
                  'who is not under row security may');
-- By every other way to name one.
reset role;
create role tests_steward;
grant tests_member to tests_steward;
grant update on jobs to tests_steward;
grant execute on function job_pause(uuid, text), job_resume(uuid, text, timestamptz) to tests_steward;
select pg_temp.become('ann') \g /dev/null
set local role tests_steward;
update jobs set run_at = '4713-01-01 BC' where job_id = 'first';
update jobs set run_at = '2031-01-01' where job_id = 'first by INSERT';
select job_pause(job_id => 'first of many') \g /dev/null
select job_resume(job_id => 'first of many', run_at => '2000-01-01') \g /dev/null
select results_eq($$ select job_id::text, run_at, status::text from jobs where job_id like 'first%' order by 1 $$,
                  $$ values ('first', '2030-01-01 12:00+00'::timestamptz, 'queued'),
                            ('first by INSERT', '2031-01-01', 'pending'),
                            ('first of many', '2030-01-01 12:00+00', 'queued') $$,
                  'by UPDATE and job_resume neither; the future stays');
update jobs set run_at = '2029-01-01', status = 'paused' where job_id = 'first by INSERT';
select is(run_at, '2030-01-01 12:00+00', 'nor with a move') from jobs where job_id = 'first by INSERT';
set local role tests_service;
update jobs set run_at = '2029-12-30' where job_id = 'old';
select is(run_at, '2029-12-30', 'who is not under row security may by UPDATE, too') from jobs where job_id = 'old';

--
-- Ids
--
reset role;
insert into jobs_archive (id, job_id, job_type, status, organisation_id, finished_at, created_at, updated_at, run_at,
  retries,
                          attempt, max_retries, retry_delay_ms, priority, metadata, archived_at)
values ('00000000-0000-7000-8000-00000000000a', 'archived', 'work', 'failed', :b, now(), now(), now(), now(), 0, 1, 0,
  0, 0,
        '{}', now());
select pg_temp.become('ann') \g /dev/null
insert into jobs (id, job_type, job_id, organisation_id) values
  ('00000000-0000-7000-8000-00000000000a', 'work', 'id of an archived one', :a),
  ('00000000-0000-7000-8000-00000000000b', 'work', 'id of its choice', :a),
  (:'of_bob', 'work', 'id of bob''s', :a), (null, 'work', 'id null', :a), (default, 'work', 'id default', :a);
select results_eq($$ select count(*), count(distinct id), bool_and(id > $$ || quote_literal(:'of_bob') || $$)
                     from jobs where job_id like 'id %' $$,
                  $$ values (5::bigint, 5::bigint, true) $$, 'a member''s ids are the server''s');
-- An id that was taken once is no default any more.
select id as made from jobs where job_id = 'id default' \gset
insert into jobs (id, job_type, job_id, organisation_id) values (:'made', 'work', 'again', :a);
select isnt(id, :'made', 'nor does an id serve twice') from jobs where job_id = 'again';
set local role tests_service;
select tests.refuses($$ insert into jobs (id, job_type) values ('00000000-0000-7000-8000-00000000000a', 'work') $$,
  'PT409',
                     'job 00000000-0000-7000-8000-00000000000a has ended and is archived', 'archived',
                     'the id of an archived job is taken');
select tests.refuses(format('insert into jobs (id, job_type) values (%L, %L)', :'of_bob', 'work'), '23505',
  '%jobs_pkey%',
                     'that of a job too');
insert into jobs (id, job_type, job_id) values ('00000000-0000-7000-8000-00000000000c', 'work',
  'of the service''s choice');
select results_eq($$ select id from jobs where job_id = 'of the service''s choice' $$,
                  $$ values ('00000000-0000-7000-8000-00000000000c'::uuid) $$, 'any other is the service''s to choose');

--
-- Another's job by its job_id: as nobody's
--
reset role;
select xmax as locked_by from jobs where job_id = 'of bob' \gset
-- How many buffers a call reads, whatever it raises: the least of some, since the first ones fill caches and plan.
create function pg_temp.buffers(call text) returns int language plpgsql as $$
declare
  plan jsonb;
  least int;
begin
  for i in 1 .. 12 loop
    execute format('explain (analyze, buffers, format json) select pg_temp.state_of(%L)', call) into plan;
    plan := plan #> '{0, Plan}';
    least := least(least, (plan ->> 'Shared Hit Blocks')::int + (plan ->> 'Shared Read Blocks')::int);
  end loop;
  return least;
end $$;
create function pg_temp.state_of(call text) returns text language plpgsql as $$
begin
  execute call;
  return 'nothing';
exception when others then
  return sqlstate;
end $$;
select pg_temp.become('ann') \g /dev/null
-- One block more is that of the row, which the policy has to read.
select is(pg_temp.state_of(format(call, 'job_id => ''of bob''')),
          pg_temp.state_of(format(call, 'job_id => ''no such''')), 'the same is said: ' || call)
from unnest(array['job_cancel', 'job_retry', 'job_get', 'job_wait']) f,
     format('select from %s(%%s)', f) call;
select cmp_ok(pg_temp.buffers(format(call, 'job_id => ''of bob''')), '<=',
              pg_temp.buffers(format(call, 'job_id => ''no such''')) + 1, 'and the same is read: ' || call)
from unnest(array['job_cancel', 'job_retry', 'job_get', 'job_wait']) f,
     format('select from %s(%%s)', f) call;
select cmp_ok(pg_temp.buffers(format(call, 'id => ' || quote_literal(:'of_bob'))), '<=',
              pg_temp.buffers(format(call, 'id => ''00000000-0000-7000-8000-000000000000''')) + 1,
              'by id too: ' || call)
from unnest(array['job_cancel', 'job_retry', 'job_get', 'job_wait']) f,
     format('select from %s(%%s)', f) call;
select cmp_ok(pg_temp.buffers(format('select job_enqueue(%L, parent_job_id => %L)', 'work', :'of_bob')), '<=',
              pg_temp.buffers(format('select job_enqueue(%L, parent_job_id => %L)', 'work',
                                     '00000000-0000-7000-8000-000000000000')) + 1,
              'and of a parent');
select is(pg_temp.state_of('select job_cancel(job_id => ''of bob'')'), 'PT404', 'no such job, it says');
reset role;
select is(status || xmax, 'queued' || :locked_by, 'it was not locked') from jobs where job_id = 'of bob';
select pg_temp.become('ann') \g /dev/null
select is((select status from job_cancel(job_id => 'of ann')), 'cancelled', 'one''s own is cancelled by its job_id');
select * from finish();
rollback;
