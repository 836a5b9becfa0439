-- :jobs that are ready, of a thousand tenants by turns, in calls of 1000 at most.
select sum(added) from generate_series(1, :jobs, 1000) first, lateral (
  select count(*) as added from job_enqueue_many((
    select jsonb_agg(jsonb_build_object('job_type', 'bench', 'input_payload', :'payload'::jsonb, 'organisation_id', id,
                                        'restaurant_id', id, 'created_by', id))
      from generate_series(first, least(first + 999, :jobs)) n, lpad((1 + n % 1000)::text, 32, '0') id)) states) calls;
