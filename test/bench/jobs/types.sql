-- :jobs that are ready, of :kinds types by turns, in calls of 1000 at most.
select sum(added) from generate_series(1, :jobs, 1000) first, lateral (
  select count(*) as added from job_enqueue_many((
    select jsonb_agg(jsonb_build_object('job_type', 'type_' || 1 + n % :kinds, 'input_payload', :'payload'::jsonb))
      from generate_series(first, least(first + 999, :jobs)) n)) states) calls;
