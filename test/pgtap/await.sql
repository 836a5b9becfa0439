-- job_await: its parameters are those of job_claim, refused as there, and mean the same; its answer; what it does in a
-- transaction block. Where it commits: tap/job_await.pl.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
set timezone = 'UTC';
select no_plan();

-- One declaration follows the other.
create function pg_temp.parameters(name text)
returns table (n bigint, parameter text, type text, by_default text) language sql as $$
  select a.n, a.parameter, format_type(a.type, null),
         pg_get_function_arg_default(p.oid, a.n::int)
  from pg_proc p, unnest(p.proargnames, p.proargtypes) with ordinality a (parameter, type, n)
  where p.pronamespace = 'public'::regnamespace and p.proname = name
$$;
select results_eq($$ select parameter, type, by_default from pg_temp.parameters('job_await')
                     where parameter not in ('jobs', 'wait') order by n $$,
                  $$ select parameter, type, by_default from pg_temp.parameters('job_claim')
                     where parameter <> 'wait' and n <= 7 order by n $$,
                  'the parameters of job_claim, in their order, with their defaults');
select results_eq($$ select n, parameter, type, by_default from pg_temp.parameters('job_await')
                     where parameter in ('jobs', 'wait') order by n $$,
                  $$ values (1::bigint, 'jobs', 'jsonb', 'NULL::jsonb'),
                            (6::bigint, 'wait', 'interval', '''00:10:00''::interval') $$,
                  '… but for the answer, which comes first, and for how long it waits');
select is(p.prokind::text || p.prorettype::regtype || p.prosecdef || coalesce(p.proconfig::text, ''), 'precordfalse',
          'a procedure with one INOUT parameter, which keeps nobody from committing')
from pg_proc p where p.oid = 'job_await'::regproc;

-- Refused like an argument of job_claim. None of them waits, and none commits what the block has done.
create temp table wrong (argument text, state text, message text);
insert into wrong values
  ('max_jobs => 0', '22023', 'max_jobs must be from 1 to 10000: 0'),
  ('max_jobs => 10001', '22023', 'max_jobs must be from 1 to 10000: 10001'),
  ('max_jobs => null', '22023', 'max_jobs must not be null'),
  ('job_types => ''{bulk-update, bulk-updates}''', '22023', '%"bulk-updates"%'),
  ('job_types => array[''bulk-update'', null]', '22023', 'job_types must be a list of names without null'),
  ('job_types => ''{{a}, {b}}''', '22023', 'job_types must be a list of names without null'),
  ('worker => ''''', '22023', 'worker must not be empty'),
  ('worker => repeat(''w'', 201)', '22023', 'worker must have at most 200 characters: it has 201'),
  ('lease => ''0''', '22023', '%lease%'),
  ('lease => ''-1 s''', '22023', '%lease%'),
  ('lease => ''300 years''', '22023', '%lease%'),
  ('wait => ''-1 s''', '22023', '%wait%-00:00:01'),
  ('wait => ''300 years''', '22023', '%wait%'),
  ('options => ''{"colour": 1}''', '22023', '%"colour"%'),
  ('options => ''[]''', '22023', '%options%');
select job_enqueue('bulk-update', job_id => 'stays') \g /dev/null
select tests.refuses(format('call job_await(%s)', argument), state, message, 'job_await: ' || argument) from wrong;
select tests.refuses(format('select job_claim(%s)', argument), state, message, 'job_claim likewise: ' || argument)
from wrong;
begin read only;
select tests.refuses('call job_await()', '25006', '%job_await()%', 'a read-only transaction cannot claim');
rollback;

-- In a transaction block: the rows of job_claim, by to_jsonb(); and null stands for the default.
select job_enqueue('bulk-update', jsonb_build_object('n', n), job_id => 'job-' || n, priority => -n,
                   metadata => '{"a": [1, "\u00e4"]}')
from generate_series(1, 3) n \g /dev/null
create temp table answer (way text, jobs jsonb);
create function pg_temp.by_claim() returns jsonb language sql as $$
  select jsonb_agg(to_jsonb(c) - '{lease_id,updated_at,started_at,lease_expires_at}'::text[])
  from job_claim('{bulk-update}', 3, 'w', '1 h', wait => '1 minute') c $$;
create function pg_temp.by_await() returns jsonb language plpgsql as $$
declare
  jobs jsonb := '"of no account"';
begin
  call job_await(jobs, '{bulk-update}', 3, 'w', '1 h', '1 minute', null, null);
  return (select jsonb_agg(j - '{lease_id,updated_at,started_at,lease_expires_at}'::text[] order by n)
          from jsonb_array_elements(jobs) with ordinality a (j, n));
end $$;
begin;
set local jobs_ext.now = '2030-01-01 12:00:00+00';
savepoint s;
create temp table one on commit drop as select pg_temp.by_claim() as jobs;
select jobs from one \gset
rollback to s;
select is(pg_temp.by_await(), :'jobs'::jsonb, 'three jobs, in their order, with all columns');
select is((select count(*) from jobs where status = 'in_progress' and lease_expires_at = '2030-01-01 13:00:00+00'
             and worker = 'w'), 3::bigint, '… which are claimed');
rollback;
begin;
set local jobs_ext.force_statement_path = on;
set local jobs_ext.now = '2030-01-01 12:00:00+00';
select is(pg_temp.by_await(), :'jobs'::jsonb, '… by statements as well');
rollback;
select is((select count(*) from jobs where status = 'queued'), 4::bigint, 'the block is rolled back, and the claims');

-- No job.
call job_await(job_types => '{import-csv}', wait => null) \gset
select is(:'jobs'::jsonb, '[]', 'nothing is due: an empty array');
call job_await(job_types => '{}', wait => '100 ms') \gset
select is(:'jobs'::jsonb, '[]', 'an empty list asks for none');
call job_await(job_category => 'no such category', wait => '0') \gset
select is(:'jobs'::jsonb, '[]', 'a category that no type has');
-- Outside of a block it is committed.
call job_await(max_jobs => 2, job_category => 'optimization') \gset
select results_eq($$ select job_id::text, status::text from jobs order by priority desc $$,
                  $$ values ('stays', 'in_progress'), ('job-1', 'in_progress'), ('job-2', 'queued'),
                            ('job-3', 'queued') $$, 'two jobs, the best first, are claimed for good');
select is((select string_agg(r.job_id, ' ') from jsonb_populate_recordset(null::job, :'jobs') r), 'stays job-1',
          'jsonb_populate_recordset() makes rows of the answer');

-- Larger than a jsonb may be, though it takes little room where it is stored: 54000, before any of it is read there.
set jobs_ext.max_payload = '900 kB';
insert into jobs (job_type, input_payload)
select 'import-csv', jsonb_build_object('a', repeat('x', 900 * 1024 - 100)) from generate_series(1, 292);
create function pg_temp.blocks_out_of_line() returns bigint language sql as $$
  select pg_stat_get_xact_blocks_fetched(reltoastrelid) from pg_class where oid = 'jobs'::regclass $$;
begin;
select pg_temp.blocks_out_of_line() as blocks_before \gset
select throws_like($$ call job_await(job_types => '{import-csv}', max_jobs => 300) $$,
                   'the answer would be larger than 256 MB', 'an answer larger than a jsonb is refused');
select throws_ok($$ call job_await(job_types => '{import-csv}', max_jobs => 300) $$, '54000', null, '… as 54000');
select is(pg_temp.blocks_out_of_line() - :blocks_before, 0::bigint, '… before a payload is read');
call job_await(job_types => '{import-csv}') \gset
select is(length(:'jobs'::jsonb->0->'input_payload'->>'a'), 921500, 'one of them is given');
select cmp_ok(pg_temp.blocks_out_of_line() - :blocks_before, '>', 0::bigint, '… whose payload was read');
rollback;
select is((select count(*) from jobs where job_type = 'import-csv' and status <> 'in_progress' and attempt = 0),
          292::bigint, 'and nothing was claimed');
select tests.in_step('after all this the queue is right');
select * from finish();
