-- job_enqueue: what a job is made of. What it refuses is in refused_arguments.sql.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
begin;
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();

-- With a type alone everything else has its default.
create temp table plain as select * from job_enqueue('extract-menu');
select results_eq($$ select j.job_type::text, j.job_category::text, j.status::text, j.input_payload, j.metadata,
                            j.priority, j.run_at, j.retries, j.max_retries, j.retry_delay_ms, j.attempt, j.created_at,
                            j.updated_at, j.organisation_id
                     from jobs j $$,
                  $$ values ('extract-menu', 'extraction', 'queued', '{}'::jsonb, '{}'::jsonb, 0,
                             '2030-01-01 12:00:00+00'::timestamptz, 0, 3, 1000, 0,
                             '2030-01-01 12:00:00+00'::timestamptz, '2030-01-01 12:00:00+00'::timestamptz,
                             '00000000-0000-0000-0000-000000000000'::uuid) $$,
                  'the defaults of a job');
select is(
  (select num_nulls(job_key, result, error_message, execution_time_ms, started_at, completed_at, cancelled_at,
                    restaurant_id, created_by, parent_job_id, lease_id, worker, lease_expires_at, timeout_at,
                    heartbeat_at,
                    finished_at, cancel_requested_at, progress, expires_at) from jobs),
  19, 'what is not known yet is null');
select results_eq(
  $$ select id, job_id, job_type, status, attempt, retries, lease_id, run_at, lease_expires_at, cancel_requested_at,
            finished_at, created from plain $$,
  $$ select id, job_id::text, job_type::text, status::text, attempt, retries, lease_id, run_at, lease_expires_at,
            cancel_requested_at, finished_at, true from jobs $$,
  'the state that is returned is that of the row, created');

-- The ids that the server makes.
select matches((select id::text from plain), '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
               'id is a UUID of version 7');
select is((select ('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint from plain),
          (extract(epoch from timestamptz '2030-01-01 12:00:00+00') * 1000)::bigint,
          'which begins with the time in ms');
select matches((select job_id from plain),
               '^extract-menu-[0-9a-hjkmnp-tv-z]{26}$', 'job_id is the type and 26 characters');
set local jobs_ext.now = '2030-01-01 12:00:00.001+00';
create temp table later as select * from job_enqueue('extract-menu');
select ok((select l.job_id collate "C" > p.job_id collate "C" and l.id > p.id from later l, plain p),
          'a millisecond later both sort after it');
select is((select count(distinct job_id)
           from (select (job_enqueue('extract-menu')).job_id from generate_series(1, 1000)) made), 1000::bigint,
          'a thousand in one millisecond differ');

-- Every parameter goes where its name says.
create temp table parent as
select * from job_enqueue('import-csv', organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001');
create temp table full_one as
select * from job_enqueue(
  job_type => 'import-csv', input_payload => '{"file": "menu.csv", "rows": [1, null, {"é": "\u2603"}]}',
  priority => -10, run_at => '2030-01-02 00:00+00', max_retries => 0, retry_delay_ms => 2147483647,
  job_id => 'import-of-january', job_category => 'monthly', organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001',
  restaurant_id => 'aaaaaaaa-0000-0000-0000-000000000002', created_by => 'aaaaaaaa-0000-0000-0000-000000000003',
  parent_job_id => (select id from parent), metadata => '{"source": "mail"}', expires_at => '2030-01-03 00:00+00',
  options => '{}');
select results_eq(
  $$ select j.id = f.id, j.job_type::text, j.input_payload, j.priority, j.run_at, j.max_retries, j.retry_delay_ms,
            j.job_id::text, j.job_category::text, j.organisation_id, j.restaurant_id, j.created_by,
            j.parent_job_id = p.id, j.metadata, j.expires_at, j.status::text
     from jobs j, full_one f, parent p where j.job_id = 'import-of-january' $$,
  $$ values (true, 'import-csv', '{"file": "menu.csv", "rows": [1, null, {"é": "☃"}]}'::jsonb, -10,
             '2030-01-02 00:00+00'::timestamptz, 0, 2147483647, 'import-of-january', 'monthly',
             'aaaaaaaa-0000-0000-0000-000000000001'::uuid, 'aaaaaaaa-0000-0000-0000-000000000002'::uuid,
             'aaaaaaaa-0000-0000-0000-000000000003'::uuid, true, '{"source": "mail"}'::jsonb,
             '2030-01-03 00:00+00'::timestamptz, 'pending') $$,
  'all parameters are kept');
select is_empty($$ with made as materialized (select * from job_enqueue('import-csv', priority => 10))
                   select from made join jobs using (id) $$, 'a job is not seen by the statement that makes it');
select is((select count(*) from jobs where priority = 10),
          1::bigint, 'but by the next one, with the highest priority');

-- Null means the default, in every parameter but the first.
create temp table nulls as
select * from job_enqueue('extract-menu', null, null, null, null, null, null, null, null, null, null, null, null, null,
                          null, null);
select results_eq(
  $$ select to_jsonb(j) - '{id,job_id,created_at,updated_at,run_at}'::text[] from jobs j join nulls n using (id) $$,
  $$ select to_jsonb(j) - '{id,job_id,created_at,updated_at,run_at}'::text[] from jobs j join plain p using (id) $$,
  'with nulls the job is the same as with nothing given');
select ok((select created from nulls), 'and it is a new one');

-- Due now or later.
select results_eq(
  $$ select e.status, e.run_at
     from (values (interval '-1 day'), ('0'), ('1 microsecond'), ('100 years')) as t (distance),
     lateral job_enqueue('bulk-update', run_at => timestamptz '2030-01-01 12:00:00.001+00' + t.distance) e $$,
  $$ values ('queued', '2029-12-31 12:00:00.001+00'::timestamptz), ('queued', '2030-01-01 12:00:00.001+00'),
            ('pending', '2030-01-01 12:00:00.001001+00'), ('pending', '2130-01-01 12:00:00.001+00') $$,
  'a job is queued when it is due, else pending, and run_at is kept');

-- The defaults of a type.
select lives_ok($$ select job_type_set('slow', job_category => 'night', max_retries => 7, retry_delay_ms => 90000) $$,
                'a type of its own');
select lives_ok($$ select job_enqueue('slow', job_id => 'slow-1') $$, 'a job of it');
select results_eq($$ select job_category::text, max_retries, retry_delay_ms from jobs where job_id = 'slow-1' $$,
                  $$ values ('night', 7, 90000) $$, 'category, retries and delay come from the type');
select lives_ok($$ select job_enqueue('slow', job_id => 'slow-2', job_category => 'day', max_retries => 1,
                                      retry_delay_ms => 5) $$,
                'a job with its own');
select results_eq($$ select job_category::text, max_retries, retry_delay_ms from jobs where job_id = 'slow-2' $$,
                  $$ values ('day', 1, 5) $$, 'what the caller says comes first');

-- The same job_id again gives the job that is there, whatever else differs.
create temp table first_time as select * from job_enqueue('bulk-update', '{"n": 1}', job_id => 'once');
create temp table second_time as
select * from job_enqueue('bulk-update', '{"n": 2}', 5, job_id => 'once', metadata => '{"a": 1}');
select results_eq($$ select to_jsonb(s) - 'created' from second_time s $$,
                  $$ select to_jsonb(f) - 'created' from first_time f $$, 'the state of the first one');
select ok((select f.created and not s.created from first_time f, second_time s), 'created says which call made it');
select results_eq($$ select input_payload, priority, metadata from jobs where job_id = 'once' $$,
                  $$ values ('{"n": 1}'::jsonb, 0, '{}'::jsonb) $$, 'there is one job, as the first call made it');
create temp table running as select * from job_claim('{bulk-update}', 100) where job_id = 'once';
select results_eq($$ select e.status, e.attempt, e.lease_id, e.created
                     from job_enqueue('bulk-update', job_id => 'once') e $$,
                  $$ select 'in_progress', 1, lease_id, false from running $$, 'also while it runs');
select is((select (job_complete(id, lease_id)).status from running), 'completed', 'it completes');
select results_eq($$ select e.status, e.created from job_enqueue('bulk-update', job_id => 'once') e $$,
                  $$ values ('completed', false) $$, 'and when it has ended');
select tests.refuses($$ select job_enqueue('extract-menu', job_id => 'once') $$, 'PT409', 'the job_id "once" is taken',
                     'key_taken', 'the key of a job of another type is taken');
select tests.refuses(
  $$ select job_enqueue('bulk-update', job_id => 'once', organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001') $$,
  'PT409', 'the job_id "once" is taken', 'key_taken', 'the key of a job of another organisation is taken');
select lives_ok($$ delete from jobs where job_id = 'once' $$, 'the job goes');
select results_eq($$ select e.created, e.id = f.id
                     from first_time f, job_enqueue('extract-menu', job_id => 'once') e $$,
                  $$ values (true, false) $$, 'then its key is free, for any type');

-- Keys are compared to the letter, and may be as long as 100 characters of any kind.
select results_eq($$ select e.created from (values ('Case'), ('case'), ('case ')) as t (key),
                     lateral job_enqueue('bulk-update', job_id => t.key) e $$,
                  $$ values (true), (true), (true) $$, 'keys that differ in case or blanks are different');
select is((select (job_enqueue('bulk-update', job_id => repeat('☃', 100))).job_id), repeat('☃', 100),
          'a key of 100 characters of three bytes');
select ok(not (select (job_enqueue('bulk-update', job_id => repeat('☃', 100))).created), 'is found again');

-- Who asks: organisation and user from the JWT, as PostgREST passes it on.
set local request.jwt.claims =
  '{"org_id": "bbbbbbbb-0000-0000-0000-000000000001", "sub": "bbbbbbbb-0000-0000-0000-000000000002"}';
select lives_ok($$ select job_enqueue('bulk-update', job_id => 'by jwt') $$, 'with claims');
select lives_ok($$ select job_enqueue('bulk-update', job_id => 'by hand',
                                      organisation_id => 'bbbbbbbb-0000-0000-0000-000000000003',
                                      created_by => 'bbbbbbbb-0000-0000-0000-000000000004') $$,
                'with claims and arguments');
set local request.jwt.claims = '{"role": "service_role", "org_id": null, "sub": ""}';
select lives_ok($$ select job_enqueue('bulk-update', job_id => 'no claims') $$, 'with claims that say nothing');
set local request.jwt.claims = '';
set local request.jwt.claim.org_id = 'bbbbbbbb-0000-0000-0000-000000000005';
select lives_ok($$ select job_enqueue('bulk-update', job_id => 'old jwt') $$,
                'with a claim in the way of older versions');
set local request.jwt.claim.org_id = '';
select lives_ok($$ select job_enqueue('bulk-update', job_id => 'empty') $$, 'with settings that are empty');
select results_eq(
  $$ select j.job_id::text, j.organisation_id, j.created_by from jobs j
     where j.job_id in ('by jwt', 'by hand', 'no claims', 'old jwt', 'empty') order by 1 $$,
  $$ values ('by hand', 'bbbbbbbb-0000-0000-0000-000000000003'::uuid, 'bbbbbbbb-0000-0000-0000-000000000004'::uuid),
            ('by jwt', 'bbbbbbbb-0000-0000-0000-000000000001', 'bbbbbbbb-0000-0000-0000-000000000002'),
            ('empty', '00000000-0000-0000-0000-000000000000', null),
            ('no claims', '00000000-0000-0000-0000-000000000000', null),
            ('old jwt', 'bbbbbbbb-0000-0000-0000-000000000005', null) $$,
  'arguments come before claims, claims before the nil UUID');

-- As large as allowed: jobs_ext.max_payload for each, to the byte.
set local jobs_ext.max_payload = '2kB';
-- A jsonb object of one string has 12 bytes beside its characters.
select lives_ok($$ select job_enqueue('bulk-update', jsonb_build_object('a', repeat('x', 2048 - 13)),
                                      job_id => 'large') $$,
                'a payload as large as the limit');
select is((select length(input_payload ->> 'a') from jobs where job_id = 'large'), 2035, 'is kept whole');
select tests.refuses($$ select job_enqueue('bulk-update', jsonb_build_object('a', repeat('x', 2048 - 12))) $$, 'PT413',
                     'input_payload is too large: 2049 bytes, %max_payload is 2 kB', 'one byte more is refused');
reset jobs_ext.max_payload;

-- A type that is not known yet, where the server's setting allows it.
set local jobs_ext.auto_register_types = on;
select is((select (job_enqueue('brand-new')).status), 'queued', 'an unknown type is registered');
set local jobs_ext.auto_register_types = off;
select results_eq($$ select max_retries, backoff, retry_delay_ms, paused
                     from job_types where job_type = 'brand-new' $$,
                  $$ values (3, 'exponential', 1000, false) $$, 'with the defaults of a type');
select is((select (job_enqueue('brand-new')).status), 'queued', 'and is known from then on');

-- What is rolled back was never there.
savepoint before_it;
select is((select created from job_enqueue('bulk-update', job_id => 'undone')), true, 'made in a subtransaction');
rollback to before_it;
select is((select created from job_enqueue('bulk-update', job_id => 'undone')), true, 'made again after its end');

-- By statements instead of direct writes it is the same.
set local jobs_ext.force_statement_path = on;
create temp table by_statement as select * from job_enqueue('extract-menu');
select results_eq($$ select to_jsonb(j) - '{id,job_id,created_at,updated_at,run_at}'::text[]
                     from jobs j join by_statement n using (id) $$,
                  $$ select to_jsonb(j) - '{id,job_id,created_at,updated_at,run_at}'::text[]
                     from jobs j join plain p using (id) $$,
                  'the same job');
select results_eq($$ select e.created, e.job_id from job_enqueue('bulk-update', job_id => 'undone') e $$,
                  $$ values (false, 'undone') $$, 'the same key');
select tests.refuses($$ select job_enqueue('extract-menu', job_id => 'undone') $$,
                     'PT409', 'the job_id "undone" is taken', 'key_taken', 'the same refusal');

select tests.in_step();
select * from finish();
rollback;
