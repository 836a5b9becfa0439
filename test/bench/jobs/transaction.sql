-- :jobs claims and completions in one transaction, after as many jobs were enqueued: claims of the first and the last
-- tenth a second.
create temp table tenths (tenth integer, took interval);
select set_config('bench.jobs', :'jobs', false);
do $$
declare
  job record;
  began timestamptz;
  slice integer := current_setting('bench.jobs')::integer / 10;
begin
  for tenth in 1 .. 10 loop
    began := clock_timestamp();
    for n in 1 .. slice loop
      select * into strict job from job_claim('{bench}');
      perform job_complete(job.id, job.lease_id);
    end loop;
    insert into tenths values (tenth, clock_timestamp() - began);
  end loop;
end $$;
select 'per_second', :jobs / sum(extract(epoch from took)) from tenths;
select 'first', :jobs / 10 / extract(epoch from took) from tenths where tenth = 1;
select 'last', :jobs / 10 / extract(epoch from took) from tenths where tenth = 10;
