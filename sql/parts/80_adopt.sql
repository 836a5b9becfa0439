-- jobs_ext.adopt(): a table "jobs" of the seed's shape, with its rows, becomes the one of jobs_ext. Never a part of
-- CREATE EXTENSION, which runs as superuser: this opens the table, so what its owner put on it (constraints,
-- expressions of indexes) runs, as that owner. Each step looks at the catalogs for what is missing and says what it
-- did, so that it can be repeated; the lock that comes first keeps everybody away until the commit.

-- The steps that change something, and the advice, answer in rows of this.
create type jobs_ext.adoption as (step text, detail text, statement text);

create function jobs_ext.require_owner_to_adopt(adopted regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  owner constant name := jobs_ext.owner();
  table_owner name;
begin
  if adopted is null or adopted is distinct from to_regclass('public.jobs') then
    raise exception 'only the table public.jobs can be adopted, not %', coalesce(adopted::text, 'null')
      using errcode = '22023', hint = 'Copy the rows of another table, once there is public.jobs.';
  end if;
  select pg_get_userbyid(c.relowner) into table_owner from pg_class c where c.oid = adopted;
  if table_owner <> owner then
    raise exception 'table "jobs" belongs to "%", not to "%", the owner of jobs_ext', table_owner, owner
      using errcode = '42501',
            hint = case when (select r.rolsuper from pg_roles r where r.rolname = owner)
              then format('drop extension jobs_ext; drop schema jobs_ext; set role %I; create extension jobs_ext',
                          table_owner)
              else format('alter table public.jobs owner to %I; or create the extension as %I.', owner, table_owner)
              end;
  elsif current_user <> owner then
    raise exception 'must be "%", the owner of public.jobs, to have it adopted', owner
      using errcode = '42501',
            detail = 'What stands on the table runs as whoever adopts it.', hint = format('set role %I', owner);
  elsif current_setting('transaction_isolation') <> 'read committed' then
    -- Its snapshot may be older than the lock, and miss rows.
    raise exception 'jobs_ext.adopt() must run at READ COMMITTED' using errcode = '25001';
  end if;
end $$;
comment on function jobs_ext.require_owner_to_adopt(regclass) is
'Raises 22023 unless it is public.jobs, 42501 unless the caller is its owner and that of the extension, 25001 outside '
'READ COMMITTED.';

create function jobs_ext.require_adoptable() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  there pg_class;
  misfit record;
begin
  perform jobs_ext.is_there('public.jobs'::text, 'r'::"char", null::regtype);
  select c.* into there from pg_class c where c.oid = 'public.jobs'::regclass;
  if there.relpersistence <> 'p' or there.relispartition
      or there.relam <> (select a.oid from pg_am a where a.amname = 'heap')
      or exists (select from pg_inherits i where i.inhrelid = there.oid or i.inhparent = there.oid) then
    raise exception 'table "jobs" is not an ordinary table'
      using errcode = '42809', detail = 'It is unlogged, has another access method, a parent or children.';
  end if;

  select o.attname as name, format_type(o.atttypid, o.atttypmod) as type,
         format_type(a.atttypid, a.atttypmod) as actual,
         a.atttypid = o.atttypid as fits into misfit
  from pg_type t join pg_attribute o on o.attrelid = t.typrelid and o.attnum > 0 and not o.attisdropped
  left join pg_attribute a
    on a.attrelid = there.oid and a.attname = o.attname and a.attnum > 0 and not a.attisdropped
  where t.oid = 'public.job'::regtype
    and case when a.attname is null then o.attname in ('id', 'job_id', 'job_type', 'status')
             else a.atttypid <> o.atttypid or a.attgenerated <> '' or a.attidentity <> '' end
  order by o.attnum
  limit 1;
  if not found then
    return;
  elsif misfit.actual is null then
    raise exception 'table "jobs" lacks the column "% %"', misfit.name, misfit.type
      using errcode = '55000', hint = 'If it is no table of jobs, rename it, and: select jobs_ext.install()';
  elsif misfit.fits then
    raise exception 'column "%" of table "jobs" is generated', misfit.name
      using errcode = '42804', hint = format('alter table public.jobs alter column %I drop expression (or identity)',
                                             misfit.name);
  end if;
  raise exception 'column "%" of table "jobs" has the type %, not %', misfit.name, misfit.actual, misfit.type
    using errcode = '42804',
          hint = format('alter table public.jobs alter column %I type %s using ...', misfit.name, misfit.type);
end $$;
comment on function jobs_ext.require_adoptable() is
'Raises 42809 or 42710 when public.jobs is no ordinary table of the user''s, 55000 when it lacks what no default can '
'give, 42804 when a column is of another type than ours.';

-- No table can be altered while a check of its rows is put off to the commit.
create function jobs_ext.adopt_deferred() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  names constant text := (
    select string_agg(distinct format('%I.%I', n.nspname, c.conname), ', ')
    from pg_constraint c join pg_namespace n on n.oid = c.connamespace
    where c.condeferrable and 'public.jobs'::regclass in (c.conrelid, c.confrelid));
begin
  if names is not null then
    execute format('set constraints %s immediate', names);
  end if;
end $$;
comment on function jobs_ext.adopt_deferred() is
'Part of jobs_ext.adopt(): has deferrable constraints of public.jobs, and foreign keys to it, checked now, and at once '
'until the transaction ends.';

-- What would stand in the way of the rows, or is in place of something of ours.
create function jobs_ext.adopt_checks_off() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  if exists (
    select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
    where t.tgrelid = 'public.jobs'::regclass and t.tgname = 'update_jobs_updated_at'
      and p.proname = 'update_updated_at_column'
  ) then
    drop trigger update_jobs_updated_at on public.jobs;
    return next (
      'trigger', 'dropped "update_jobs_updated_at": jobs_ext keeps updated_at itself', null)::jobs_ext.adoption;
  end if;
  for r in
    select c.conname as name, c.conname = 'check_job_type' as of_types, pg_get_constraintdef(c.oid) as definition
    from pg_constraint c
    where c.conrelid = 'public.jobs'::regclass and c.contype = 'c'
      and (c.conname = 'check_job_type' or exists (
        select from jobs_ext.checks_of_jobs() o
        where o.name = c.conname and not jobs_ext.is_same_check(c.oid, o.expression)))
  loop
    execute format('alter table public.jobs drop constraint %I', r.name);
    return next ('constraint', format('dropped "%s": %s', r.name,
                                      case when r.of_types then 'public.job_types says which types there are'
                                           else 'jobs_ext has its own' end) || '; it was: ' || r.definition,
                 null)::jobs_ext.adoption;
  end loop;
end $$;
comment on function jobs_ext.adopt_checks_off() is
'Part of jobs_ext.adopt(): takes the seed''s trigger, and the constraints that have the names of ours.';

create function jobs_ext.is_same_check(there oid, expression text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return (
  select btrim(regexp_replace(pg_get_expr(c.conbin, c.conrelid), '\s+', ' ', 'g'))
         = btrim(regexp_replace(expression, '\s+', ' ', 'g')) and c.convalidated
  from pg_constraint c where c.oid = there);
comment on function jobs_ext.is_same_check(oid, text) is
'Whether a constraint says this, as Postgres prints it, and holds for all rows.';

create function jobs_ext.adopt_columns() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  defaults jsonb := '{}';
begin
  for r in
    select c.name, c.type, c.modifiers, a.attname is null as is_new, pg_get_expr(d.adbin, d.adrelid) as now,
           -- ours, out of "not null default … primary key"
           regexp_replace(substring(c.modifiers from 'default .*'), '^default | primary key$', '', 'g') as ours
    from jobs_ext.columns_of_jobs() with ordinality as c (name, type, modifiers, comment, n)
    left join pg_attribute a on a.attrelid = 'public.jobs'::regclass and a.attname = c.name and not a.attisdropped
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    order by c.n
  loop
    if r.is_new then
      execute format('alter table public.jobs add column %I %s %s', r.name, r.type, r.modifiers);
      return next ('column', format('added "%s"', r.name), null)::jobs_ext.adoption;
    elsif r.ours is not null and (r.now is null or r.name = 'id' and r.now <> r.ours) then
      execute format('alter table public.jobs alter column %I set default %s', r.name, r.ours);
      return next ('column', format('default of "%s" is %s', r.name, r.ours), null)::jobs_ext.adoption;
    end if;
  end loop;
end $$;
comment on function jobs_ext.adopt_columns() is
'Part of jobs_ext.adopt(): adds the missing columns, and the defaults where there are none.';

create function jobs_ext.adopt_storage() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  for r in
    select o.setting from unnest(jobs_ext.storage_of_jobs()) as o (setting)
    join pg_class c on c.oid = 'public.jobs'::regclass
    left join pg_class t on t.oid = c.reltoastrelid
    where not exists (
      select from unnest(case when o.setting like 'toast.%' then t.reloptions else c.reloptions end) as there (setting)
      where split_part(there.setting, '=', 1) = replace(split_part(o.setting, '=', 1), 'toast.', ''))
  loop
    execute format('alter table public.jobs set (%s)', r.setting);
    return next ('storage', 'set ' || r.setting, null)::jobs_ext.adoption;
  end loop;
  if exists (select from pg_attribute a
             where a.attrelid = 'public.jobs'::regclass and a.attname = 'organisation_id' and a.attoptions is null) then
    perform jobs_ext.expect_many_organisations('public.jobs'::regclass);
    return next ('storage', 'set n_distinct of "organisation_id"', 'analyze public.jobs')::jobs_ext.adoption;
  end if;
end $$;
comment on function jobs_ext.adopt_storage() is 'Part of jobs_ext.adopt(): storage parameters that are not set.';

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

create function jobs_ext.require_adoptable_rows(is_first boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  found_id text;
  found_value text;
  is_found boolean;
begin
  for r in
    select o.attname as name, format('j.%I', o.attname) as value, format('char_length(j.%I) > %s', o.attname,
           o.atttypmod - 4) as is_wrong,
           format('is longer than %s characters', o.atttypmod - 4) as wrong, '22001' as state
    from pg_type t join pg_attribute o on o.attrelid = t.typrelid and o.atttypmod > 4
    where t.oid = 'public.job'::regtype and o.atttypid = 'varchar'::regtype
    union all
    select n.name, 'null', format('j.%I is null', n.name), 'is null', '23502'
    from unnest(array['id', 'job_id', 'job_type', 'status']) n (name)
    union all
    select 'status', 'j.status', format('not %s', c.expression), 'is no status of a job', '23514'
    from jobs_ext.checks_of_jobs() c where c.name = 'check_status'
    union all
    select 'job_type', 'j.job_type', 'j.job_type::text = ''''', 'is empty', '23514'
    union all
    -- Ours is over as soon as there are no children that it waits for, and a column of that name ends jobs.
    select f.name, f.value, f.is_wrong, f.wrong, '23514'
    from (values ('status', 'j.status', 'j.status::text = ''blocked''', 'is one of jobs_ext''s own'),
                 ('expires_at', 'j.expires_at::text',
                  'j.expires_at <= statement_timestamp() and j.status::text in (''pending'', ''queued'', ''paused'')',
                  'is over, so that jobs_ext would cancel it at once')) f (name, value, is_wrong, wrong)
    where is_first
  loop
    execute format('select coalesce(j.id::text, ''without id, "'' || left(j.job_id, 100) || ''"''), left(%s, 100), '
                   'true from only public.jobs j where %s limit 1', r.value, r.is_wrong)
      into found_id, found_value, is_found;
    if is_found then
      raise exception 'the % of job % %', r.name, found_id, r.wrong || coalesce(': "' || found_value || '"', '')
        using errcode = r.state, hint = 'Update the row, or delete it, and adopt again.';
    end if;
  end loop;
end $$;
comment on function jobs_ext.require_adoptable_rows(boolean) is
'Part of jobs_ext.adopt(): raises 22001, 23502 or 23514 for a job that no value of ours can mend. is_first: the table '
'was never adopted, so that what has a name of ours may mean something else.';

-- No trigger of anybody's sees this, and no rule turns it into something else.
create function jobs_ext.adopt_rows(new_columns text[], is_first boolean) returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  counts text[];
  reasons text[];
  quiet text[];
  loud text[];
  statement text;
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

  select array_agg(format('alter table public.jobs disable %s', s.object)),
         array_agg(format('alter table public.jobs enable %s%s',
                          case s.enabled when 'A' then 'always ' when 'R' then 'replica ' else '' end, s.object))
    into quiet, loud
  from (
    select format('trigger %I', t.tgname), t.tgenabled from pg_trigger t
    where t.tgrelid = 'public.jobs'::regclass and not t.tgisinternal and t.tgenabled <> 'D'
    union all
    select format('rule %I', r.rulename), r.ev_enabled from pg_rewrite r
    where r.ev_class = 'public.jobs'::regclass and r.ev_enabled <> 'D') s (object, enabled);

  foreach statement in array coalesce(quiet, '{}') loop
    execute statement;
  end loop;
  execute (
    select format('update only public.jobs j set %s where %s',
                  string_agg(format('%I = %s', v.name, v.expression), ', '),
                  string_agg(format('j.%I is distinct from %s', v.name, v.expression), ' or '))
    from jobs_ext.adopted_values(new_columns) v);
  get diagnostics row_count = row_count;
  foreach statement in array coalesce(loud, '{}') loop
    execute statement;
  end loop;
  return query
  select 'rows', r.reason, null from unnest(reasons) as r (reason);
  return next ('rows', format('%s in all were updated', row_count), 'vacuum (analyze) public.jobs')::jobs_ext.adoption;
end $$;
comment on function jobs_ext.adopt_rows(text[], boolean) is
'Part of jobs_ext.adopt(): gives the rows what they lack. new_columns: those that were added just now.';

create function jobs_ext.adopt_constraints() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  for r in
    select c.name from jobs_ext.columns_of_jobs() c
    join pg_attribute a on a.attrelid = 'public.jobs'::regclass and a.attname = c.name and not a.attisdropped
    where (c.modifiers like 'not null%' or c.name = 'id') and not a.attnotnull
  loop
    execute format('alter table public.jobs alter column %I set not null', r.name);
    return next ('column', format('"%s" is not null', r.name), null)::jobs_ext.adoption;
  end loop;
  for r in
    select c.name, c.expression from jobs_ext.checks_of_jobs() c
    where not exists (
      select from pg_constraint there where there.conrelid = 'public.jobs'::regclass and there.conname = c.name)
  loop
    execute format('alter table public.jobs add constraint %I check (%s)', r.name, r.expression);
    return next ('constraint', format('added "%s"', r.name), null)::jobs_ext.adoption;
  end loop;
end $$;
comment on function jobs_ext.adopt_constraints() is
'Part of jobs_ext.adopt(): what holds for every job of ours.';

create function jobs_ext.has_index(columns text[], is_key boolean, predicate text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return exists (
  select from pg_index i
  join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam
  where i.indrelid = to_regclass('public.jobs') and i.indisvalid and m.amname = 'btree'
    and columns = array(
      select a.attname::text from unnest(i.indkey::int2[]) with ordinality as k (number, n)
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
      where k.n <= case when is_key then i.indnkeyatts else least(i.indnkeyatts, cardinality(columns)) end
      order by k.n)
    and (not is_key or i.indisunique and i.indimmediate)
    and (i.indpred is null or lower(pg_get_expr(i.indpred, i.indrelid)) = format('(%s)', predicate)));
comment on function jobs_ext.has_index(text[], boolean, text) is
'Whether public.jobs has an index that serves as one that begins with these columns; is_key: as a key of just these. '
'predicate: of one that need not have all rows; null: it must.';

create function jobs_ext.adopt_indexes() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  free_name text;
begin
  if not jobs_ext.has_index('{id}'::text[], true, null::text) then
    if exists (select from pg_index i where i.indrelid = 'public.jobs'::regclass and i.indisprimary) then
      alter table public.jobs add unique (id);
      return next ('index', 'added a unique constraint on "id", since the primary key is another',
                   null)::jobs_ext.adoption;
    else
      alter table public.jobs add primary key (id);
      return next ('index', 'added the primary key on "id"', null)::jobs_ext.adoption;
    end if;
  end if;
  if not jobs_ext.has_index('{job_id}'::text[], true, null::text) then
    alter table public.jobs add unique (job_id);
    return next ('index', 'added the unique constraint on "job_id"', null)::jobs_ext.adoption;
  end if;
  for r in select i.name, i.is_unique, i.columns, i.predicate from jobs_ext.indexes_of_jobs() i loop
    if jobs_ext.has_index(r.columns, r.is_unique, r.predicate) then
      continue;
    end if;
    -- The seed's own of that name may have other columns.
    select min(n.name) into free_name
    from (select r.name || s.suffix from unnest(array['', '_2', '_3', '_4']) as s (suffix)) n (name)
    where to_regclass(format('public.%I', n.name)) is null;
    perform jobs_ext.make_index_of_jobs(free_name, r.is_unique, r.columns, r.predicate);
    return next ('index', format('added "%s" on (%s)', free_name, array_to_string(r.columns, ', ')),
                 null)::jobs_ext.adoption;
  end loop;
end $$;
comment on function jobs_ext.adopt_indexes() is 'Part of jobs_ext.adopt(): keys and indexes that are missing.';

create function jobs_ext.adopt_comments() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  made bigint := 0;
begin
  for r in
    select c.name, c.comment from jobs_ext.columns_of_jobs() c
    join pg_attribute a on a.attrelid = 'public.jobs'::regclass and a.attname = c.name and not a.attisdropped
    where col_description(a.attrelid, a.attnum) is null
  loop
    execute format('comment on column public.jobs.%I is %L', r.name, r.comment);
    made := made + 1;
  end loop;
  if made > 0 then
    return next ('comment', format('of %s columns that had none', made), null)::jobs_ext.adoption;
  end if;
end $$;
comment on function jobs_ext.adopt_comments() is 'Part of jobs_ext.adopt(): comments of columns that have none.';

-- The seed's policies are for every role there is. Those of the user's own stay, and then decide alone.
create function jobs_ext.adopt_policies() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
  had_seeds boolean := false;
  had_rls constant boolean := (select c.relrowsecurity from pg_class c where c.oid = 'public.jobs'::regclass);
begin
  if to_regrole('authenticated') is null then
    return;
  end if;
  for r in
    select p.polname as name from pg_policy p
    where p.polrelid = 'public.jobs'::regclass and p.polroles = array[0::oid]
      and p.polname in ('Enable read access for org members', 'Enable insert for org members',
                        'Enable update for org members')
  loop
    execute format('drop policy %I on public.jobs', r.name);
    had_seeds := true;
    return next ('policy', format('dropped "%s": it is for every role', r.name), null)::jobs_ext.adoption;
  end loop;
  if (had_seeds or not exists (select from pg_policy p where p.polrelid = 'public.jobs'::regclass))
      and not exists (
        select from pg_policy p where p.polrelid = 'public.jobs'::regclass and p.polname like 'jobs\_ext\_%') then
    perform jobs_ext.put_policies('public.jobs'::text, jobs_ext.members_by_claim());
    return next (
      'policy', 'made those of jobs_ext, for authenticated: a member is who has the organisation in the claim org_id'
        || case when had_rls then '' else '; row level security is on now, so that other roles need policies' end,
      null)::jobs_ext.adoption;
  end if;
end $$;
comment on function jobs_ext.adopt_policies() is
'Part of jobs_ext.adopt(): ours in the place of the seed''s, where there is a role authenticated.';

-- What default privileges gave to the roles of the API when the table was made; roles of the user's own keep theirs.
create function jobs_ext.adopt_grants(relation regclass) returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  for r in
    select a.role, d.kind, a.said
    from (
      select 0::oid, null::name, 'public'
      union all
      select p.oid, p.rolname, quote_ident(p.rolname) from pg_roles p
      where p.rolname in ('anon', 'authenticated', 'service_role')) a (oid, role, said)
    left join jobs_ext.default_roles() d on d.role = a.role
    cross join lateral (
      select array(
        select distinct lower(g.privilege_type)
        from pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) g
        where c.oid = adopt_grants.relation and g.grantee = a.oid
        union
        select distinct format('%s (%s)', lower(g.privilege_type), t.attname)
        from pg_attribute t, aclexplode(t.attacl) g
        where t.attrelid = adopt_grants.relation and g.grantee = a.oid
        order by 1)) h (has)
    cross join lateral (
      select array(
        select w.privilege from jobs_ext.privileges(d.kind) g, unnest(string_to_array(g.privilege, ', ')) w (privilege)
        where g.sort = 'table' and to_regclass(g.object) = adopt_grants.relation
        order by 1)) m (may)
    where h.has <> m.may
  loop
    execute format('revoke all on %s from %s', relation, r.said);
    if r.kind is not null then
      perform jobs_ext.grant_on(
        array(select distinct g.object from jobs_ext.privileges(r.kind) g
              where g.sort = 'table' and to_regclass(g.object) = relation), r.role, r.kind);
    end if;
    return next ('grant', format('%s on %s as jobs_ext gives it', r.said, relation), null)::jobs_ext.adoption;
  end loop;
end $$;
comment on function jobs_ext.adopt_grants(regclass) is
'Part of jobs_ext.adopt(): what PUBLIC, anon, authenticated and service_role may do.';

create function jobs_ext.adopt_types(listed text) returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  new_types text[];
begin
  with named as (
    select distinct replace(m.found[1], '''''', '''') as job_type
    from regexp_matches(coalesce(listed, ''), '''((?:[^'']|'''')+)''', 'g') as m (found)
    union
    select j.job_type from only public.jobs j
  ), made as (
    insert into public.job_types (job_type)
    select n.job_type from named n
    where char_length(n.job_type) <= 50 and not exists (select from public.job_types t where t.job_type = n.job_type)
    returning job_type
  )
  select array_agg(m.job_type order by m.job_type) into new_types from made m;
  if new_types is not null then
    return next ('type', 'registered ' || array_to_string(new_types, ', '), null)::jobs_ext.adoption;
  end if;
end $$;
comment on function jobs_ext.adopt_types(text) is
'Part of jobs_ext.adopt(): registers the types of the jobs, and those that the definition of a constraint lists.';

-- A job leaves jobs for the archive by a DELETE, which foreign keys follow: rows that nobody ever thought of losing,
-- children of an old parent among them, would go with jobs that ended long ago, within seconds of the commit.
create function jobs_ext.followers_of_jobs() returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select string_agg(distinct c.conrelid::regclass::text, ', ') from pg_constraint c
  where c.contype = 'f' and c.confrelid = to_regclass('public.jobs') and c.confdeltype in ('c', 'n', 'd'));
comment on function jobs_ext.followers_of_jobs() is
'The tables of which rows are deleted or changed when a job is deleted: public.jobs too, where a child follows its '
'parent. Null: none.';

create function jobs_ext.adopt_keeping() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  followers constant text := jobs_ext.followers_of_jobs();
begin
  if followers is null then
    return;
  end if;
  update public.job_types t
  set keep_completed = coalesce(t.keep_completed, interval '100 years'),
      keep_failed = coalesce(t.keep_failed, interval '100 years')
  where exists (select from only public.jobs j where j.job_type = t.job_type)
    -- of jobs alone, and no job has a parent: nothing can follow yet
    and (followers <> 'public.jobs' or exists (select from only public.jobs j where j.parent_job_id is not null));
  if found then
    return next (
      'type', format('ended jobs stay in jobs for 100 years, since a delete takes rows of %s along, or changes them',
                     followers),
      'update public.job_types set keep_completed = null, keep_failed = null where ...')::jobs_ext.adoption;
  end if;
end $$;
comment on function jobs_ext.adopt_keeping() is
'Part of jobs_ext.adopt(): keeps jobs out of the archive where rows follow a delete.';

-- CREATE OR REPLACE, so that whatever depends on the seed's view stays: ours begin with the same columns.
create function jobs_ext.adopt_views() returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  r record;
begin
  for r in
    select s.name, s.columns, c.oid::regclass as view, array(
      select a.attname || ' ' || format_type(a.atttypid, null) from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 order by a.attnum) as actual
    from (values
      ('jobs_queue_status', '{job_type character varying,status character varying,count bigint,'
        'latest_job timestamp with time zone,avg_duration_seconds numeric}'::text[]),
      ('jobs_failed_summary', '{id uuid,job_id character varying,job_type character varying,organisation_id uuid,'
        'restaurant_id uuid,error_message text,retries integer,max_retries integer,'
        'created_at timestamp with time zone,started_at timestamp with time zone}'),
      ('jobs_metrics', '{job_type character varying,total_jobs bigint,completed_count bigint,failed_count bigint,'
        'in_progress_count bigint,success_rate_percent numeric,avg_duration_minutes numeric}')) s (name, columns)
    join pg_class c on c.oid = to_regclass('public.' || s.name) and c.relkind = 'v'
  loop
    if r.actual = r.columns then
      case r.name
        when 'jobs_queue_status' then perform jobs_ext.make_jobs_queue_status('create or replace'::text);
        when 'jobs_failed_summary' then perform jobs_ext.make_jobs_failed_summary('create or replace'::text);
        when 'jobs_metrics' then perform jobs_ext.make_jobs_metrics('create or replace'::text);
      end case;
      return next ('view', format('replaced "%s", with the same columns first; what depends on it stays', r.name),
                   null)::jobs_ext.adoption;
    elsif r.actual[1:cardinality(r.columns)] <> r.columns then
      return next ('advice', format('view "%s" is of your own making and stays; ours of that name is not made', r.name),
        format('alter view public.%I rename to ...; select jobs_ext.install()', r.name))::jobs_ext.adoption;
    end if;
    return query select g.* from jobs_ext.adopt_grants(r.view) g where r.actual = r.columns;
  end loop;
end $$;
comment on function jobs_ext.adopt_views() is 'Part of jobs_ext.adopt(): ours in the place of the seed''s three.';

create function jobs_ext.advice_on_namesakes(new_columns text[]) returns setof jobs_ext.adoption
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select 'advice', format('column "%s" was there already; from now on it is: %s', c.name, c.comment),
         format('alter table public.jobs rename column %I to ...; select jobs_ext.adopt(''public.jobs'')', c.name)
  from jobs_ext.columns_of_jobs() with ordinality c (name, type, modifiers, comment, n)
  join pg_attribute a on a.attrelid = to_regclass('public.jobs') and a.attname = c.name and not a.attisdropped
  -- The seed's end with priority.
  where (c.name = 'job_key' or c.n > (select p.n from jobs_ext.columns_of_jobs() with ordinality p (name, t, m, c, n)
                                      where p.name = 'priority'))
    and not c.name = any (new_columns)
  order by c.n
$$;
comment on function jobs_ext.advice_on_namesakes(text[]) is
'Part of jobs_ext.adopt(), the first time: columns that the seed has not, but we have. new_columns: those of ours that '
'were added.';

create function jobs_ext.adopt_rest(missing text[]) returns setof jobs_ext.adoption
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from unnest(array['jobs_ext_before_row', 'jobs_ext_after_row', 'jobs_ext_after_truncate']) as w (name)
    where not exists (
      select from pg_trigger t where t.tgrelid = 'public.jobs'::regclass and t.tgname = w.name and t.tgenabled = 'A')
  ) then
    return next ('trigger', 'made those of jobs_ext', null)::jobs_ext.adoption;
  end if;
  perform jobs_ext.install();
  return query select 'table', 'made ' || m.name, null from unnest(missing) as m (name);
end $$;
comment on function jobs_ext.adopt_rest(text[]) is
'Part of jobs_ext.adopt(): the triggers, the other tables and views. missing: those that were not there.';

create function jobs_ext.advice_on_indexes() returns setof jobs_ext.adoption
language sql stable set search_path = pg_catalog, pg_temp
as $$
  with theirs as (
    select i.indexrelid::regclass as index, i.indnkeyatts as width, k.columns, i.indisunique,
           i.indpred is null and i.indexprs is null and m.amname = 'btree' as is_plain,
           case when n.oid is null then format('drop index %s', i.indexrelid::regclass)
                else format('alter table public.jobs drop constraint %I', n.conname) end as drop_it,
           -- All that a move of a job may write (trait::moved in src/store/columns.hpp, and what a heartbeat writes).
           array(
             select distinct a.attname::text from pg_depend d
             join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
             where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
               and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid
               and a.attname in ('status', 'result', 'error_message', 'retries', 'execution_time_ms', 'started_at',
                 'completed_at', 'cancelled_at', 'updated_at', 'run_at', 'attempt', 'lease_id', 'worker',
                 'lease_expires_at', 'timeout_at', 'heartbeat_at', 'finished_at', 'cancel_requested_at', 'progress',
                 'expires_at')
             order by 1) as moved
    from pg_index i
    join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam
    left join pg_constraint n on n.conindid = i.indexrelid and n.conrelid = i.indrelid and n.contype in ('p', 'u', 'x')
    cross join lateral (select array(
      select k.number from unnest(i.indkey::int2[]) with ordinality as k (number, n)
      where k.n <= i.indnkeyatts order by k.n)) k (columns)
    where i.indrelid = to_regclass('public.jobs')
      -- From 16 on a BRIN index lets an update be heap-only.
      and (m.amname <> 'brin' or current_setting('server_version_num')::integer < 160000)
  )
  select 'advice', format('index %s is over what each move of a job changes (%s): no update is heap-only with it',
                          t.index, array_to_string(t.moved, ', ')), t.drop_it
  from theirs t where t.moved <> '{}'
  union all
  select 'advice', format('index %s is not needed beside %s', t.index, o.index), t.drop_it
  from theirs t
  cross join lateral (
    select o.indexrelid::regclass as index from pg_index o
    join pg_class c on c.oid = o.indexrelid join pg_am m on m.oid = c.relam and m.amname = 'btree'
    where o.indrelid = to_regclass('public.jobs') and o.indexrelid <> t.index and o.indisvalid and o.indexprs is null
      and array(
        select k.number from unnest(o.indkey::int2[]) with ordinality as k (number, n)
        where k.n <= least(t.width, o.indnkeyatts) order by k.n) = t.columns
      and (o.indpred is null or pg_get_expr(o.indpred, o.indrelid) = format('(%I IS NOT NULL)', (
        select a.attname from pg_attribute a where a.attrelid = o.indrelid and a.attnum = o.indkey[0])))
      and (o.indnkeyatts > t.width or o.indisunique or o.indexrelid < t.index)
    order by o.indexrelid
    limit 1) o
  where t.moved = '{}' and t.is_plain and not t.indisunique
$$;
comment on function jobs_ext.advice_on_indexes() is
'Part of jobs_ext.adopt(): the indexes of public.jobs that cost more than they bring.';

create function jobs_ext.advice_on_jobs() returns setof jobs_ext.adoption
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select 'advice', format(case
             when c.confrelid = c.conrelid
             then 'foreign key "%s" is kept, and costs: each job that is archived or deleted looks for its children'
               || case c.confdeltype when 'c' then ', and takes them along'
                                     when 'n' then ', and sets their parent_job_id null'
                                     when 'd' then ', and sets their parent_job_id to its default' else '' end
             when c.conrelid = to_regclass('public.jobs')
             then 'foreign key "%s" is kept: Postgres checks it at each insert'
             else 'foreign key "%s" of %s is kept: Postgres follows it when a job is archived or deleted' end,
           c.conname, c.conrelid::regclass),
         case when c.confrelid = c.conrelid then format('alter table public.jobs drop constraint %I', c.conname) end
  from pg_constraint c
  where c.contype = 'f' and c.conparentid = 0
    and (c.conrelid = to_regclass('public.jobs') or c.confrelid = to_regclass('public.jobs'))
  union all
  select 'advice', format('constraint "%s" is kept, and costs: each call writes by way of SQL', c.conname), null
  from pg_constraint c
  where c.conrelid = to_regclass('public.jobs') and c.contype = 'c'
    and not exists (select from jobs_ext.checks_of_jobs() o where o.name = c.conname)
  union all
  select 'advice', format('trigger "%s" is kept, and costs: each call that fires it writes by way of SQL', t.tgname),
         null
  from pg_trigger t
  where t.tgrelid = to_regclass('public.jobs') and not t.tgisinternal and t.tgname not like 'jobs\_ext\_%'
  union all
  select 'advice', format('policy "%s" is kept: it is for every role, anon too', p.polname), null
  from pg_policy p
  where p.polrelid = to_regclass('public.jobs') and p.polroles = array[0::oid]
  union all
  select 'advice', format('column "%s" is not null without a default: job_enqueue() can''t give it a value', a.attname),
         format('alter table public.jobs alter column %I set default ...', a.attname)
  from pg_attribute a
  where a.attrelid = to_regclass('public.jobs') and a.attnum > 0 and not a.attisdropped and a.attnotnull
    and not a.atthasdef and a.attidentity = ''
    and not exists (select from jobs_ext.columns_of_jobs() o where o.name = a.attname)
  union all
  select 'advice', format('column "%s" is kept as %s, and costs: each call writes by way of SQL', a.attname,
                          format_type(a.atttypid, a.atttypmod)),
         format('alter table public.jobs alter column %I type %s', a.attname, format_type(o.atttypid, o.atttypmod))
  from pg_type t join pg_attribute o on o.attrelid = t.typrelid and o.attnum > 0 and not o.attisdropped
  join pg_attribute a on a.attrelid = to_regclass('public.jobs') and a.attname = o.attname and not a.attisdropped
  where t.oid = 'public.job'::regtype and a.atttypmod <> o.atttypmod
$$;
comment on function jobs_ext.advice_on_jobs() is
'Part of jobs_ext.adopt(): what is kept of the user''s, and what it costs.';

create function jobs_ext.adopt(jobs regclass,
  out step text, out detail text, out statement text) returns setof record
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  is_first boolean;
  new_columns text[];
  missing text[];
  types text;
  forced boolean;
  changes jobs_ext.adoption[] := '{}';
begin
  perform jobs_ext.require_owner_to_adopt(jobs);
  lock table only public.jobs in access exclusive mode;
  perform jobs_ext.require_owner_to_adopt(jobs); -- it may have changed hands while we waited
  perform jobs_ext.require_adoptable();
  perform jobs_ext.adopt_deferred();

  -- What is ours outlives DROP EXTENSION.
  is_first := not exists (
    select from pg_constraint c where c.conrelid = adopt.jobs and c.conname = 'check_finished_timestamp');
  select coalesce(array_agg(c.name), '{}') into new_columns from jobs_ext.columns_of_jobs() c
  where not exists (
    select from pg_attribute a
    where a.attrelid = adopt.jobs and a.attname = c.name and a.attnum > 0 and not a.attisdropped);
  select array_agg(distinct g.object) into missing from jobs_ext.privileges('operator'::text) g
  where g.sort = 'table' and g.object like 'public.%' and to_regclass(g.object) is null;
  select pg_get_constraintdef(c.oid) into types from pg_constraint c
  where c.conrelid = adopt.jobs and c.conname = 'check_job_type' and pg_get_constraintdef(c.oid) ~ '= (ANY|'')';

  -- The order: what is in the way of the rows goes, the rows are made right, then what holds for them is declared; our
  -- triggers come last, since they would refuse what an UPDATE has to do here.
  select c.relforcerowsecurity into forced from pg_class c where c.oid = adopt.jobs;
  if forced then
    alter table public.jobs no force row level security; -- each row has to be seen
  end if;
  changes := changes || array(select c from jobs_ext.adopt_checks_off() c);
  changes := changes || array(select c from jobs_ext.adopt_columns() c);
  changes := changes || array(select c from jobs_ext.adopt_storage() c);
  changes := changes || array(select c from jobs_ext.adopt_rows(new_columns, is_first) c);
  changes := changes || array(select c from jobs_ext.adopt_constraints() c);
  changes := changes || array(select c from jobs_ext.adopt_indexes() c);
  changes := changes || array(select c from jobs_ext.adopt_comments() c);
  changes := changes || array(select c from jobs_ext.adopt_policies() c);
  changes := changes || array(select c from jobs_ext.adopt_grants('public.jobs'::regclass) c);
  perform jobs_ext.install_job_types(); -- of which the views read
  changes := changes || array(select c from jobs_ext.adopt_types(types) c);
  changes := changes || array(select c from jobs_ext.adopt_views() c);
  changes := changes || array(select c from jobs_ext.adopt_keeping() c where new_columns <> '{}');
  changes := changes || array(select c from jobs_ext.adopt_rest(missing) c);
  changes := changes || array(select c from jobs_ext.advice_on_namesakes(new_columns) c where is_first);
  if forced then
    alter table public.jobs force row level security;
  end if;
  if exists (select from unnest(changes) as c where c.step <> 'advice') then
    perform jobs_ext.rebuild_queue();
  else
    changes := ('nothing', 'public.jobs is adopted already: nothing was changed', null)::jobs_ext.adoption || changes;
  end if;
  return query
  select c.step, c.detail, c.statement from unnest(changes) as c
  union all
  select a.step, a.detail, a.statement from jobs_ext.advice_on_indexes() a
  union all
  select a.step, a.detail, a.statement from jobs_ext.advice_on_jobs() a;
end $$;
comment on function jobs_ext.adopt(regclass) is
'Makes a table of jobs that was there before the extension its own, with its rows, in any status: adds what it lacks '
'(columns, defaults, constraints, indexes, comments, triggers, the other tables and views), gives the rows what holds '
'for every job, and registers their types. A running job gets a lease of one minute; if its worker does not report '
'until then it is reaped, which counts as a failed attempt. Takes the place of constraints that have the names of '
'ours, of the seed''s trigger update_jobs_updated_at, of its three policies for every role (where there is a role '
'authenticated) and of its three views; gives PUBLIC, anon, authenticated and service_role what they would have on a '
'new table. All else stays: columns and their order, policies, indexes, views, triggers and foreign keys of the '
'user''s. Where rows follow a delete from jobs, ended jobs are kept out of the archive.

For the owner of the table, who must be the owner of the extension: what stands on the table runs as the caller. Locks '
'the table (ACCESS EXCLUSIVE) until the transaction ends, checks what is deferred at once until then, and updates '
'nearly every row.

jobs: public.jobs. Returns what was done: step (nothing: all was as it is to be; advice: nothing was done, but should '
'be considered), detail, and the statement that is left to the caller. May be repeated.

Raises 22023 for another table; 42501 for another role; 25001 outside READ COMMITTED; 42809 or 42710 when it is no '
'ordinary table, or when a trigger, table or view of another''s has a name of ours; 55000 when it lacks one of id, '
'job_id, job_type and status; 42804 when a column is of another type; 22001, 23502 or 23514 for a job that can''t be '
'one of ours, or that would end at once for what a column of yours says; 23503 where a foreign key does not take the '
'nil organisation; 23505 where two jobs have one id, job_id or job_key. Then nothing is changed.';
