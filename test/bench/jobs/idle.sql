-- :kinds types and :jobs ended jobs, too young for the archive.
select count(job_type_set('type_' || n)) from generate_series(1, :kinds) n;
insert into jobs (job_id, job_type, status, created_at, started_at, completed_at, finished_at, attempt, input_payload)
select 'ended-' || n, 'type_' || 1 + n % :kinds, 'completed', t, t, t, t, 1, :'payload'::jsonb
  from generate_series(1, :jobs) n, lateral (select now() - interval '1 day' + n * interval '1 ms' as t) as ended;
