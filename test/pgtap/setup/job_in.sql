-- tests.job_in(): makes a job and brings it into a state, by the verbs alone.
create schema if not exists tests;
grant usage on schema tests to public;

-- Its key, a UUID as text unless it is given, names what it is for. Running: by worker "w", for the first time.
create function tests.job_in(state text, key text default gen_random_uuid()::text, job_type text default 'bulk-update')
returns uuid language plpgsql as $$
declare
  job uuid := (job_enqueue(job_type, job_id => key, priority => 10,
                           run_at => case state when 'pending' then '2100-01-01'::timestamptz end)).id;
  running public.job;
begin
  if state in ('in_progress', 'blocked', 'completed', 'failed') then
    update jobs set run_at = '2000-01-01' where id = job; -- before all others
    select c.* into running from job_claim(worker => 'w', job_types => array[job_type]) c;
    if running.id is distinct from job then
      raise exception 'claimed % instead of %', running.job_id, key;
    end if;
  end if;
  case state
    when 'paused' then perform job_pause(job);
    when 'cancelled' then perform job_cancel(job);
    when 'blocked' then
      perform job_enqueue(job_type, run_at => '2100-01-01', parent_job_id => job);
      perform job_await_children(job, running.lease_id);
    when 'completed' then perform job_complete(job, running.lease_id, '{"done": true}');
    when 'failed' then perform job_fail(job, running.lease_id, 'broken', permanent => true);
    else null;
  end case;
  return job;
end $$;
