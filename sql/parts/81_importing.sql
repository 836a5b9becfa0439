-- Jobs of the two tables that the seed's application had before (extraction_jobs; lead_scrape_jobs with its steps)
-- become jobs here. A copy has the id of its row, so that what refers to the old table can refer to the new one, and so
-- that it is found again, in jobs or in the archive: no call imports a row twice.
--
-- A copy is the old system's until somebody here does something with it: as long as it has the status that it was
-- imported with, and no worker but the old system's had it. Till then it follows its row, by the next call or by a
-- trigger on the old table that calls for this row (doc/migration.md). It is replaced as a whole, since by the moves of
-- a job it could not follow a row that an UPDATE takes from failed to pending.

-- A row of an old table: what it becomes, or why it can't.
create type jobs_ext.old_job as (id uuid, source_status text, hash text, job jsonb, steps jsonb, refused text);

-- What is to be done with it: new, changed, there already, or the reason why nothing is.
create type jobs_ext.old_job_verdict as (id uuid, source_status text, status text, job_type text, verdict text);

-- The columns that an old table must have, "name type", and that become something here. What else it has is kept in the
-- metadata of the copy.
create function jobs_ext.columns_of_extraction_jobs() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
return array[
  'id uuid', 'job_id text', 'restaurant_id uuid', 'platform_id uuid', 'url text', 'job_type text', 'status text',
  'progress jsonb', 'config jsonb', 'error text', 'started_at timestamptz', 'completed_at timestamptz',
  'created_at timestamptz', 'updated_at timestamptz', 'organisation_id uuid'];
comment on function jobs_ext.columns_of_extraction_jobs() is 'The columns of extraction_jobs in the seed.';

create function jobs_ext.columns_of_lead_scrape_jobs() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
return array[
  'id uuid', 'name text', 'platform text', 'country text', 'city text', 'city_code text', 'region_code text',
  'cuisine text', 'leads_limit integer', 'page_offset integer', 'initial_url text', 'status text',
  'current_step integer', 'total_steps integer', 'leads_extracted integer', 'leads_passed integer',
  'leads_failed integer', 'organisation_id uuid', 'created_by uuid', 'started_at timestamptz',
  'completed_at timestamptz', 'cancelled_at timestamptz', 'created_at timestamptz', 'updated_at timestamptz',
  'metadata jsonb'];
comment on function jobs_ext.columns_of_lead_scrape_jobs() is 'The columns of lead_scrape_jobs in the seed.';

create function jobs_ext.columns_of_lead_scrape_job_steps() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
return array[
  'id uuid', 'job_id uuid', 'step_number integer', 'step_name text', 'step_description text', 'step_type text',
  'status text', 'target_url_template text', 'leads_received integer', 'leads_processed integer',
  'leads_passed integer', 'leads_failed integer', 'started_at timestamptz', 'completed_at timestamptz',
  'created_at timestamptz', 'updated_at timestamptz', 'metadata jsonb', 'error_message text'];
comment on function jobs_ext.columns_of_lead_scrape_job_steps() is 'The columns of lead_scrape_job_steps in the seed.';

-- A value of a type that is not Postgres's own is read as text, by the type's output function: a cast of such a type to
-- json, which to_jsonb() takes, is a function of whoever made it, and would run as the caller.
create function jobs_ext.old_row_as_json(source regclass, alias text, but_for text[]) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select coalesce(format('(select to_jsonb(r) from (select %s) r)', string_agg(
           case when a.atttypid < 16384 then format('%1$s.%2$I', alias, a.attname)
                else format('case when %1$s.%2$I is distinct from null then format(''%%s'', %1$s.%2$I) end as %2$I',
                            alias, a.attname) end, ', ' order by a.attnum)), '''{}''::jsonb')
  from pg_attribute a
  where a.attrelid = source and a.attnum > 0 and not a.attisdropped
    and not exists (select from unnest(but_for) c (wanted) where split_part(c.wanted, ' ', 1) = a.attname));
comment on function jobs_ext.old_row_as_json(regclass, text, text[]) is
'An expression: the row of an old table by this alias as an object of JSON, without these columns ("name type").';

create function jobs_ext.hash_of_old_row(source regclass, steps regclass) returns text
language sql stable set search_path = pg_catalog, pg_temp
return format('md5(%s::text%s)', jobs_ext.old_row_as_json(source, 's'::text, '{}'::text[]),
              case when steps is not null then
                format(' || coalesce((select jsonb_agg(%s order by o.step_number, o.id) from %s o '
                       'where o.job_id = s.id)::text, '''')',
                       jobs_ext.old_row_as_json(steps, 'o'::text, '{}'::text[]), steps) end);
comment on function jobs_ext.hash_of_old_row(regclass, regclass) is
'An expression: the hash of a row s of an old table, with its steps, by which is known whether it has changed.';

create function jobs_ext.require_lease(lease interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if lease <= interval '0' then
    raise exception 'lease must be longer than nothing, not %', lease using errcode = '22023';
  end if;
end $$;
comment on function jobs_ext.require_lease(interval) is 'Raises 22023 for a lease that has run out when it is given.';

create function jobs_ext.require_old_table(source regclass, columns text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  owner constant name := jobs_ext.owner();
  kind "char";
  wrong record;
begin
  if current_user <> owner then
    raise exception 'must be "%", the owner of public.jobs, to import into it', owner
      using errcode = '42501', hint = format('set role %I', owner);
  end if;
  if source is null then
    raise exception 'the table to import from must not be null' using errcode = '22023';
  end if;
  select c.relkind into kind from pg_class c where c.oid = source;
  if kind is null or not kind in ('r', 'p') then
    raise exception '% is not a table', source
      using errcode = '42809', hint = 'Name the old table itself, not a view or a foreign table over it.';
  end if;
  select split_part(n.wanted, ' ', 1) as name, split_part(n.wanted, ' ', 2) as type,
         format_type(a.atttypid, null) as actual into wrong
  from unnest(columns) with ordinality as n (wanted, place)
  left join pg_attribute a
    on a.attrelid = source and a.attname = split_part(n.wanted, ' ', 1) and a.attnum > 0 and not a.attisdropped
  where a.attname is null or not case split_part(n.wanted, ' ', 2)
    when 'text' then a.atttypid in ('text'::regtype, 'varchar'::regtype)
    when 'timestamptz' then a.atttypid = 'timestamptz'::regtype
    when 'integer' then a.atttypid = 'integer'::regtype
    when 'jsonb' then a.atttypid = 'jsonb'::regtype
    else a.atttypid = 'uuid'::regtype end
  order by n.place limit 1;
  if found then
    raise exception 'table % %', source,
        case when wrong.actual is null then format('lacks the column "%s %s"', wrong.name, wrong.type)
             else format('has the column "%s" of type %s, not %s', wrong.name, wrong.actual, wrong.type) end
      using errcode = '42804', hint = 'The columns are those of the table in the seed (doc/migration.md).';
  end if;
  -- Rows that a policy hides would be missing without a word.
  if row_security_active(source) then
    raise exception 'row level security hides rows of % from "%"', source, current_user
      using errcode = '42501', hint = 'alter table … no force row level security, or own it, or have BYPASSRLS.';
  end if;
end $$;
comment on function jobs_ext.require_old_table(regclass, text[]) is
'Raises 42501 unless the caller owns public.jobs and sees each row of the table, 22023 for null, 42809 for what is no '
'table, 42804 when it lacks one of these columns ("name type").';

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
create function jobs_ext.old_job_refusal(job jsonb, wanted_type text, is_registered boolean, keeps_none boolean)
returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  case
    when job ->> 'status' is null then 'refused: its status is none of a job'
    when coalesce(job ->> 'job_id', '') = '' then 'refused: it has no job_id'
    when char_length(job ->> 'job_id') > 100 then 'refused: its job_id is longer than 100 characters'
    when not is_registered then
      format('refused: job type "%s" is not registered; name one in types, or: select job_type_set(…)',
             left(wanted_type, 100))
    when keeps_none then
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
comment on function jobs_ext.old_job_refusal(jsonb, text, boolean, boolean) is
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
           case when s.status::text = 'in_progress' and $3 is null
                then 'in progress: the old worker has it; comes when it has ended, or with a lease'
                else jobs_ext.old_job_refusal(j.job, s.job_type::text, t.job_type is not null,
                  case s.status::text when 'completed' then t.keep_completed = interval '0'
                                      when 'failed' then t.keep_failed = interval '0'
                                      when 'cancelled' then t.keep_failed = interval '0' end) end
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

create function jobs_ext.old_lead_scrape_jobs(source regclass, steps regclass, ids uuid[], job_type text,
  lease interval)
returns setof jobs_ext.old_job
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return query execute format($q$
    select s.id, s.status::text, h.hash, j.job, p.steps,
           case when w.status = 'in_progress' and $3 is null
                then 'in progress: the old worker has it; comes when it has ended, or with a lease'
                when p.is_odd then 'refused: one of its steps is none: its number, name, type or status'
                else jobs_ext.old_job_refusal(j.job, $2, t.job_type is not null,
                  case s.status::text when 'completed' then t.keep_completed = interval '0'
                                      when 'failed' then t.keep_failed = interval '0'
                                      when 'cancelled' then t.keep_failed = interval '0' end) end
    from %1$s s
    left join public.job_types t on t.job_type = $2
    cross join lateral (
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
      from %2$s o cross join lateral (select %5$s) m (more)
      where o.job_id = s.id) p (steps, is_awaited, error_message, is_odd)
    cross join lateral (select %4$s, %6$s offset 0) h (hash, more)
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
    where $1 is null or s.id = any ($1)$q$, source, steps, source::text, jobs_ext.hash_of_old_row(source, steps),
    jobs_ext.old_row_as_json(steps, 'o'::text, jobs_ext.columns_of_lead_scrape_job_steps()),
    jobs_ext.old_row_as_json(source, 's'::text, jobs_ext.columns_of_lead_scrape_jobs()))
    using ids, job_type, lease;
end $$;
comment on function jobs_ext.old_lead_scrape_jobs(regclass, regclass, uuid[], text, interval) is
'Part of jobs_ext.import_lead_scrape_jobs(): the rows with their steps as jobs. ids: only these; null: all.';

-- Which rows there are, and which of them are as they were copied: by the hash alone, which costs little.
create function jobs_ext.compare_old_jobs(source regclass, hash text, ids uuid[])
returns setof jobs_ext.old_job_verdict
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return query execute format($q$
    select h.id, h.status, coalesce(j.metadata, a.metadata) #>> '{legacy,as}',
           coalesce(j.job_type, a.job_type)::text,
           case when h.id is null then 'refused: it has no id'
                when h.hash = coalesce(j.metadata, a.metadata) #>> '{legacy,hash}' then 'there already' end
    from (select s.id, s.status::text, %s from %s s where $1 is null or s.id = any ($1)) h (id, status, hash)
    left join public.jobs j on j.id = h.id
    left join lateral (select b.id, b.job_type, b.metadata from public.jobs_archive b where b.id = h.id limit 1) a
      on j.id is null$q$, hash, source)
    using ids;
end $$;
comment on function jobs_ext.compare_old_jobs(regclass, text, uuid[]) is
'Part of the imports: a row for each of an old table, with the verdict where its copy is as it is; null: something is '
'to be done, or refused. hash: an expression.';

-- old_jobs: a call that returns rows of old_job, in which $1 are the ids. It costs much a row, so it is for those alone
-- that have changed.
create function jobs_ext.judge_old_jobs(old_jobs text, source regclass, hash text, ids uuid[], worker text)
returns setof jobs_ext.old_job_verdict
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
  compared constant jobs_ext.old_job_verdict[] := array(
    select c from jobs_ext.compare_old_jobs(source, hash, ids) c);
begin
  return query select (c).* from unnest(compared) c where c.verdict is not null;
  return query execute format($q$
    select o.id, o.source_status, o.job ->> 'status', o.job ->> 'job_type',
      case
        when j.id is null and a.id is null then
          case when o.refused is not null then o.refused
               when k.id is not null then 'refused: another job has its job_id'
               else 'new' end
        when j.job_id is distinct from o.job ->> 'job_id' and j.metadata #>> '{legacy,id}' is distinct from o.id::text
          and a.job_id is distinct from o.job ->> 'job_id' and a.metadata #>> '{legacy,id}' is distinct from o.id::text
          then 'refused: another job has its id'
        when a.id is not null or j.status is distinct from j.metadata #>> '{legacy,as}'
          or j.lease_id is not null and j.worker is distinct from $2
          then 'there already, and went on here: it no longer follows its row, which has changed since'
        else coalesce(o.refused, 'changed')
      end
    from %s o
    left join public.jobs j on j.id = o.id
    left join lateral (select b.id, b.job_id, b.metadata from public.jobs_archive b where b.id = o.id limit 1) a
      on j.id is null
    left join public.jobs k on j.id is null and k.job_id = o.job ->> 'job_id'$q$, old_jobs)
    using array(select c.id from unnest(compared) c where c.verdict is null), worker;
end $$;
comment on function jobs_ext.judge_old_jobs(text, regclass, text, uuid[], text) is
'Part of the imports: what is to be done with each row of an old table.';

create function jobs_ext.listed(prefix text, columns text[]) returns text
language sql immutable set search_path = pg_catalog, pg_temp
return (select string_agg(prefix || quote_ident(c.name), ', ' order by c.n)
        from unnest(columns) with ordinality c (name, n));
comment on function jobs_ext.listed(text, text[]) is 'The columns as a statement lists them, each behind the prefix.';

create function jobs_ext.put_old_jobs(old_jobs text, ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  made jobs_ext.old_job[];
  columns text[];
begin
  execute format('select array_agg(o) from %s o', old_jobs) into made using ids;
  if made is null then
    return;
  end if;
  select array_agg(c.name) into columns from jobs_ext.columns_of_jobs() c where made[1].job ? c.name;
  execute format('insert into public.jobs (%s) select %s from unnest($1) m, '
                 'jsonb_populate_record(null::public.job, m.job) n order by m.id',
                 jobs_ext.listed(''::text, columns), jobs_ext.listed('n.'::text, columns)) using made;
  if to_regclass('public.job_steps') is null then
    return;
  end if;
  select array_agg(a.attname) into columns from pg_attribute a
  where a.attrelid = to_regclass('public.job_steps') and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    and a.attname in ('step_number', 'step_name', 'description', 'step_type', 'status', 'received', 'processed',
                      'passed', 'failed', 'error_message', 'started_at', 'completed_at', 'metadata');
  execute format('delete from public.job_steps where job = any ($1)') using ids;
  execute format('insert into public.job_steps (job, %s) select m.id, %s from unnest($1) m, '
                 'jsonb_populate_recordset(null::public.job_steps, m.steps) n',
                 jobs_ext.listed(''::text, columns), jobs_ext.listed('n.'::text, columns)) using made;
end $$;
comment on function jobs_ext.put_old_jobs(text, uuid[]) is
'Part of the imports: inserts the copies of these rows, with their steps.';

-- Who meets here, outside of a dry run:
--   the old system is at a row     its row is locked, so it is passed over and left for the next call; a call for
--                                  single rows waits, and reads the row anew
--   the trigger of the old table   inserts the copy in the transaction that holds the row; whoever locks the row after
--                                  that looks for the copy in a statement of its own, so with a newer snapshot
--   another import                 each takes rows that the other has not locked
--   a worker here claims a copy    the copy is locked before it is judged, so either it is the worker's, and stays, or
--                                  the claim passes it over
create function jobs_ext.take_old_jobs(old_jobs text, source regclass, hash text, wanted uuid[], is_patient boolean,
  worker text)
returns setof jobs_ext.old_job_verdict
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  passing constant text := case when is_patient then '' else ' skip locked' end;
  held uuid[];
  copies uuid[];
  taken jobs_ext.old_job_verdict[];
  changed uuid[];
begin
  -- Never null, which would be all rows.
  execute format('select coalesce(array_agg(l.id), ''{}'') from (
                    select s.id from %s s where s.id = any ($1) order by s.id for no key update%s) l', source, passing)
    into held using wanted;
  execute format('select coalesce(array_agg(l.id), ''{}'') from (
                    select j.id from public.jobs j where j.id = any ($1) order by j.id for update%s) l', passing)
    into copies using held;
  select array_agg(v) into taken from jobs_ext.judge_old_jobs(old_jobs, source, hash, held, worker) v
  where v.verdict = 'new' or v.verdict = 'changed' and v.id = any (copies);
  select array_agg(t.id) into changed from unnest(taken) t where t.verdict = 'changed';
  delete from public.jobs j where j.id = any (changed);
  perform jobs_ext.put_old_jobs(old_jobs, array(select t.id from unnest(taken) t));
  return query select (t).* from unnest(taken) t;
end $$;
comment on function jobs_ext.take_old_jobs(text, regclass, text, uuid[], boolean, text) is
'Part of the imports: takes those of these rows that can be taken now, and returns which.';

-- A copy whose row is gone goes too, unless it went on here.
create function jobs_ext.drop_old_copies(source regclass, ids uuid[], worker text, out status text, out count bigint)
returns setof record
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  return query execute format($q$
    with gone as (
      delete from public.jobs j
      where j.id = any ($1) and not exists (select from %s s where s.id = j.id)
        and j.metadata #>> '{legacy,id}' = j.id::text and j.metadata #>> '{legacy,as}' = j.status
        and (j.lease_id is null or j.worker = $2)
      returning j.status::text)
    select g.status, count(*) from gone g group by 1$q$, source) using ids, worker;
end $$;
comment on function jobs_ext.drop_old_copies(regclass, uuid[], text) is
'Part of the imports: deletes the copies of rows that are gone, which are still the old system''s.';

-- Row by row in the order of ids, from the one that an earlier call got to, so that all calls together read the table
-- once. Where nothing is to be done it takes larger steps.
create function jobs_ext.walk_old_jobs(old_jobs text, source regclass, hash text, max_rows integer, worker text,
  inout after uuid, out judged jobs_ext.old_job_verdict[], out taken jobs_ext.old_job_verdict[])
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  step bigint := max_rows;
  room bigint := max_rows;
  ids uuid[];
  part jobs_ext.old_job_verdict[];
  wanted uuid[];
begin
  judged := '{}';
  taken := '{}';
  loop
    execute format('select array(select s.id from %s s where s.id is not null and ($1 is null or s.id > $1) '
                   'order by s.id limit $2)', source) into ids using after, step;
    part := array(select v from jobs_ext.judge_old_jobs(old_jobs, source, hash, ids, worker) v);
    wanted := array(select v.id from unnest(part) v where v.verdict in ('new', 'changed') order by v.id limit room + 1);
    judged := judged || part;
    taken := taken || array(
      select t from jobs_ext.take_old_jobs(old_jobs, source, hash, wanted[:room], false, worker) t);
    if cardinality(wanted) > room then
      after := wanted[room];
      return;
    elsif cardinality(ids) < step then
      after := null;
      return;
    end if;
    after := ids[cardinality(ids)];
    room := room - cardinality(wanted);
    if room = 0 then
      return;
    elsif wanted = '{}' then
      step := least(step * 2, 1000000);
    end if;
  end loop;
end $$;
comment on function jobs_ext.walk_old_jobs(text, regclass, text, integer, text, uuid) is
'Part of the imports: takes max_rows rows that are new or changed, of those with a larger id than after. Returns how '
'far it got (null: to the end), which it has looked at and which it has taken.';

create function jobs_ext.import_old_jobs(old_jobs text, source regclass, hash text, dry_run boolean, max_rows integer,
  ids uuid[], after uuid, worker text, out source_status text, out status text, out count bigint, out remark text,
  out up_to uuid)
returns setof record
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  judged jobs_ext.old_job_verdict[];
  taken jobs_ext.old_job_verdict[] := '{}';
  unpaused text;
  at uuid;
begin
  if dry_run is null or max_rows is null or max_rows < 1 then
    raise exception '% must not be %', case when dry_run is null then 'dry_run' else 'max_rows' end,
        coalesce(case when dry_run is not null then max_rows end::text, 'null')
      using errcode = '22023', hint = 'max_rows is at least 1.';
  elsif after is not null and (dry_run or ids is not null) then
    raise exception 'after is for an import of rows that are not named by ids, not for a dry run'
      using errcode = '22023', hint = 'Leave it out.';
  end if;
  if dry_run or ids is not null then
    judged := array(select v from jobs_ext.judge_old_jobs(old_jobs, source, hash, ids, worker) v);
    if not dry_run then
      taken := array(select t from jobs_ext.take_old_jobs(old_jobs, source, hash, array(
        select v.id from unnest(judged) v where v.verdict in ('new', 'changed') order by v.id limit max_rows),
        true, worker) t);
    end if;
  else
    select w.after, w.judged, w.taken into at, judged, taken
    from jobs_ext.walk_old_jobs(old_jobs, source, hash, max_rows, worker, after) w;
  end if;
  select string_agg(distinct format('"%s"', v.job_type), ', ') into unpaused
  from unnest(judged) v join public.job_types t on t.job_type = v.job_type
  where v.verdict in ('new', 'changed') and v.status in ('pending', 'queued') and not t.paused;
  if unpaused is not null then
    raise notice 'not paused: %', unpaused
      using detail = 'Workers of these types take what is imported, even while the old worker has it.',
            hint = 'Until the old worker is gone: select job_type_set(…, paused => true)';
  end if;
  return query
  select v.source_status, v.status, count(*),
         case when v.verdict ~ '^refused' then format('%s, e.g. %s', v.verdict, min(v.id::text)) else v.verdict end, at
  from (
    select t.source_status, t.status, t.verdict, t.id from unnest(taken) t
    union all
    select o.source_status, o.status,
           case when not dry_run and o.verdict in ('new', 'changed') then 'left for the next call' else o.verdict end,
           o.id
    from unnest(judged) o where not exists (select from unnest(taken) t where t.id = o.id)) v
  group by v.source_status, v.status, v.verdict
  order by 1, 2, 4;
  if not dry_run and ids is not null then
    return query select null::text, d.status, d.count, 'deleted: its row is gone', null::uuid
    from jobs_ext.drop_old_copies(source, ids, worker) d;
  end if;
end $$;
comment on function jobs_ext.import_old_jobs(text, regclass, text, boolean, integer, uuid[], uuid, text) is
'What jobs_ext.import_extraction_jobs() and jobs_ext.import_lead_scrape_jobs() share. old_jobs: a call that returns '
'rows of jobs_ext.old_job; hash: an expression over their rows; worker: under which name the old system holds what is '
'in progress.';

create function jobs_ext.import_extraction_jobs(source regclass, dry_run boolean default true,
  max_rows integer default 2500, types jsonb default '{}', lease interval default null, ids uuid[] default null,
  after uuid default null, out source_status text, out status text, out count bigint, out remark text, out up_to uuid)
returns setof record
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform jobs_ext.require_old_table(source, jobs_ext.columns_of_extraction_jobs());
  perform jobs_ext.require_lease(lease);
  if types is null or jsonb_typeof(types) <> 'object' then
    raise exception 'types must be an object of JSON, not %', coalesce(jsonb_typeof(types), 'null')
      using errcode = '22023', hint = 'For example: {"full_menu": "extract-menu"}';
  end if;
  return query select i.source_status, i.status, i.count, i.remark, i.up_to
  from jobs_ext.import_old_jobs(
    format('jobs_ext.old_extraction_jobs(%L::regclass, $1, %L::jsonb, %L::interval)', source, types, lease),
    source, jobs_ext.hash_of_old_row(source, null::regclass), dry_run, max_rows, ids, after,
    'extraction_jobs'::text) i;
end $$;
comment on function jobs_ext.import_extraction_jobs(regclass, boolean, integer, jsonb, interval, uuid[], uuid) is
'Copies jobs of the seed''s table extraction_jobs to public.jobs, with their ids. May be repeated: what is there is '
'not imported again; a copy whose row has changed is replaced, unless something was done with it here (claimed, '
'paused, cancelled, …). doc/migration.md has the whole way. For the owner of public.jobs, who may read the table, '
'and, to import, update it: rows are locked until the transaction ends.

source: the table. dry_run: changes nothing, and answers what would become of all rows. max_rows: how many are taken; '
'those left say so, and come with the next call, each call in a transaction of its own. after: only rows with a larger '
'id, up_to of the call before, so that what many calls cost is what there is to import. types: an object that says '
'which job type theirs becomes; one not in it keeps its name, or gets dashes for underscores, and full_menu is '
'extract-menu. lease: rows in progress become jobs in progress, held for that long by a worker extraction_jobs, whom '
'job_release_worker() has give them back, and are then reaped; null: they are left out until they have ended. ids: '
'these rows alone, waiting for who has them locked; a copy whose row is gone is deleted. For a trigger on the old table.

Pending jobs of a type that is not paused are taken by workers at once, which a NOTICE says.

Returns how many rows of a status became jobs of which status, with the remark: new, changed, there already, left for '
'the next call, or why they are not taken: of all rows in a dry run, else of those that it looked at, up to the id '
'up_to; null: to the end. Raises 42501 for anybody but the owner or where row security hides rows, '
'42809 and 42804 for a table that is none of that kind, 22023 for a bad argument, and what inserting raises.';

create function jobs_ext.import_lead_scrape_jobs(jobs regclass, steps regclass, dry_run boolean default true,
  max_rows integer default 2500, job_type text default 'lead-scrape', lease interval default null,
  ids uuid[] default null, after uuid default null, out source_status text, out status text, out count bigint,
  out remark text, out up_to uuid)
returns setof record
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform jobs_ext.require_old_table(jobs, jobs_ext.columns_of_lead_scrape_jobs());
  perform jobs_ext.require_old_table(steps, jobs_ext.columns_of_lead_scrape_job_steps());
  perform jobs_ext.require_lease(lease);
  if job_type is null then
    raise exception 'job_type must not be null' using errcode = '22023';
  end if;
  return query select i.source_status, i.status, i.count, i.remark, i.up_to
  from jobs_ext.import_old_jobs(
    format('jobs_ext.old_lead_scrape_jobs(%L::regclass, %L::regclass, $1, %L::text, %L::interval)', jobs, steps,
           job_type, lease),
    jobs, jobs_ext.hash_of_old_row(jobs, steps), dry_run, max_rows, ids, after, 'lead_scrape_jobs'::text) i;
end $$;
comment on function jobs_ext.import_lead_scrape_jobs(regclass, regclass, boolean, integer, text, interval, uuid[],
  uuid) is
'Copies jobs of the seed''s table lead_scrape_jobs to public.jobs, with their ids and steps, as '
'jobs_ext.import_extraction_jobs() does those of extraction_jobs, whose arguments and errors are the same. A draft is '
'paused, with "draft": true in its metadata; one in progress of which a step is action_required is paused. Steps go to '
'public.job_steps where that is, else to "steps" in the metadata.

jobs, steps: the two tables. job_type: what they all become. lease: the worker is named lead_scrape_jobs.';
