-- tests.in_step(): the private tables hold what the rows of public.jobs say, no row less and none more, read from the
-- tables and from their indexes. Usable after SET ROLE.
create schema if not exists tests;
grant usage on schema tests to public;

-- From the rows of public.jobs by the rules alone, not by the extension's code.
create function tests.derived_expected() returns setof text
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
  select format('queue: lane %s, rank %s, due %s, job %s', l.lane, -j.priority, j.run_at, j.id)
  from public.jobs j left join jobs_ext.lanes l on l.job_type = j.job_type
  where j.status in ('pending', 'queued')
  union all
  select format('queue: lane 0, rank 0, due %s, job %s', least(j.lease_expires_at, j.timeout_at), j.id)
  from public.jobs j where j.status = 'in_progress'
  union all
  select format('failed: %s, job %s', j.created_at, j.id)
  from public.jobs j where j.status = 'failed'
  union all
  select format('expiring: %s, job %s', j.expires_at, j.id)
  from public.jobs j where j.status in ('pending', 'queued', 'paused') and j.expires_at is not null and j.attempt = 0
  union all
  select format('ended: lane %s, rank %s, %s, job %s',
                l.lane, case j.status when 'completed' then 0 when 'failed' then 1 else 2 end, j.finished_at, j.id)
  from public.jobs j left join jobs_ext.lanes l on l.job_type = j.job_type
  where j.status in ('completed', 'failed', 'cancelled') and j.finished_at is not null
  union all
  select format('blocked: %s, job %s', j.created_at, j.id)
  from public.jobs j where j.status = 'blocked'
  union all
  select format('paused: %s, job %s', j.created_at, j.id)
  from public.jobs j where j.status = 'paused'
  union all
  select format('children: parent %s, job %s', j.parent_job_id, j.id)
  from public.jobs j
  where j.parent_job_id is not null and j.status in ('pending', 'queued', 'in_progress', 'paused', 'blocked');
end;

create function tests.derived_by_table() returns setof text
language sql security definer set search_path = pg_catalog, pg_temp
set enable_indexscan = off set enable_indexonlyscan = off set enable_bitmapscan = off
begin atomic
  select format('queue: lane %s, rank %s, due %s, job %s', q.lane, q.rank, q.due_at, q.job) from jobs_ext.queue q
  union all
  select format('failed: %s, job %s', f.created_at, f.job) from jobs_ext.failed f
  union all
  select format('expiring: %s, job %s', e.expires_at, e.job) from jobs_ext.expiring e
  union all
  select format('ended: lane %s, rank %s, %s, job %s', e.lane, e.rank, e.ended_at, e.job) from jobs_ext.ended e
  union all
  select format('blocked: %s, job %s', b.created_at, b.job) from jobs_ext.blocked b
  union all
  select format('paused: %s, job %s', p.created_at, p.job) from jobs_ext.paused p
  union all
  select format('children: parent %s, job %s', c.parent, c.job) from jobs_ext.children c;
end;

create function tests.derived_by_index() returns setof text
language sql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off
begin atomic
  select format('queue: lane %s, rank %s, due %s, job %s', q.lane, q.rank, q.due_at, q.job)
  from jobs_ext.queue q where q.lane >= 0
  union all
  select format('failed: %s, job %s', f.created_at, f.job) from jobs_ext.failed f where f.created_at >= '-infinity'
  union all
  select format('expiring: %s, job %s', e.expires_at, e.job) from jobs_ext.expiring e where e.expires_at >= '-infinity'
  union all
  select format('ended: lane %s, rank %s, %s, job %s', e.lane, e.rank, e.ended_at, e.job)
  from jobs_ext.ended e where e.lane >= 0
  union all
  select format('blocked: %s, job %s', b.created_at, b.job) from jobs_ext.blocked b where b.created_at >= '-infinity'
  union all
  select format('paused: %s, job %s', p.created_at, p.job) from jobs_ext.paused p where p.created_at >= '-infinity'
  union all
  select format('children: parent %s, job %s', c.parent, c.job)
  from jobs_ext.children c where c.parent >= '00000000-0000-0000-0000-000000000000';
end;

-- What differs, a line each; nothing when all is well.
create function tests.out_of_step() returns setof text
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
  select 'missing in the table: ' || d.line
  from (select tests.derived_expected() as line except all select tests.derived_by_table()) d
  union all
  select 'too much in the table: ' || d.line
  from (select tests.derived_by_table() as line except all select tests.derived_expected()) d
  union all
  select 'missing in the index: ' || d.line
  from (select tests.derived_expected() as line except all select tests.derived_by_index()) d
  union all
  select 'too much in the index: ' || d.line
  from (select tests.derived_by_index() as line except all select tests.derived_expected()) d;
end;

create function tests.in_step(description text default 'the private tables hold what the rows of jobs say')
returns text language plpgsql as $$
declare
  differences text[] := array(select tests.out_of_step());
begin
  return tap.ok(differences = '{}', description)
      || case when differences = '{}' then ''
              else E'\n' || tap.diag(array_to_string(differences[1:20], E'\n')) end;
end $$;
