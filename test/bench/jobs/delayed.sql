-- :delayed jobs of priority 10 that are due tomorrow.
select sum(added) from generate_series(1, :delayed, 1000) first, lateral (
  select count(*) as added from job_enqueue_many((
    select jsonb_agg(jsonb_build_object('job_type', 'bench', 'input_payload', :'payload'::jsonb, 'priority', 10,
                                        'run_at', now() + interval '1 day' + n * interval '1 ms'))
      from generate_series(first, least(first + 999, :delayed)) n)) states) calls;
