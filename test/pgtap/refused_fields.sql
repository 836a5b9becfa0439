-- What every function says of a key that it does not know, a value of the wrong type, and one that must be there: the
-- same of arguments, of members of an element and of what stands within one. What a value must be beside that:
-- refused_arguments.sql.
\ir setup/begin.psql
\ir setup/refuses.sql
begin;
select no_plan();
do $$ begin
  perform job_enqueue('bulk-update', job_id => 'a');
  perform job_claim(worker => 'w');
end $$;
create function pg_temp.lease(more jsonb) returns jsonb language sql as $$
  select jsonb_build_array(jsonb_build_object('id', id, 'lease_id', lease_id) || more) from jobs where job_id = 'a'
$$;

-- Calls that raise. %s: an object.
create temp table place (call text, of text, keys text);
insert into place values
  ($$select job_enqueue_many(jsonb_build_array(jsonb '{"job_type": "bulk-update"}' || %L))$$, null,
   'job_type, input_payload, priority, run_at, max_retries, retry_delay_ms, job_id, job_key, job_category, '
   || 'organisation_id, restaurant_id, created_by, parent_job_id, metadata, expires_at, options'),
  ($$select job_enqueue('bulk-update', options => %L)$$, 'options', null),
  ($$select job_enqueue_many(jsonb_build_array(jsonb_build_object('job_type', 'bulk-update', 'options', jsonb %L)))$$,
   'options', null),
  ($$select job_claim(options => %L)$$, 'options', null),
  ($$call job_await(options => %L)$$, 'options', null),
  ($$select job_schedule('n', '* * * * *', 'bulk-update', options => %L)$$, 'options',
   'max_retries, retry_delay_ms, job_category, organisation_id, restaurant_id, created_by, metadata, expires_in, '
   || 'pile_up'),
  ($$select jobs_ext.run_schedule(jsonb '{"name": "n", "job_type": "bulk-update"}' || %L)$$, null,
   'name, job_type, input_payload, priority, options');
create function pg_temp.hint(call text) returns text language plpgsql as $$
declare hint text;
begin
  execute call;
exception when others then
  get stacked diagnostics hint = pg_exception_hint;
  return hint;
end $$;
select tests.refuses(format(p.call, '{"colour": 1}'), '22023',
                     '%unknown key "colour"' || coalesce(' in "' || p.of || '"', ''), 'unknown key: ' || p.call)
from place p;
select is(pg_temp.hint(format(p.call, '{"colour": 1}')),
          coalesce('The keys are ' || p.keys || '.', 'No key is known yet.'),
          'its hint: ' || p.call)
from place p;
select tests.refuses(format(p.call, jsonb_build_object(repeat('k', 101), 1)), '22023',
                     '%unknown key "' || repeat('k', 100) || '..."%', 'an unknown key is cut: ' || p.call)
from place p;

-- A value of the wrong type.
select tests.refuses(format(p.call, jsonb_build_object(t.key, t.value)), coalesce(t.state, '22023'),
                     '%' || t.message, format('%s: %s in %s', t.key, t.value, p.call))
from place p, (values
  ('job_type', '{"a": 1}'::jsonb, null, 'job_type must be of type text: {"a": 1}'),
  ('job_type', '[]', null, 'job_type must be of type text: []'),
  ('priority', '{}', null, 'priority must be of type integer: {}'),
  ('priority', '"high"', '22P02', 'invalid input syntax for type integer: "high"'),
  ('priority', to_jsonb(repeat('9', 101)), '22P02',
   'priority must be of type integer: "' || repeat('9', 100) || '..."'),
  ('run_at', '[1]', null, 'run_at must be of type timestamp with time zone: [1]'),
  ('organisation_id', '{}', null, 'organisation_id must be of type uuid: {}'),
  ('job_key', '{"k": 1}', null, 'job_key must be of type text: {"k": 1}'),
  ('job_key', '[]', null, 'job_key must be of type text: []'),
  ('job_key', '""', null, 'job_key must not be empty'),
  ('job_key', to_jsonb(repeat('k', 256)), null, 'job_key must have at most 255 characters: it has 256'),
  ('metadata', '7', null, 'metadata must be a JSON object: 7'),
  ('input_payload', '"x"', null, 'input_payload must be a JSON object: "x"'),
  ('options', '[]', null, 'options must be a JSON object: []'),
  ('expires_in', '{}', null, 'expires_in must be of type interval: {}'),
  ('pile_up', '"true"', null, 'pile_up must be true or false: "true"'),
  ('pile_up', '1', null, 'pile_up must be true or false: 1')
) as t (key, value, state, message)
where t.key = any (string_to_array(p.keys, ', '));
select tests.refuses(format(p.call, t.value), '22023', '%options must be a JSON object: ' || t.value,
                     format('options: %s in %s', t.value, p.call))
from place p, (values ('7'), ('"x"'), ('[{"a": 1}]'), ('true')) as t (value)
where p.of = 'options';

-- An array, an element.
select tests.refuses(format('select %s(%L)', f.name, t.value), '22023', format(t.message, f.argument),
                     format('%s(%s)', f.name, t.value))
from (values ('job_enqueue_many', 'jobs'), ('job_finish_many', 'outcomes'),
             ('job_heartbeat_many', 'leases')) as f (name, argument),
     (values (null, '%s must not be null'), ('{}', '%s must be a JSON array: {}'),
             ('"x"', '%s must be a JSON array: "x"')) as t (value, message);
select tests.refuses('select job_enqueue_many(''[7]'')', '22023', 'element 1 of jobs: a job must be a JSON object: 7',
                     'a job that is a number');

-- What is left out, or null, where it must be there.
select tests.refuses(t.call, '22023', t.message, t.call)
from (values
  ($$select job_enqueue_many('[{}]')$$, 'element 1 of jobs: job_type must not be null'),
  ($$select job_enqueue_many('[{"job_type": null}]')$$, 'element 1 of jobs: job_type must not be null'),
  ($$select job_complete(null, gen_random_uuid())$$, 'id must not be null'),
  ($$select job_heartbeat(gen_random_uuid(), null)$$, 'lease_id must not be null'),
  ($$select job_fail(gen_random_uuid(), gen_random_uuid(), permanent => null)$$, 'permanent must not be null'),
  ($$select job_claim(max_jobs => null)$$, 'max_jobs must not be null'),
  ($$call job_await(max_jobs => null)$$, 'max_jobs must not be null'),
  ($$select job_release_worker(null)$$, 'worker must not be null'),
  ($$select job_type_set(null)$$, 'job_type must not be null'),
  ($$select job_schedule('n', null, 'bulk-update')$$, 'schedule must not be null'),
  ($$select * from jobs_ext.check(null)$$, 'mend must not be null'),
  ($$select job_list(max_rows => null)$$, 'max_rows must not be null')
) as t (call, message);

-- Elements of job_finish_many: each is that element's answer, and its outcome is named where it says exactly one.
select results_eq(format($$ select outcome, sqlstate from job_finish_many(pg_temp.lease(%L)) $$, t.more),
                  format('values (%L::text, %L::text)', t.outcome, t.state), 'job_finish_many: ' || t.more)
from (values
  ('{"fail": {"colour": 1}}', 'fail', '22023'),
  ('{"fail": 7}', 'fail', '22023'),
  ('{"fail": {"permanent": {}}}', 'fail', '22023'),
  ('{"fail": {"permanent": "perhaps"}}', 'fail', '22P02'),
  ('{"fail": {"run_at": "infinity"}}', 'fail', '22023'),
  ('{"release": {"error_message": "x"}}', 'release', '22023'),
  ('{"release": []}', 'release', '22023'),
  ('{"complete": {}, "colour": 1}', null, '22023'),
  ('{"complete": {}, "lease_id": null}', 'complete', '22023'),
  ('{"complete": {}, "fail": {}}', null, '22023'),
  ('{"complete": null, "fail": null}', null, '22023'),
  ('{"lease_id": {}}', null, '22023'),
  ('{}', null, '22023')
) as t (more, outcome, state);
select is_empty($$ select from job_heartbeat_many(pg_temp.lease('{"colour": 1}')) where lease_id is not null $$,
                'job_heartbeat_many: an unknown key');
select isnt_empty($$ select from job_heartbeat_many(pg_temp.lease('{"progress": null}')) where lease_id is not null $$,
                   'job_heartbeat_many: null is none');
select is((select progress from jobs where job_id = 'a'), null, 'and writes none');

-- A JSON null is as a key that is left out.
select lives_ok($$ select job_enqueue_many('[{"job_type": "bulk-update", "job_id": "nulls",
  "input_payload": null, "priority": null,
  "run_at": null, "max_retries": null, "organisation_id": null, "metadata": null, "options": null}]') $$, 'nulls');
select results_eq($$ select input_payload, metadata, priority from jobs where job_id = 'nulls' $$,
                  $$ values ('{}'::jsonb, '{}'::jsonb, 0) $$, 'are defaults');
select results_eq($$ select outcome, sqlstate, status
  from job_finish_many(pg_temp.lease('{"complete": null, "release": null, "fail": {"permanent": null,
    "error_details": null, "run_at": null, "error_message": null}}')) $$,
  $$ values ('fail', null::text, 'pending') $$, 'within an element too');

select * from finish();
rollback;
