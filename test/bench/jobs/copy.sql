-- COPY of :jobs from a file into a table like jobs, with its constraints and indexes.
select count(*) from job_enqueue_many((
  select jsonb_agg(jsonb_build_object('job_type', 'bench', 'input_payload', :'payload'::jsonb))
    from generate_series(1, :jobs))) \gset
create table copied (like jobs including all);
select format('copy jobs to %L', :'file') as out, format('copy copied from %L', :'file') as into \gset
:out;
truncate jobs;
select clock_timestamp() as began \gset
:into;
select 'per_second', :jobs / extract(epoch from clock_timestamp() - :'began');
select 'void', 'the table has ' || count(*) || ' rows' from copied having count(*) <> :jobs;
drop table copied;
