-- The first job of README.md runs as it stands there.
\ir setup/begin.psql
select plan(3);

\! awk '/^\140\140\140sql$/ {inside = 1; next} inside && /^\140\140\140$/ {exit} inside' README.md > build/first_job.sql
\i build/first_job.sql

select results_eq(
  $$ select status::text, attempt, result from jobs where job_key = 'welcome-ann' $$,
  $$ values ('completed', 1, '{"message": 1}'::jsonb) $$,
  'its job is completed with the result');
select is_empty('select * from jobs_ext.queue', 'and nothing is left in the queue');
select results_eq(
  $$ select job_type::text, status::text, count from jobs_queue_status $$,
  $$ values ('send-mail', 'completed', 1::bigint) $$,
  'the view shows it');
select * from finish();
