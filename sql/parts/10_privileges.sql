-- Who may do what, in one place.

create function jobs_ext.privileges(kind text)
returns table (sort text, object text, privilege text)
language sql immutable set search_path = pg_catalog, pg_temp
begin atomic
  select g.sort, o.object, g.privilege
  from (values
    ('reader', 'type', 'usage',
     '{public.job, public.job_state, public.job_step, public.job_type_settings,
       public.job_type_stats}'),
    ('reader', 'table', 'select',
     '{public.jobs, public.job_types, public.job_attempts, public.job_steps, public.jobs_archive,
       public.jobs_queue_status, public.jobs_failed_summary, public.jobs_metrics, public.jobs_active,
       public.jobs_running, public.jobs_failed, public.jobs_schedules}'),
    ('reader', 'routine', 'execute',
     '{public.job_get, public.job_list, public.job_children, public.job_stats, public.job_wait,
       jobs_ext.active_jobs,
       jobs_ext.running_jobs, jobs_ext.failed_jobs, jobs_ext.scheduled_jobs, jobs_ext.claimed_organisation,
       jobs_ext.claimed_user}'),

    ('watcher', 'schema', 'usage', '{jobs_ext}'),
    ('watcher', 'table', 'select', '{jobs_ext.maintenance, jobs_ext.jobs_set_aside}'),
    ('watcher', 'routine', 'execute', '{jobs_ext.maintenance_status}'),

    ('producer', 'table', 'insert', '{public.jobs}'),
    ('producer', 'table', 'update (cancel_requested_at)', '{public.jobs}'),
    ('producer', 'table', 'update (finished_at)', '{public.jobs}'),
    ('producer', 'table', 'update (current_step)', '{public.jobs}'),
    ('producer', 'routine', 'execute',
     '{public.job_enqueue, public.job_enqueue_many, public.job_cancel, public.job_retry,
       public.job_steps_set, public.job_step_resolve, jobs_ext.uuid_v7, jobs_ext.run_schedule}'),
    ('producer', 'language', 'usage', '{jobs_ext}'),

    ('worker', 'table', 'update, delete', '{public.jobs}'),
    ('worker', 'table', 'insert, update', '{public.job_types}'),
    ('worker', 'routine', 'execute',
     '{public.job_claim, public.job_await, public.job_heartbeat, public.job_heartbeat_many, public.job_complete,
       public.job_fail,
       public.job_release, public.job_release_worker, public.job_await_children, public.job_step_start,
       public.job_step_complete, public.job_step_fail, public.job_step_await, public.job_next,
       public.job_finish_many, public.job_pause, public.job_resume, public.job_type_set}'),

    ('operator', 'routine', 'execute',
     '{public.job_pause_all, public.job_resume_all, public.job_maintain, public.job_schedule, public.job_unschedule,
       jobs_ext.rebuild_queue, jobs_ext.check}')
  ) as g (kind, sort, privilege, objects),
  unnest(g.objects::text[]) as o (object)
  where g.kind = any (case $1
    when 'monitor'  then '{reader, watcher}'
    when 'producer' then '{reader, producer}'
    when 'worker'   then '{reader, watcher, producer, worker}'
    when 'operator' then '{reader, watcher, producer, worker, operator}'
  end::text[]);
end;
comment on function jobs_ext.privileges(text) is
'The privileges of a kind of role: producer, worker, operator or monitor. Granted by jobs_ext.grant_role().';

create function jobs_ext.default_roles()
returns table (role name, kind text)
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  select r.rolname, d.kind
  from (values ('service_role', 'worker'), ('authenticated', 'producer')) as d (role, kind)
  join pg_roles r on r.rolname = d.role;
end;
comment on function jobs_ext.default_roles() is
'The roles that are given privileges at installation: those of the API, where they exist.';

-- One function per name: another one of the user's would make calls ambiguous, or take them.
do $$
declare
  stranger regprocedure;
begin
  select p.oid into stranger
  from jobs_ext.privileges('operator'::text) ours
  join pg_proc p on ours.sort = 'routine' and ours.object = 'public.' || p.proname
  where p.pronamespace = 'public'::regnamespace
  limit 1;
  if found then
    raise exception 'function % is there already', stranger
      using errcode = '42723', hint = 'Rename or drop it: jobs_ext makes a function of that name.';
  end if;
end $$;
