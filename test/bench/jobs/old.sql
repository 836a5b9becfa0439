-- A twentieth of :jobs more, which the worker archives at once.
insert into jobs (job_id, job_type, status, created_at, started_at, completed_at, finished_at, attempt, input_payload)
select gen_random_uuid(), 'type_' || 1 + n % :kinds, 'completed', t, t, t, t, 1, :'payload'::jsonb
  from generate_series(1, :jobs / 20) n,
       lateral (select now() - interval '40 days' + n * interval '1 ms' as t) as ended;
