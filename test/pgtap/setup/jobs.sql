-- Jobs named by their job_id, and a way to bring one to the state that a test begins with.
create schema if not exists tests;
grant usage on schema tests to public;

-- Types of the tests' own, in two categories.
select job_type_set('alpha', job_category => 'letters', max_retries => 3, retry_delay_ms => 1000),
       job_type_set('beta', job_category => 'letters'),
       job_type_set('gamma', job_category => 'rays')
\g /dev/null

-- Volatile: they see what the statement that asks has done so far.
create function tests.job(key text) returns public.jobs
language sql as $$ select j from public.jobs j where j.job_id = key $$;

create function tests.id(key text) returns uuid
language sql as $$ select j.id from public.jobs j where j.job_id = key $$;

create function tests.lease(key text) returns uuid
language sql as $$ select j.lease_id from public.jobs j where j.job_id = key $$;

create function tests.status(key text) returns text
language sql as $$ select j.status from public.jobs j where j.job_id = key $$;

-- Enqueues a job and claims it, past all that may wait.
create function tests.run(key text, job_type text default 'alpha', worker text default 'w1',
                          lease interval default null, max_retries int default null) returns uuid
language plpgsql as $$
declare
  claimed text;
begin
  perform public.job_enqueue(job_type, job_id => key, priority => 10, run_at => '2000-01-01+00',
                             max_retries => max_retries);
  select c.job_id into claimed from public.job_claim(array[job_type], worker => worker, lease => lease) c;
  if claimed is distinct from key then
    raise exception 'claimed % instead of %', claimed, key;
  end if;
  return tests.lease(key);
end $$;

-- Claims a job that waits, at the time at which it is due; leaves the clock there.
create function tests.run_again(key text, worker text default 'w1') returns uuid
language plpgsql as $$
declare
  j constant public.jobs := tests.job(key);
  claimed text;
begin
  if j.run_at > current_setting('jobs_ext.now')::timestamptz then
    perform set_config('jobs_ext.now', j.run_at::text, false);
  end if;
  select c.job_id into claimed from public.job_claim(array[j.job_type], worker => worker) c;
  if claimed is distinct from key then
    raise exception 'claimed % instead of %', claimed, key;
  end if;
  return tests.lease(key);
end $$;
