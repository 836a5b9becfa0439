-- Recurring jobs where pg_cron is not: what job_schedule refuses, and what a run does, called as pg_cron calls it.
-- With pg_cron: test/tap/schedules_by_cron.pl.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
begin;
set local timezone = 'UTC';
select no_plan();

-- What job_schedule refuses; whatever is good comes as far as pg_cron.
select tests.refuses('select job_schedule(' || t.arguments || ')',
                     coalesce(t.state, '22023'), t.message, 'job_schedule(' || t.arguments || ')')
from (values
  ($$null, '* * * * *', 'alpha'$$, null, 'name must not be null'),
  ($$'', '* * * * *', 'alpha'$$, null, 'name must not be empty'),
  ($$repeat('n', 54), '* * * * *', 'alpha'$$, null, 'name must have at most 53 characters: it has 54'),
  ($$repeat('☃', 18), '* * * * *', 'alpha'$$, null, 'name must have at most 53 bytes: it has 54'),
  ($$'n', null, 'alpha'$$, null, 'schedule must not be null'),
  ($$'n', '', 'alpha'$$, null, 'malformed schedule "": it is empty'),
  ($$'n', '* * * *', 'alpha'$$, null, 'malformed schedule "* * * *": day of the week is missing'),
  ($$'n', '0 * * * * *', 'alpha'$$, null, 'malformed schedule "0 * * * * *": "*" follows the five fields'),
  ($$'n', '61 * * * *', 'alpha'$$, null, 'malformed schedule "61 * * * *": minute "61" is not from 0 to 59'),
  ($$'n', '* * * * sat-sun', 'alpha'$$,
   null, 'malformed schedule "* * * * sat-sun": day of the week "sat-sun" runs backwards'),
  ($$'n', '☃ * * * *', 'alpha'$$, null, 'malformed schedule "☃ * * * *": minute "☃" cannot be read'),
  ($$'n', '@fortnightly', 'alpha'$$, null, 'malformed schedule "@fortnightly": "@fortnightly" is not known'),
  ($$'n', '60 seconds', 'alpha'$$, null, 'malformed schedule "60 seconds": "60 seconds" is not from 1 to 59 seconds'),
  ($$'n', repeat('1,', 500), 'alpha'$$, null, '%: it is longer than 999 bytes'),
  ($$'n', '* * * * *', null$$, null, 'job_type must not be null'),
  ($$'n', '* * * * *', 'alpa'$$, null, 'unknown job type "alpa"'),
  ($$'n', '* * * * *', 'alpha', '[1]'$$, null, 'input_payload must be a JSON object: [1]'),
  ($$'n', '* * * * *', 'alpha', priority => 11$$, null, 'priority %: 11'),
  ($$'n', '* * * * *', 'alpha', options => '7'$$, null, 'options must be a JSON object: 7'),
  ($$'n', '* * * * *', 'alpha', options => '{"run_at": "2030-01-01"}'$$, null, 'unknown key "run_at" in "options"'),
  ($$'n', '* * * * *', 'alpha', options => '{"job_id": "one"}'$$, null, 'unknown key "job_id" in "options"'),
  ($$'n', '* * * * *', 'alpha', options => '{"pile_up": "yes"}'$$, null, 'pile_up must be true or false: "yes"'),
  ($$'n', '* * * * *', 'alpha', options => '{"expires_in": "-1 hour"}'$$, null, 'expires_in %'),
  ($$'n', '* * * * *', 'alpha', options => '{"expires_in": "0 s"}'$$, null, 'expires_in %'),
  ($$'n', '* * * * *', 'alpha', options => '{"expires_in": {}}'$$, null, 'expires_in must be of type interval: {}'),
  ($$'n', '* * * * *', 'alpha', options => '{"max_retries": -1}'$$, null, 'max_retries %: -1'),
  ($$'n', '* * * * *', 'alpha', options => '{"metadata": 5}'$$, null, 'metadata must be a JSON object: 5'),
  ($$'n', '* * * * *', 'alpha', options => '{"organisation_id": "x"}'$$, '22P02', '%"x"%'),
  ($$'n', '* * * * *', 'alpha', jsonb_build_object('a', repeat('x', 256 * 1024))$$,
   'PT413', 'input_payload is too large%'),
  ($$'n', '* * * * *', 'alpha'$$, '0A000', 'recurring jobs need pg_cron'),
  ($$'n', '*/5 8-18 1,$ * *', 'alpha'$$, null, '%"$" cannot be read'),
  ($$'n', '@yearly', 'alpha', null, null, null$$, '0A000', 'recurring jobs need pg_cron'),
  ($$'n', '10 seconds', 'alpha', '{"a": 1}', -10, $$
   || $$'{"pile_up": true, "expires_in": "1 hour", "max_retries": 0, "metadata": null}'$$,
   '0A000', 'recurring jobs need pg_cron'),
  ($$'n', '10 seconds', 'alpha', '{"a": 1}', -10, $$
   || $$'{"pile_up": null, "expires_in": null, "max_retries": null, "metadata": {}, "created_by": null}'$$,
   '0A000', 'recurring jobs need pg_cron'),
  ($$repeat('☃', 17) || 'ab', '* * * * *', 'alpha'$$, '0A000', 'recurring jobs need pg_cron')
) as t (arguments, state, message);
select tests.refuses('select job_unschedule(null)', '22023', 'name must not be null', 'job_unschedule(null)');
select tests.refuses($$ select job_unschedule('n') $$,
                     '0A000', 'recurring jobs need pg_cron', 'job_unschedule() without pg_cron');

-- What to do is said.
create function pg_temp.advice(call text) returns text language plpgsql as $$
declare detail text; hint text;
begin
  execute call;
exception when others then
  get stacked diagnostics detail = pg_exception_detail, hint = pg_exception_hint;
  return concat_ws(' | ', detail, hint);
end $$;
select is(
  pg_temp.advice($$ select job_schedule('n', '* * * * *', 'alpha') $$),
  'pg_cron is not in shared_preload_libraries. | '
  'In postgresql.conf add pg_cron to shared_preload_libraries and set cron.database_name = '''
  || current_database() || ''', start the server anew, then: create extension pg_cron;',
  'how pg_cron is installed');
set local cron.log_run = 'on';
set local cron.database_name = 'elsewhere';
select matches(pg_temp.advice($$ select job_unschedule('n') $$),
               'not in shared_preload_libraries', 'whatever settings say that nobody knows');
select matches(pg_temp.advice($$ select job_schedule('n', '* * * * * *', 'alpha') $$),
               'Five fields: minute', 'how a schedule looks');
select matches(pg_temp.advice($$ select job_schedule('n', '* * * * *', 'alpa') $$),
               'nearest known types are "alpha"', 'which types there are');
select matches(pg_temp.advice($$ select job_schedule('n', '* * * * *', 'alpha', options => '{"a": 1}') $$),
               'expires_in, pile_up', 'which options there are');
select is_empty('select * from jobs_schedules', 'no pg_cron, no schedules');

-- A schema of that name is not pg_cron.
savepoint stranger;
create schema cron;
create function cron.schedule(text, text, text) returns bigint language plpgsql as $$ begin raise 'called'; end $$;
create table cron.job (jobid bigint, jobname text, schedule text, command text, active bool, database text,
                       username text);
insert into cron.job
values (1, 'jobs_ext: n', '* * * * *', 'select jobs_ext.run_schedule($jobs_ext${}$jobs_ext$::pg_catalog.jsonb)', true,
        'x', current_user);
select is_empty('select * from jobs_schedules', 'a table cron.job of somebody else''s');
select tests.refuses($$ select job_schedule('n', '* * * * *', 'alpha') $$,
                     '0A000', 'recurring jobs need pg_cron', 'a function cron.schedule of somebody else''s');
rollback to stranger;

-- A run, with all that can be said of its job.
set local jobs_ext.now = '2030-01-01 12:00:00+00';
create function pg_temp.run(name text, options jsonb default '{}', job_type text default 'alpha')
returns uuid language sql as
$$ select jobs_ext.run_schedule(jsonb_build_object('name', name, 'job_type', job_type, 'options', options)) $$;
create temp table first as
select jobs_ext.run_schedule(
  '{"name": "all", "job_type": "alpha", "input_payload": {"a": 1}, "priority": 7, "options": {
      "max_retries": 9, "retry_delay_ms": 5, "job_category": "rays",
      "organisation_id": "aaaaaaaa-0000-0000-0000-000000000001",
      "restaurant_id": "bbbbbbbb-0000-0000-0000-000000000001",
      "created_by": "cccccccc-0000-0000-0000-000000000001",
      "metadata": {"m": 1, "schedule": "not this"}, "expires_in": "90 minutes", "pile_up": false}}') as id;
select results_eq($$ select j.status::text, j.input_payload, j.priority, j.max_retries, j.retry_delay_ms,
                            j.job_category::text, j.organisation_id, j.restaurant_id, j.created_by, j.metadata,
                            j.expires_at, j.run_at, j.job_id ~ '^alpha-[0-9a-z]{26}$'
                     from jobs j join first f using (id) $$,
                  $$ values ('queued', '{"a": 1}'::jsonb, 7, 9, 5, 'rays',
                             'aaaaaaaa-0000-0000-0000-000000000001'::uuid,
                             'bbbbbbbb-0000-0000-0000-000000000001'::uuid,
                             'cccccccc-0000-0000-0000-000000000001'::uuid, '{"m": 1, "schedule": "all"}'::jsonb,
                             timestamptz '2030-01-01 13:30+00', timestamptz '2030-01-01 12:00+00', true) $$,
                  'the job of a run');
select results_eq($$ select s.name collate "default", s.job, s.enqueued_at, s.skipped, s.role::regrole::text
                     from jobs_ext.schedules s $$,
                  $$ select 'all', f.id, timestamptz '2030-01-01 12:00+00', 0::bigint,
                            current_user::text collate "default"
                     from first f $$,
                  'is remembered');
select isnt(pg_temp.run('plain'), null, 'the shortest definition');
select results_eq($$ select j.input_payload, j.metadata, j.priority, j.max_retries, j.expires_at
                     from jobs j join jobs_ext.schedules s on s.job = j.id where s.name = 'plain' $$,
                  $$ values ('{}'::jsonb, '{"schedule": "plain"}'::jsonb, 0, 3, null::timestamptz) $$,
                  'gives what job_enqueue gives');

-- The job before waits, in whatever way.
create function pg_temp.skipped(n text)
returns bigint language sql as $$ select s.skipped from jobs_ext.schedules s where s.name = n $$;
create function pg_temp.last(n text)
returns uuid language sql as $$ select s.job from jobs_ext.schedules s where s.name = n $$;
select is(pg_temp.run('plain'), null, 'queued: the next run is left out');
select is(pg_temp.run('plain'), null, 'and the one after');
select is(pg_temp.skipped('plain'), 2::bigint, 'both are counted');
select job_pause(pg_temp.last('plain')) \g /dev/null
select is(pg_temp.run('plain'), null, 'paused');
select job_resume(pg_temp.last('plain'), run_at => '2030-01-02 00:00+00') \g /dev/null
select is(pg_temp.run('plain'), null, 'not due yet');
select is((select count(*) from jobs where metadata @> '{"schedule": "plain"}'), 1::bigint, 'one job all the while');
select isnt(pg_temp.run('plain', '{"pile_up": true}'), null, 'unless it may pile up');
select is(pg_temp.run('plain'), null, 'then the newest one counts');
select job_cancel(pg_temp.last('plain')) \g /dev/null
select isnt(pg_temp.run('plain'), null, 'cancelled: the next one is enqueued');
delete from jobs where job_id like 'alpha-%';
select isnt(pg_temp.run('plain'), null, 'deleted');
create temp table held as select c.id, c.lease_id from job_claim('{alpha}') c;
select isnt(pg_temp.run('plain'), null, 'running: the next one waits for its turn');
select is(pg_temp.skipped('plain'), 5::bigint, 'skipped runs so far');
delete from jobs where id = pg_temp.last('plain') and id not in (select id from held);
update jobs_ext.schedules set job = (select id from held) where name = 'plain';
select is((job_fail(id, lease_id)).status, 'pending', 'it fails') from held;
select is(pg_temp.run('plain'), null, 'and waits for its retry: left out');
select tests.in_step();

-- The same by statements.
set local jobs_ext.force_statement_path = on;
select isnt(pg_temp.run('by statement', '{"expires_in": "1 hour"}'), null, 'by statements: a run');
select is(pg_temp.run('by statement'), null, 'by statements: left out');
select results_eq($$ select s.skipped, j.expires_at, j.metadata
                     from jobs j join jobs_ext.schedules s on s.job = j.id where s.name = 'by statement' $$,
                  $$ values (1::bigint, timestamptz '2030-01-01 13:00+00', '{"schedule": "by statement"}'::jsonb) $$,
                  'by statements: the same');
set local jobs_ext.force_statement_path = off;

-- What is rolled back never ran.
savepoint undone;
select isnt(pg_temp.run('undone'), null, 'a run');
rollback to undone;
select is(pg_temp.last('undone'), null, 'that is undone is not remembered');
select isnt(pg_temp.run('undone'), null, 'another one');
savepoint undone;
select is(pg_temp.run('undone'), null, 'left out');
rollback to undone;
select is(pg_temp.skipped('undone'), 0::bigint, 'and that undone');
do $$ begin
  delete from jobs where id = pg_temp.last('undone');
  perform pg_temp.run('undone', '{"max_retries": -1}');
exception when invalid_parameter_value then null;
end $$;
select is(pg_temp.run('undone'), null, 'a run that fails leaves what was');

-- Definitions that somebody wrote by hand.
select tests.refuses(format('select jobs_ext.run_schedule(%L)', t.definition),
                     t.state, t.message, 'definition: ' || coalesce(t.definition, 'null'))
from (values
  (null, '22023', 'definition must not be null'),
  ('[]', '22023', 'definition must be a JSON object: []'),
  ('7', '22023', 'definition must be a JSON object: 7'),
  ('{}', '22023', 'name must not be null'),
  ('{"name": null, "job_type": "alpha"}', '22023', 'name must not be null'),
  ('{"name": "x"}', '22023', 'job_type must not be null'),
  ('{"name": ["x"], "job_type": "alpha"}', '22023', 'name must be of type text: ["x"]'),
  ('{"name": "x", "job_type": "alpa"}', '22023', 'unknown job type "alpa"'),
  ('{"name": "x", "job_type": "alpha", "colour": 1}', '22023', 'unknown key "colour"'),
  ('{"name": "x", "job_type": "alpha", "options": {"colour": 1}}', '22023', 'unknown key "colour" in "options"'),
  ('{"name": "x", "job_type": "alpha", "input_payload": null}', '22023', 'input_payload must be a JSON object: null'),
  ('{"name": "x", "job_type": "alpha", "priority": 99}', '22023', 'priority %: 99')
) as t (definition, state, message);

-- Something of the user's that keeps the job from being written: an error, and the run is not remembered.
savepoint theirs;
create function pg_temp.nothing() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger zz_theirs before insert on jobs for each row execute function pg_temp.nothing();
select tests.refuses($$ select jobs_ext.run_schedule('{"name": "theirs", "job_type": "alpha"}') $$,
                     '09000', 'a trigger or rule on jobs kept%', 'a trigger that swallows the job');
rollback to theirs;
create function pg_temp.again() returns trigger language plpgsql as $$
begin
  if new.input_payload = '{}' then
    perform jobs_ext.run_schedule('{"name": "theirs", "job_type": "beta", "input_payload": {"by": "trigger"}}');
  end if;
  return new;
end $$;
create trigger zz_theirs before insert on jobs for each row execute function pg_temp.again();
select tests.refuses($$ select jobs_ext.run_schedule('{"name": "theirs", "job_type": "alpha"}') $$,
                     '27000', 'a trigger on jobs ran or removed the schedule%', 'a trigger that runs the schedule');
rollback to theirs;

-- Each role has schedules of its own; a run has the privileges of its role, no more.
create role tests_schedule_1;
create role tests_schedule_2;
create role tests_schedule_3;
select jobs_ext.grant_role(r, 'operator') from unnest('{tests_schedule_1,tests_schedule_2}'::name[]) r \g /dev/null
grant usage on schema jobs_ext to tests_schedule_3;
grant execute on function jobs_ext.run_schedule to tests_schedule_3;
set local role tests_schedule_1;
select isnt(pg_temp.run('plain'), null, 'a role that has a schedule of the same name');
select is(pg_temp.run('plain'), null, 'left out, by its own job');
set local role tests_schedule_2;
select isnt(pg_temp.run('plain'), null, 'another one');
select throws_ok('select * from jobs_ext.schedules', '42501', null, 'which sees nothing of the others');
reset role;
select set_eq($$ select role::regrole::text, skipped from jobs_ext.schedules where name = 'plain' $$,
              $$ values (current_user::text collate "default", 6::bigint),
                        ('tests_schedule_1', 1),
                        ('tests_schedule_2', 0) $$,
              'a row for each');
select tests.refuses($$ set local role tests_schedule_3;
                        select jobs_ext.run_schedule('{"name": "x", "job_type": "alpha"}') $$,
                     '42501', 'permission denied for table jobs', 'a role that may not insert');

-- What only the insert finds.
create table tests.owners (id uuid primary key);
alter table jobs add constraint of_owner foreign key (organisation_id) references tests.owners not valid;
select tests.refuses($$ select job_schedule('n', '* * * * *', 'alpha') $$, '23503', '%"of_owner"%',
                     'a foreign key that takes no job of nobody');
insert into tests.owners values ('aaaaaaaa-0000-0000-0000-000000000001');
select tests.refuses($$ select job_schedule('n', '* * * * *', 'alpha',
                          options => '{"organisation_id": "aaaaaaaa-0000-0000-0000-000000000001"}') $$,
                     '0A000', '%pg_cron%', 'one that it takes comes as far as pg_cron');
alter table jobs drop constraint of_owner;

-- Under row security.
alter table jobs enable row level security;
create policy own on jobs to tests_schedule_1 using (organisation_id = 'aaaaaaaa-0000-0000-0000-000000000001');
select tests.refuses($$ set local role tests_schedule_1;
                        select jobs_ext.run_schedule('{"name": "secured", "job_type": "alpha"}') $$,
                     '42501', '%row-level security%', 'a job that the policy does not allow');
set local role tests_schedule_1;
select isnt(pg_temp.run('secured', '{"organisation_id": "aaaaaaaa-0000-0000-0000-000000000001"}'),
            null, 'one that it allows');
select is(pg_temp.run('secured', '{"organisation_id": "aaaaaaaa-0000-0000-0000-000000000001"}'),
          null, 'is waited for');
reset role;
drop policy own on jobs;
set local role tests_schedule_1;
select is(pg_temp.run('secured'), null, 'also when it is not to be seen any more');
reset role;
alter table jobs disable row level security;

select tests.in_step();
select * from finish();
rollback;
