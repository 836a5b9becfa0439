-- :jobs in one call, whose argument is text that is there already.
create temp table argument as
  select jsonb_agg(jsonb_build_object('job_type', 'bench', 'input_payload', :'payload'::jsonb))::text as jobs
    from generate_series(1, :jobs);
select clock_timestamp() as began \gset
select count(*) as added from argument, job_enqueue_many(argument.jobs::jsonb) \gset
select 'per_second', :added / extract(epoch from clock_timestamp() - :'began');
