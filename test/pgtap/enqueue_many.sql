-- job_enqueue_many: an array of jobs, all or nothing.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
begin;
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();

-- An object without more than a type is the job that job_enqueue makes of it.
create temp table many as select * from job_enqueue_many('[{"job_type": "extract-menu"}]');
create temp table one as select * from job_enqueue('extract-menu');
select results_eq(
  $$ select to_jsonb(j) - '{id,job_id}'::text[] from jobs j join many using (id) $$,
  $$ select to_jsonb(j) - '{id,job_id}'::text[] from jobs j join one using (id) $$, 'the same job as by job_enqueue');
select results_eq(
  $$ select to_jsonb(m) - '{id,job_id}'::text[] from many m $$,
  $$ select to_jsonb(o) - '{id,job_id}'::text[] from one o $$, 'and the same state');
select matches((select job_id from many), '^extract-menu-[0-9a-hjkmnp-tv-z]{26}$', 'with a key made by the server');

-- Every key of an element is a parameter of job_enqueue, and the other way round.
create temp table parent as
select * from job_enqueue('import-csv', organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001');
create temp table element as
select jsonb_build_object('job_type', 'import-csv', 'input_payload', '{"a": [1, {"b": null}]}'::jsonb, 'priority', -3,
                          'run_at', '2030-01-02 00:00+00', 'max_retries', 9, 'retry_delay_ms', 17,
                          'job_id', 'all-keys', 'job_key', 'its-key', 'job_category', 'monthly',
                          'organisation_id', 'aaaaaaaa-0000-0000-0000-000000000001',
                          'restaurant_id', 'aaaaaaaa-0000-0000-0000-000000000002',
                          'created_by', 'aaaaaaaa-0000-0000-0000-000000000003',
                          'parent_job_id', (select id from parent), 'metadata', '{"m": true}'::jsonb,
                          'expires_at', '2030-01-03 00:00+00', 'options', '{}'::jsonb) as wanted;
select set_eq(
  $$ select jsonb_object_keys(wanted) from element $$,
  $$ select unnest(p.proargnames) from pg_proc p where p.oid = 'job_enqueue'::regproc $$,
  'this test knows all parameters');
select lives_ok($$ select job_enqueue_many(jsonb_build_array(wanted)) from element $$, 'an element with all keys');
select results_eq($$ select to_jsonb(j) -> k.key
                     from jobs j, element e, jsonb_object_keys(e.wanted - 'run_at' - 'expires_at' - 'options') k (key)
                     where j.job_id = 'all-keys'
                     order by k.key $$,
                  $$ select e.wanted -> k.key
                     from element e, jsonb_object_keys(e.wanted - 'run_at' - 'expires_at' - 'options') k (key)
                     order by k.key $$,
                  'all values are kept');
select results_eq($$ select run_at, expires_at, status::text from jobs where job_id = 'all-keys' $$,
                  $$ values ('2030-01-02 00:00+00'::timestamptz, '2030-01-03 00:00+00'::timestamptz, 'pending') $$,
                  'the times too');

-- JSON null means the default, whatever the parameter.
create temp table nulls as
select * from job_enqueue_many(
  '[{"job_type": "extract-menu", "input_payload": null, "priority": null, "run_at": null, "max_retries": null,
     "retry_delay_ms": null, "job_id": null, "job_category": null, "organisation_id": null, "restaurant_id": null,
     "created_by": null, "parent_job_id": null, "metadata": null, "expires_at": null, "options": null}]');
select results_eq(
  $$ select to_jsonb(j) - '{id,job_id}'::text[] from jobs j join nulls using (id) $$,
  $$ select to_jsonb(j) - '{id,job_id}'::text[] from jobs j join one using (id) $$, 'nulls give the same job again');

-- Numbers and times may be strings, as an SQL client would write them.
select lives_ok(
  $$ select job_enqueue_many('[{"job_type": "bulk-update", "job_id": "strings", "priority": "4", "max_retries": " 2 "},
                               {"job_type": "bulk-update", "job_id": 12345}]') $$,
  'strings and numbers');
select results_eq($$ select job_id::text, priority, max_retries
                     from jobs where job_id in ('strings', '12345') order by 1 $$,
                  $$ values ('12345', 0, 3), ('strings', 4, 2) $$, 'are read by their type');

-- Order is kept, a key that is there already gives the job that is there, also one of the same array.
create temp table known as select * from job_enqueue('bulk-update', job_id => 'b');
select results_eq(
  $$ select e.job_id, e.created from job_enqueue_many('[{"job_type": "bulk-update", "job_id": "c"},
       {"job_type": "bulk-update", "job_id": "b"}, {"job_type": "bulk-update", "job_id": "a", "priority": 3},
       {"job_type": "bulk-update", "job_id": "c"}]') e $$,
  $$ values ('c', true), ('b', false), ('a', true), ('c', false) $$, 'in the order of the array');
select is((select count(*) from jobs where job_id in ('a', 'b', 'c')), 3::bigint, 'three jobs for four elements');

-- None, and many.
select is_empty($$ select * from job_enqueue_many('[]') $$, 'an empty array makes nothing');
create temp table thousands as
select e.*, row_number() over () as number from job_enqueue_many((
  select jsonb_agg(jsonb_build_object('job_type', 'image-upload', 'job_id', 'image ' || n, 'input_payload',
                                      jsonb_build_object('n', n)) order by n)
  from generate_series(1, 5000) n)) e;
select is((select count(*) from thousands t
           join jobs j using (id)
           where t.created and t.job_id = 'image ' || t.number and (j.input_payload ->> 'n')::int = t.number),
          5000::bigint, 'five thousand jobs');
select is((select count(distinct id) from thousands), 5000::bigint, 'each with its own id');

-- The array's order is that of the ids and of the answer, whether a job has a key or not; all are as old.
create temp table mixed as
select e.*, row_number() over () as number from job_enqueue_many((
  select jsonb_agg(case when n % 3 = 0 then '{"job_type": "image-upload"}'::jsonb
                   else jsonb_build_object('job_type', 'image-upload', 'job_id', 'mixed ' || md5(n::text)) end
                   || jsonb_build_object('input_payload', jsonb_build_object('n', n)) order by n)
  from generate_series(1, 300) n)) e;
select is((select array_agg((j.input_payload ->> 'n')::int order by m.number) from mixed m join jobs j using (id)),
          (select array_agg(n) from generate_series(1, 300) n), 'mixed: the answers come in the order of the array');
select is((select array_agg((j.input_payload ->> 'n')::int order by j.id) from mixed m join jobs j using (id)),
          (select array_agg(n) from generate_series(1, 300) n), 'mixed: that is the order of the ids');
select is((select count(*) from mixed m join jobs j using (id) where j.job_id like 'mixed %'),
          200::bigint, 'mixed: with their keys');

-- As many as jobs_ext.max_batch.
set local jobs_ext.max_batch = 2;
select is((select count(*) from job_enqueue_many('[{"job_type": "bulk-update"}, {"job_type": "bulk-update"}]')),
          2::bigint, 'as many as allowed');
select tests.refuses($$ select job_enqueue_many('[{"job_type": "bulk-update"}, 1, 2]') $$, 'PT413',
                     'jobs has too many elements: 3, and jobs_ext.max_batch is 2', 'one more');
reset jobs_ext.max_batch;

-- One bad element, and nothing is made.
create temp table bad_500 as
select t.name, t.state, t.message,
       (select jsonb_agg(case when n = 500 then t.element
                              else jsonb_build_object('job_type', 'bulk-update', 'job_id', 'bad ' || n) end
                         order by n)
        from generate_series(1, 1000) n) as jobs
from (values
  ('an unknown type', '22023', '%nonsense%', '{"job_type": "nonsense"}'::jsonb),
  ('an unknown key', '22023', '%job_typo%', '{"job_type": "bulk-update", "job_typo": 1}'),
  ('no type', '22023', '%job_type%null%', '{"job_id": "x"}'),
  ('priority 11', '22023', '%priority%11%', '{"job_type": "bulk-update", "priority": 11}'),
  ('a string', '22023', '%JSON object%', '"bulk-update"'),
  ('a null', '22023', '%JSON object%', 'null'),
  ('an array', '22023', '%JSON object%', '[{"job_type": "bulk-update"}]'),
  ('metadata that is a scalar', '22023', '%metadata%JSON object%7%', '{"job_type": "bulk-update", "metadata": 7}'),
  ('options that are not known', '22023', '%unknown key "turbo" in "options"%',
   '{"job_type": "bulk-update", "options": {"turbo": true}}'),
  ('a priority that is an object', '22023', '%priority%', '{"job_type": "bulk-update", "priority": {}}'),
  ('an infinite time', '22023', '%run_at%infinity%', '{"job_type": "bulk-update", "run_at": "infinity"}'),
  ('an empty key', '22023', '%job_id%empty%', '{"job_type": "bulk-update", "job_id": ""}'),
  ('a key of 101 characters',
   '22023', '%job_id%101%', jsonb_build_object('job_type', 'bulk-update', 'job_id', repeat('k', 101))),
  ('the key of a job of another type', 'PT409', '%"bad 1"%', '{"job_type": "extract-menu", "job_id": "bad 1"}')
) as t (name, state, message, element);
select tests.refuses(format('select job_enqueue_many((select jobs from bad_500 where name = %L))', name),
                     state, message, case state when 'PT409' then 'key_taken' end, 'the 500th of 1000 is ' || name)
from bad_500;
-- Over PostgREST only message, detail and hint arrive.
select tests.refuses(format('select job_enqueue_many((select jobs from bad_500 where name = %L))', name), state,
                     '%element 500%', 'the message names the element: ' || name)
from bad_500 where name in ('an unknown type', 'an unknown key', 'a null', 'the key of a job of another type');
select is((select count(*) from jobs where job_id like 'bad %'), 0::bigint, 'none of the 999 others is there');

-- What is no value of its type at all.
select throws_ok($$ select job_enqueue_many(
                      '[{"job_type": "bulk-update"}, {"job_type": "bulk-update", "organisation_id": "no uuid"}]') $$,
                 '22P02', null, 'a UUID that is none');
select throws_ok($$ select job_enqueue_many('[{"job_type": "bulk-update", "priority": 1.5}]') $$, '22P02', null,
                 'a priority that is not whole');
select throws_ok($$ select job_enqueue_many('[{"job_type": "bulk-update", "run_at": "yesterday evening"}]') $$,
                 '22007', null, 'a time that is none');

-- Something else than an array.
select tests.refuses(format('select job_enqueue_many(%s)', t.argument), '22023', '%jobs must%', 'not ' || t.argument)
from (values
  ('null'),
  ($$'null'$$),
  ($$'{"job_type": "bulk-update"}'$$),
  ($$'"bulk-update"'$$),
  ($$'7'$$)) as t (argument);

select tests.in_step();
-- Keys are taken in the order of their texts, also where a client sends numbers: in another order two calls would wait
-- for each other.
create temp table numbers as select * from job_enqueue_many(
  '[{"job_type": "extract-menu", "job_key": 32}, {"job_type": "extract-menu", "job_key": true},
    {"job_type": "extract-menu", "job_key": "31"}, {"job_type": "extract-menu", "job_key": 4},
    {"job_type": "extract-menu", "job_key": 3.0}, {"job_type": "extract-menu", "job_id": 42},
    {"job_type": "extract-menu", "job_id": "41"}, {"job_type": "extract-menu", "job_id": 5}]');
select is((select array_agg(j.job_key order by j.ctid) from jobs j join numbers using (id) where j.job_key is not null),
          '{3.0,31,32,4,true}'::text[], 'job_keys that are no strings have their place in the order of keys');
select is((select array_agg(j.job_id::text order by j.ctid) from jobs j join numbers using (id)
           where j.job_key is null), '{41,42,5}'::text[], 'so have such job_ids');
select tests.refuses($$ select job_enqueue_many('[{"job_type": "extract-menu", "job_key": 1e131071}]') $$, '22023',
                     'element 1 of jobs: job_key %', null, 'a number of many digits is refused');

select * from finish();
rollback;
