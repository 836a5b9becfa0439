-- :delayed jobs of priority 10 that are due tomorrow.
insert into plain (job_type, payload, priority, run_at)
select 'bench', :'payload'::jsonb, 10, now() + interval '1 day' + n * interval '1 ms'
  from generate_series(1, :delayed) n;
