-- What a row of an old table becomes as a job.

-- A row of an old table: what it becomes, or why it can't.
create type jobs_ext.old_job as (id uuid, source_status text, hash text, job jsonb, steps jsonb, refused text);

-- The columns of a job that its row's status and times decide. old_status: one of those of jobs, or null.
create function jobs_ext.old_job_state(status text, started_at timestamptz, completed_at timestamptz,
  cancelled_at timestamptz, created_at timestamptz, updated_at timestamptz, worker text, lease interval)
returns jsonb
language sql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
return (
  select jsonb_build_object(
    'status', status,
    'created_at', b.began,
    'updated_at', coalesce(updated_at, b.ended),
    -- A time to come would hold it back.
    'run_at', least(b.began, statement_timestamp()),
    'started_at', case when status in ('in_progress', 'completed', 'failed') then coalesce(started_at, b.began)
                       when status in ('paused', 'cancelled') then started_at end,
    'completed_at', case when status = 'completed' then b.ended end,
    'cancelled_at', case when status = 'cancelled' then b.ended end,
    'finished_at', case when status in ('completed', 'failed', 'cancelled') then b.ended end,
    'execution_time_ms', case when status in ('completed', 'failed') and isfinite(started_at) and isfinite(b.ended)
      then least(greatest(floor(extract(epoch from b.ended - started_at) * 1000), 0), 2147483647)::integer end,
    'retries', 0,
    'attempt', case when status in ('in_progress', 'completed', 'failed') or started_at is not null then 1 else 0 end,
    'priority', 0,
    'worker', case when status = 'in_progress' then worker end,
    'lease_id', case when status = 'in_progress' then gen_random_uuid() end,
    'heartbeat_at', case when status = 'in_progress' then coalesce(updated_at, started_at, b.began) end,
    'lease_expires_at', case when status = 'in_progress' then statement_timestamp() + lease end)
  from (
    select coalesce(created_at, least(started_at, completed_at, cancelled_at, updated_at), statement_timestamp()),
           coalesce(case status when 'completed' then completed_at when 'cancelled' then cancelled_at end,
                    completed_at, updated_at, started_at, created_at, statement_timestamp())) as b (began, ended));
comment on function jobs_ext.old_job_state(text, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, text,
  interval) is
'The columns of public.jobs that status and times of a row of an old table decide, with the times that it lacks.';

-- Why a row can't be a job, whatever table it is of; null: it can.
create function jobs_ext.old_job_refusal(job jsonb, wanted_type text, is_registered boolean, keep_completed interval,
  keep_failed interval, lease interval)
returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  case
    when job ->> 'status' = 'in_progress' and lease is null then
      'in progress: the old worker has it; comes when it has ended, or with a lease'
    when job ->> 'status' is null then 'refused: its status is none of a job'
    when coalesce(job ->> 'job_id', '') = '' then 'refused: it has no job_id'
    when char_length(job ->> 'job_id') > 100 then 'refused: its job_id is longer than 100 characters'
    when not is_registered then
      format('refused: job type "%s" is not registered; name one in types, or: select job_type_set(…)',
             left(wanted_type, 100))
    when job ->> 'status' = 'completed' and keep_completed = interval '0'
      or job ->> 'status' in ('failed', 'cancelled') and keep_failed = interval '0' then
      format('refused: job type "%s" keeps no job that has ended (keep_completed, keep_failed)', job ->> 'job_type')
    when exists (select from jsonb_each_text(job) c (name, value)
                 where c.name like '%\_at' and c.name <> 'lease_expires_at' and c.value in ('infinity', '-infinity'))
      then 'refused: one of its times is infinite'
    else (
      select format('refused: its %s is larger than jobs_ext.max_payload', c.name)
      from (values ('input_payload'), ('metadata'), ('progress'), ('result')) c (name)
      where octet_length((job -> c.name)::text) > pg_size_bytes(current_setting('jobs_ext.max_payload'))
      limit 1)
  end);
comment on function jobs_ext.old_job_refusal(jsonb, text, boolean, interval, interval, interval) is
'Why a row of an old table can''t be a job; null: it can.';

create function jobs_ext.old_message(message text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return case when octet_length(message) > 65536 then left(message, 16000) || ' … (cut)' else message end;
comment on function jobs_ext.old_message(text) is
'An error message as jobs takes it: cut where it is longer than 64 kB.';

create function jobs_ext.type_of_old_job(old_type text, types jsonb) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    types ->> old_type,
    (select t.job_type::text from public.job_types t
     where t.job_type in (old_type, replace(old_type, '_', '-'))
        or old_type = 'full_menu' and t.job_type = 'extract-menu'
     order by t.job_type <> old_type, t.job_type <> replace(old_type, '_', '-') limit 1),
    old_type)
$$;
comment on function jobs_ext.type_of_old_job(text, jsonb) is
'The type of a job that had this type in an old table: what types says, else the type of that name, or with dashes in '
'the place of underscores; full_menu is extract-menu.';

-- OFFSET 0, so that each value is computed once, not where it is named.
create function jobs_ext.old_extraction_jobs(source regclass, ids uuid[], types jsonb, lease interval)
returns setof jobs_ext.old_job
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return query execute format($q$
    select s.id, s.status::text, h.hash, j.job, null::jsonb,
           jobs_ext.old_job_refusal(j.job, s.job_type::text, t.job_type is not null, t.keep_completed, t.keep_failed,
                                    $3)
    from %1$s s
    left join public.job_types t on t.job_type = jobs_ext.type_of_old_job(s.job_type::text, $2)
    cross join lateral (select %3$s, %4$s offset 0) h (hash, more)
    cross join lateral (
      select case when s.status::text in ('pending', 'queued', 'in_progress', 'paused', 'completed', 'failed',
                                          'cancelled') then s.status::text end offset 0) w (status)
    cross join lateral (
      select jobs_ext.old_job_state(w.status, s.started_at, s.completed_at, s.completed_at, s.created_at, s.updated_at,
                                    'extraction_jobs'::text, $3)
        || jsonb_build_object(
          'id', s.id, 'job_id', s.job_id, 'job_type', coalesce(t.job_type, s.job_type), 'job_category', t.job_category,
          'max_retries', coalesce(t.max_retries, 3), 'retry_delay_ms', coalesce(t.retry_delay_ms, 1000),
          'input_payload', jsonb_strip_nulls(jsonb_build_object(
            'url', s.url, 'platform_id', s.platform_id)) || jsonb_build_object('config', coalesce(s.config, '{}')),
          'progress', nullif(s.progress, '{}'), 'error_message', jobs_ext.old_message(s.error),
          'organisation_id', coalesce(s.organisation_id, '00000000-0000-0000-0000-000000000000'),
          'restaurant_id', s.restaurant_id,
          'metadata', jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
            'table', %2$L::text, 'id', s.id, 'hash', h.hash, 'as', w.status, 'status', s.status,
            'job_type', s.job_type, 'started_at', s.started_at, 'completed_at', s.completed_at,
            'updated_at', s.updated_at, 'error', case when jobs_ext.old_message(s.error) <> s.error then s.error end))
            || case when h.more <> '{}' then jsonb_build_object('more', h.more) else '{}' end)) offset 0) j (job)
    where $1 is null or s.id = any ($1)$q$, source, source::text, jobs_ext.hash_of_old_row(source, null::regclass),
    jobs_ext.old_row_as_json(source, 's'::text, jobs_ext.columns_of_extraction_jobs()))
    using ids, types, lease;
end $$;
comment on function jobs_ext.old_extraction_jobs(regclass, uuid[], jsonb, interval) is
'Part of jobs_ext.import_extraction_jobs(): the rows as jobs. ids: only these; null: all.';

create function jobs_ext.old_lead_scrape_steps(steps regclass) returns text
language sql stable set search_path = pg_catalog, pg_temp
return format($q$
    select jsonb_agg(jsonb_build_object(
             'step_number', o.step_number, 'step_name', o.step_name, 'description', o.step_description,
             'step_type', o.step_type, 'status', o.status, 'received', o.leads_received,
             'processed', o.leads_processed, 'passed', o.leads_passed, 'failed', o.leads_failed,
             'error_message', jobs_ext.old_message(o.error_message),
             'started_at', case when o.status in ('pending') then null
                                else coalesce(o.started_at, o.created_at, s.started_at, s.created_at) end,
             'completed_at', case when o.status in ('completed', 'failed')
                                  then coalesce(o.completed_at, o.updated_at, o.created_at, s.updated_at) end,
             'metadata', case when jsonb_typeof(o.metadata) = 'object' then o.metadata else '{}' end
               || jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
                    'id', o.id, 'target_url_template', o.target_url_template, 'started_at', o.started_at,
                    'completed_at', o.completed_at, 'created_at', o.created_at, 'updated_at', o.updated_at,
                    'error', case when jobs_ext.old_message(o.error_message) <> o.error_message
                                  then o.error_message end))
                 || case when jsonb_typeof(o.metadata) <> 'object' or o.metadata ? 'legacy'
                         then jsonb_build_object('metadata', o.metadata) else '{}' end
                 || case when m.more <> '{}' then jsonb_build_object('more', m.more) else '{}' end))
             order by o.step_number),
           bool_or(o.status = 'action_required'),
           (array_agg(jobs_ext.old_message(o.error_message) order by o.step_number)
              filter (where o.status = 'failed' and o.error_message is not null))[1],
           count(*) <> count(distinct o.step_number) or bool_or(coalesce(
             o.step_name is null or not o.step_number between 1 and 1000
             or not o.step_type in ('automatic', 'action_required')
             or not o.status in ('pending', 'in_progress', 'action_required', 'completed', 'failed'), true))
    from %1$s o cross join lateral (select %2$s) m (more)
    where o.job_id = s.id$q$,
  steps, jobs_ext.old_row_as_json(steps, 'o'::text, jobs_ext.columns_of_lead_scrape_job_steps()));
comment on function jobs_ext.old_lead_scrape_steps(regclass) is
'A query: of the steps of a row s of lead_scrape_jobs what they become, whether one waits for a person, the error of '
'the first that failed, and whether one is none of ours.';

create function jobs_ext.old_lead_scrape_jobs(source regclass, steps regclass, ids uuid[], job_type text,
  lease interval)
returns setof jobs_ext.old_job
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return query execute format($q$
    select s.id, s.status::text, h.hash, j.job, p.steps,
           case when p.is_odd then 'refused: one of its steps is none: its number, name, type or status'
                else jobs_ext.old_job_refusal(j.job, $2, t.job_type is not null, t.keep_completed, t.keep_failed, $3)
           end
    from %1$s s
    left join public.job_types t on t.job_type = $2
    cross join lateral (
      %2$s) p (steps, is_awaited, error_message, is_odd)
    cross join lateral (select %4$s, %5$s offset 0) h (hash, more)
    cross join lateral (
      select case when s.status = 'draft' or s.status = 'in_progress' and p.is_awaited then 'paused'
                  when s.status in ('pending', 'queued', 'in_progress', 'paused', 'completed', 'failed', 'cancelled')
                  then s.status::text end offset 0) w (status)
    cross join lateral (
      select jsonb_strip_nulls(jsonb_build_object(
        'leads_extracted', s.leads_extracted, 'leads_passed', s.leads_passed, 'leads_failed', s.leads_failed))
    ) c (counters)
    cross join lateral (
      select jobs_ext.old_job_state(w.status, s.started_at, s.completed_at, s.cancelled_at, s.created_at, s.updated_at,
                                    'lead_scrape_jobs'::text, $3)
        || jsonb_build_object(
          'id', s.id, 'job_id', 'lead-scrape-' || s.id, 'job_type', coalesce(t.job_type, $2),
          'job_category', t.job_category,
          'max_retries', coalesce(t.max_retries, 3), 'retry_delay_ms', coalesce(t.retry_delay_ms, 1000),
          'input_payload', jsonb_strip_nulls(jsonb_build_object(
            'name', s.name, 'platform', s.platform, 'country', s.country, 'city', s.city, 'city_code', s.city_code,
            'region_code', s.region_code, 'cuisine', s.cuisine, 'leads_limit', s.leads_limit,
            'page_offset', s.page_offset, 'initial_url', s.initial_url)),
          'current_step', coalesce(s.current_step, 0),
          'total_steps', coalesce(s.total_steps, jsonb_array_length(p.steps), 0),
          'progress', c.counters || jsonb_strip_nulls(jsonb_build_object(
            'current_step', s.current_step, 'total_steps', s.total_steps)),
          'result', case when w.status = 'completed' then c.counters end,
          'error_message', case when w.status = 'failed' then p.error_message end,
          'organisation_id', coalesce(s.organisation_id, '00000000-0000-0000-0000-000000000000'),
          'created_by', s.created_by,
          'metadata', case when jsonb_typeof(s.metadata) = 'object' then s.metadata else '{}' end
            || case when s.status = 'draft' then '{"draft": true}' else '{}'::jsonb end
            || case when to_regclass('public.job_steps') is null and p.steps is not null
                    then jsonb_build_object('steps', p.steps) else '{}' end
            || jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
              'table', %3$L::text, 'id', s.id, 'hash', h.hash, 'as', w.status, 'status', s.status,
              'started_at', s.started_at, 'completed_at', s.completed_at, 'cancelled_at', s.cancelled_at,
              'updated_at', s.updated_at))
              || case when jsonb_typeof(s.metadata) <> 'object' or s.metadata ?| '{draft,steps,legacy}'
                      then jsonb_build_object('metadata', s.metadata) else '{}' end
              || case when h.more <> '{}' then jsonb_build_object('more', h.more) else '{}' end)) offset 0) j (job)
    where $1 is null or s.id = any ($1)$q$, source, jobs_ext.old_lead_scrape_steps(steps), source::text,
    jobs_ext.hash_of_old_row(source, steps),
    jobs_ext.old_row_as_json(source, 's'::text, jobs_ext.columns_of_lead_scrape_jobs()))
    using ids, job_type, lease;
end $$;
comment on function jobs_ext.old_lead_scrape_jobs(regclass, regclass, uuid[], text, interval) is
'Part of jobs_ext.import_lead_scrape_jobs(): the rows with their steps as jobs. ids: only these; null: all.';
