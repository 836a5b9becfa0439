-- job_types.keep_attempts: which attempts leave a row in job_attempts. What a failed one leaves is in finish.sql.
\ir setup/begin.psql
\ir setup/refuses.sql
begin;
select no_plan();
select job_type_set('audited', keep_attempts => 'all', retry_delay_ms => 0), job_type_set('quiet') \g /dev/null
select is(array_agg(distinct keep_attempts), '{failed}', 'a success leaves no row, unless one says so')
from job_types where job_type <> 'audited';
select tests.refuses($$ select job_type_set('audited', keep_attempts => 'none') $$, '22023', '%keep_attempts "none"%',
                     'another word');
select tests.refuses($$ update job_types set keep_attempts = 'none' $$, '23514', '%check_keep_attempts%', 'by SQL');

create function pg_temp.attempts(key text) returns text language sql as $$
  select string_agg(concat_ws(' ', a.attempt, a.outcome, a.worker, a.error_message,
                              case when a.ended_at >= a.started_at then 'in its time' end), ', ' order by a.attempt)
  from jobs j left join job_attempts a on a.job = j.id where j.job_id = key group by j.id
$$;

-- By each way to complete a job, on both paths.
create function pg_temp.complete(way text) returns void language plpgsql as $$
declare key text := way || current_setting('jobs_ext.force_statement_path'); job record;
begin
  perform job_enqueue('audited', job_id => key), job_enqueue('quiet', job_id => 'quiet ' || key);
  for job in select * from job_claim(max_jobs => 2, worker => 'w') loop
    case way
      when 'complete' then perform job_complete(job.id, job.lease_id, '{"n": 1}');
      when 'next' then perform job_next(job.id, job.lease_id, job_types => '{merge-menus}');
      when 'finish_many' then perform job_finish_many(jsonb_build_array(jsonb_build_object(
        'id', job.id, 'lease_id', job.lease_id, 'complete', null)));
      when 'update' then update jobs set status = 'completed', lease_id = job.lease_id where id = job.id;
    end case;
  end loop;
end $$;
select pg_temp.complete(way), set_config('jobs_ext.force_statement_path', 'on', true),
       pg_temp.complete(way), set_config('jobs_ext.force_statement_path', 'off', true)
from unnest('{complete,next,finish_many,update}'::text[]) way \g /dev/null
select is(pg_temp.attempts(way || path), '1 completed w in its time', format('%s: a row (%s)', way, path))
from unnest('{complete,next,finish_many,update}'::text[]) way, unnest('{on,off}'::text[]) path;
select is(pg_temp.attempts('quiet ' || way || path), '', format('%s: none of a type that keeps none (%s)', way, path))
from unnest('{complete,next,finish_many,update}'::text[]) way, unnest('{on,off}'::text[]) path;
select is((select count(*) from jobs where status = 'completed'), 16::bigint, 'all of them completed');

-- After a failure, and a reply that is asked for again.
select job_enqueue('audited', job_id => 'twice') \g /dev/null
select job_fail(id, lease_id, 'no') from job_claim('{audited}', worker => 'v') \g /dev/null
select id, lease_id from job_claim('{audited}', worker => 'w') \gset
select job_complete(:'id', :'lease_id') \g /dev/null
select is((job_complete(:'id', :'lease_id')).status, 'completed', 'a reply that got lost');
select is(pg_temp.attempts('twice'),
          '1 failed v no in its time, 2 completed w in its time', 'both attempts, once each');

-- They leave with their job, whatever the type says by then.
select job_type_set('audited', keep_attempts => 'failed', keep_completed => '0') \g /dev/null
update jobs set finished_at = finished_at - interval '1 day', started_at = started_at - interval '1 day',
                completed_at = completed_at - interval '1 day'
where job_type = 'audited';
select cmp_ok((job_maintain() ->> 'deleted')::int, '>=', 9, 'deleted');
select is_empty('select from job_attempts', 'their attempts as well');
select job_type_set('quiet', keep_attempts => 'all') \g /dev/null
select job_enqueue('quiet', job_id => 'archived') \g /dev/null
select job_complete(id, lease_id) from job_claim('{quiet}', worker => 'w') \g /dev/null
select job_type_set('quiet', keep_attempts => 'failed', keep_completed => '1 hour') \g /dev/null
update jobs set finished_at = finished_at - interval '1 day', started_at = started_at - interval '1 day',
                completed_at = completed_at - interval '1 day'
where job_id = 'archived';
select is((job_maintain() ->> 'archived')::int, 1, 'archived');
select is((select attempts #>> '{0,outcome}' from jobs_archive where job_id = 'archived'), 'completed',
          'its attempt goes along');
select is_empty('select from job_attempts', '… and leaves');
select finish();
rollback;
