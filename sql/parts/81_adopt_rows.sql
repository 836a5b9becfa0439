-- What the rows of a table that is adopted get, so that what holds for a job of ours holds for them.

-- What each column of a row becomes. j is the row as it is; the columns of new_columns have just been added.
create function jobs_ext.adopted_values(new_columns text[], out name text, out expression text, out reason text)
returns setof record
language sql immutable set search_path = pg_catalog, pg_temp
as $$
  values
    ('organisation_id', $e$coalesce(j.organisation_id, '00000000-0000-0000-0000-000000000000')$e$,
     'null became the nil UUID'),
    ('retries', 'greatest(coalesce(j.retries, 0), 0)', 'null became 0'),
    ('max_retries', 'greatest(coalesce(j.max_retries, 3), coalesce(j.retries, 0), 0)',
     'null became 3; never less than retries'),
    ('retry_delay_ms', 'greatest(coalesce(j.retry_delay_ms, 1000), 0)', 'null became 1000'),
    ('metadata', $e$coalesce(j.metadata, '{}')$e$, 'null became {}'),
    ('priority', 'least(greatest(coalesce(j.priority, 0), -10), 10)',
     'null became 0; what is outside -10 to 10, the bound'),
    ('created_at',
     'coalesce(j.created_at, least(j.started_at, j.completed_at, j.cancelled_at, j.updated_at), statement_timestamp())',
     'null became the earliest time that the row has'),
    ('updated_at',
     'coalesce(j.updated_at, greatest(j.created_at, j.started_at, j.completed_at, j.cancelled_at), '
     'statement_timestamp())',
     'null became the latest time that the row has'),
    ('started_at',
     $e$case when j.status::text in ('pending', 'queued') then null
             when j.status::text in ('in_progress', 'completed')
             then coalesce(j.started_at, j.completed_at, j.updated_at, j.created_at, statement_timestamp())
             else j.started_at end$e$,
     'a running or completed job has one, a waiting one has none'),
    ('completed_at',
     $e$case when j.status::text = 'completed'
             then coalesce(j.completed_at, j.updated_at, j.started_at, j.created_at, statement_timestamp()) end$e$,
     'a completed job has one, no other has; of one that failed or was cancelled it is finished_at'),
    ('cancelled_at',
     $e$case when j.status::text = 'cancelled'
             then coalesce(j.cancelled_at, j.completed_at, j.updated_at, j.created_at, statement_timestamp())
             else j.cancelled_at end$e$,
     'a cancelled job has one'),
    ('finished_at',
     $e$case j.status::text
          when 'completed'
          then coalesce(j.finished_at, j.completed_at, j.updated_at, j.started_at, j.created_at, statement_timestamp())
          when 'failed'
          then coalesce(j.finished_at, j.completed_at, j.updated_at, j.started_at, j.created_at, statement_timestamp())
          when 'cancelled'
          then coalesce(j.finished_at, j.cancelled_at, j.completed_at, j.updated_at, j.created_at,
                        statement_timestamp())
        end$e$,
     'of what ended: its completed_at or cancelled_at, else when it last changed'),
    ('attempt',
     case when 'attempt' = any (new_columns)
          then $e$least(greatest(coalesce(j.retries, 0), 0), 2147483646)
                  + case when j.status::text in ('in_progress', 'completed')
                           or j.status::text in ('failed', 'cancelled') and j.started_at is not null
                         then 1 else 0 end$e$
          else 'greatest(coalesce(j.attempt, 0), 0)' end,
     'the retries, and the run that is on or was the last'),
    -- In the order in which the seed's worker would have taken them; a time to come would hold a job back.
    ('run_at',
     case when 'run_at' = any (new_columns)
          then 'least(coalesce(j.created_at, statement_timestamp()), statement_timestamp())'
          else 'coalesce(j.run_at, j.created_at, statement_timestamp())' end,
     'due since it was created'),
    ('lease_id',
     $e$case when j.status::text = 'in_progress' then coalesce(j.lease_id, gen_random_uuid()) else j.lease_id end$e$,
     'a running job has a lease'),
    -- Long enough for a worker of old that is about to report, by an UPDATE.
    ('lease_expires_at',
     $e$case when j.status::text = 'in_progress'
             then coalesce(j.lease_expires_at, statement_timestamp() + interval '1 minute')
             else j.lease_expires_at end$e$,
     'a running job whose worker does not report within a minute is reaped, which counts as a failed attempt')
$$;
comment on function jobs_ext.adopted_values(text[]) is
'Part of jobs_ext.adopt(): what the rows of another''s table lack of what holds for ours.';

create type jobs_ext.code_on_jobs as (turn_off text, turn_on text);

create function jobs_ext.code_on_jobs() returns setof jobs_ext.code_on_jobs
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select format('alter table public.jobs disable %s', s.object),
         format('alter table public.jobs enable %s%s',
                case s.enabled when 'A' then 'always ' when 'R' then 'replica ' else '' end, s.object)
  from (
    select format('trigger %I', t.tgname), t.tgenabled from pg_trigger t
    where t.tgrelid = to_regclass('public.jobs') and not t.tgisinternal and t.tgenabled <> 'D'
    union all
    select format('rule %I', r.rulename), r.ev_enabled from pg_rewrite r
    where r.ev_class = to_regclass('public.jobs') and r.ev_enabled <> 'D') s (object, enabled)
$$;
comment on function jobs_ext.code_on_jobs() is
'The triggers and rules of public.jobs that are on: the statements that turn each off, and on again as it is.';

-- No trigger of anybody's sees this, and no rule turns it into something else.
create function jobs_ext.adopt_rows(new_columns text[], is_first boolean) returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  counts text[];
  reasons text[];
  -- Before a row is touched: a trigger that is off looks as one that was off.
  code constant jobs_ext.code_on_jobs[] := array(select c from jobs_ext.code_on_jobs() c);
  switch jobs_ext.code_on_jobs;
  row_count bigint;
begin
  perform jobs_ext.require_adoptable_rows(is_first);
  execute (
    select format('select array[%s] from only public.jobs j',
                  string_agg(format('count(*) filter (where j.%I is distinct from %s)', v.name, v.expression), ', '
                             order by v.n))
    from jobs_ext.adopted_values(new_columns) with ordinality as v (name, expression, reason, n)) into counts;
  select array_agg(format('"%s" of %s: %s', v.name, counts[v.n], v.reason) order by v.n) into reasons
  from jobs_ext.adopted_values(new_columns) with ordinality as v (name, expression, reason, n)
  where counts[v.n] <> '0';
  if reasons is null then
    return;
  end if;

  foreach switch in array code loop
    execute switch.turn_off;
  end loop;
  execute (
    select format('update only public.jobs j set %s where %s',
                  string_agg(format('%I = %s', v.name, v.expression), ', '),
                  string_agg(format('j.%I is distinct from %s', v.name, v.expression), ' or '))
    from jobs_ext.adopted_values(new_columns) v);
  get diagnostics row_count = row_count;
  foreach switch in array code loop
    execute switch.turn_on;
  end loop;
  return query
  select 'rows', r.reason, null from unnest(reasons) as r (reason);
  return next ('rows', format('%s in all were updated', row_count), 'vacuum (analyze) public.jobs')::jobs_ext.adoption;
end $$;
comment on function jobs_ext.adopt_rows(text[], boolean) is
'Part of jobs_ext.adopt(): gives the rows what they lack. new_columns: those that were added just now.';
