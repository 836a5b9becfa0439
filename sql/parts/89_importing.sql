-- Jobs of the two tables that the seed's application had before (extraction_jobs; lead_scrape_jobs with its steps)
-- become jobs here. A copy has the id of its row, so that what refers to the old table can refer to the new one, and so
-- that it is found again, in jobs or in the archive: no call imports a row twice.
--
-- A copy is the old system's until somebody here does something with it: as long as it has the status that it was
-- imported with, and no worker but the old system's had it. Till then it follows its row, by the next call or by a
-- trigger on the old table that calls for this row (doc/migration.md). It is replaced as a whole, since by the moves of
-- a job it could not follow a row that an UPDATE takes from failed to pending.

-- What is to be done with it: new, changed, there already, or the reason why nothing is.
create type jobs_ext.old_job_verdict as (id uuid, source_status text, status text, job_type text, verdict text);

create function jobs_ext.require_lease(lease interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if lease <= interval '0' then
    raise exception 'lease must be longer than nothing, not %', lease using errcode = '22023';
  end if;
end $$;
comment on function jobs_ext.require_lease(interval) is 'Raises 22023 for a lease that has run out when it is given.';

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

-- As the foreign keys of jobs will judge it, so that a dry run says it too, and one row does not keep others out. What
-- the caller may not read is left to the insert.
create function jobs_ext.refusal_by_key(columns name[], referenced regclass) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select case when columns = '{organisation_id}'
              then format('case n.organisation_id when %L then %L else %L end', nil.id,
                          format('refused: it has no organisation, and %s has no row %s', referenced, nil.id),
                          other.said)
              else quote_literal(other.said) end
  from (values ('00000000-0000-0000-0000-000000000000')) nil (id),
       (values (format('refused: %s has no row for its %s', referenced, array_to_string(columns, ', ')))) other (said));
comment on function jobs_ext.refusal_by_key(name[], regclass) is
'Part of jobs_ext.refusal_by_keys(): what it says where a foreign key of these columns does not hold.';

create function jobs_ext.refusal_by_keys(job text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select format('(select coalesce(null::text%s) from jsonb_populate_record(null::public.job, %s) n)',
                string_agg(format(', case when %s and not exists (select from %s%s r where %s) then %s end',
                                  k.are_given, case when p.relkind <> 'p' then 'only ' end, p.oid::regclass,
                                  k.are_equal, jobs_ext.refusal_by_key(k.names, p.oid::regclass)),
                           '' order by c.conname), job)
  from pg_constraint c
  join pg_class p on p.oid = c.confrelid
  cross join lateral (
    select array_agg(a.attname order by u.n), array_agg(t.attname),
           string_agg(format('n.%I is not null', a.attname), ' and '),
           string_agg(format('r.%I operator(%I.%s) n.%I', t.attname, s.nspname, o.oprname, a.attname), ' and ')
    from unnest(c.conkey, c.confkey, c.conpfeqop) with ordinality u (ours, theirs, operator, n)
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = u.ours
    join pg_attribute t on t.attrelid = c.confrelid and t.attnum = u.theirs
    join pg_operator o on o.oid = u.operator
    join pg_namespace s on s.oid = o.oprnamespace) k (names, their_names, are_given, are_equal)
  where c.contype = 'f' and c.conrelid = to_regclass('public.jobs') and c.confrelid <> c.conrelid
    and exists (select from pg_trigger g where g.tgconstraint = c.oid and g.tgrelid = c.conrelid and g.tgenabled <> 'D')
    and k.names <@ array(select o.name::name from jobs_ext.columns_of_jobs() o)
    and jobs_ext.may_look_up(p.oid::regclass, k.their_names));
comment on function jobs_ext.refusal_by_keys(text) is
'An expression: why the foreign keys of public.jobs don''t take a job, which is an expression too, of jsonb; null: '
'they take it.';

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
          coalesce(o.refused, case when k.id is not null then 'refused: another job has its job_id' end, r.why, 'new')
        when j.job_id is distinct from o.job ->> 'job_id' and j.metadata #>> '{legacy,id}' is distinct from o.id::text
          and a.job_id is distinct from o.job ->> 'job_id' and a.metadata #>> '{legacy,id}' is distinct from o.id::text
          then 'refused: another job has its id'
        when a.id is not null or j.status is distinct from j.metadata #>> '{legacy,as}'
          or j.lease_id is not null and j.worker is distinct from $2
          then 'there already, and went on here: it no longer follows its row, which has changed since'
        else coalesce(o.refused, r.why, 'changed')
      end
    from %s o
    left join public.jobs j on j.id = o.id
    left join lateral (select b.id, b.job_id, b.metadata from public.jobs_archive b where b.id = o.id limit 1) a
      on j.id is null
    left join public.jobs k on j.id is null and k.job_id = o.job ->> 'job_id'
    cross join lateral (select case when o.refused is null then %s end) r (why)$q$, old_jobs,
    jobs_ext.refusal_by_keys('o.job'::text))
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
  execute format('insert into public.job_steps (job, organisation_id, %s) '
                 'select m.id, (select j.organisation_id from public.jobs j where j.id = m.id), %s from unnest($1) m, '
                 'jsonb_populate_recordset(null::public.job_steps, m.steps) n',
                 jobs_ext.listed(''::text, columns), jobs_ext.listed('n.'::text, columns)) using made;
end $$;
comment on function jobs_ext.put_old_jobs(text, uuid[]) is
'Part of the imports: inserts the copies of these rows, with their steps.';

-- What the foreign keys do not take after all (a table that could not be looked up, a row that has gone meanwhile) is
-- refused alone: the others come, and the old system's own statement, where its trigger calls, goes on.
create function jobs_ext.replace_old_jobs(old_jobs text, taken jobs_ext.old_job_verdict[])
returns setof jobs_ext.old_job_verdict
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  one jobs_ext.old_job_verdict;
  broken text;
begin
  begin
    delete from public.jobs j where j.id = any (array(select t.id from unnest(taken) t where t.verdict = 'changed'));
    perform jobs_ext.put_old_jobs(old_jobs, array(select t.id from unnest(taken) t));
    return query select (t).* from unnest(taken) t;
    return;
  exception when foreign_key_violation then
    get stacked diagnostics broken = constraint_name;
  end;
  if cardinality(taken) > 1 then
    foreach one in array taken loop
      return query select (r).* from jobs_ext.replace_old_jobs(old_jobs, array[one]) r;
    end loop;
  else
    one := taken[1];
    one.verdict := format('refused: foreign key "%s" does not take it', broken);
    return next one;
  end if;
end $$;
comment on function jobs_ext.replace_old_jobs(text, jobs_ext.old_job_verdict[]) is
'Part of the imports: puts the copies of these rows in the place of what there is of them, and returns their verdicts, '
'which are others where a foreign key refuses one.';

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
begin
  -- Never null, which would be all rows.
  execute format('select coalesce(array_agg(l.id), ''{}'') from (
                    select s.id from %s s where s.id = any ($1) order by s.id for no key update%s) l', source, passing)
    into held using wanted;
  execute format('select coalesce(array_agg(l.id), ''{}'') from (
                    select j.id from public.jobs j where j.id = any ($1) order by j.id for update%s) l', passing)
    into copies using held;
  select coalesce(array_agg(v), '{}') into taken from jobs_ext.judge_old_jobs(old_jobs, source, hash, held, worker) v
  where v.verdict = 'new' or v.verdict = 'changed' and v.id = any (copies);
  return query select (r).* from jobs_ext.replace_old_jobs(old_jobs, taken) r;
end $$;
comment on function jobs_ext.take_old_jobs(text, regclass, text, uuid[], boolean, text) is
'Part of the imports: takes those of these rows that can be taken now, and returns which.';

-- A copy whose row is gone goes too, from the archive as well, unless it went on here.
create function jobs_ext.drop_old_copies(source regclass, ids uuid[], worker text, out status text, out count bigint)
returns setof record
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  return query execute format($q$
    with gone as (
      delete from public.jobs j
      where j.id = any ($1) and not exists (select from %1$s s where s.id = j.id)
        and j.metadata #>> '{legacy,id}' = j.id::text and j.metadata #>> '{legacy,as}' = j.status
        and (j.lease_id is null or j.worker = $2)
      returning j.status::text
    ), gone_from_the_archive as (
      delete from public.jobs_archive j
      where j.id = any ($1) and not exists (select from %1$s s where s.id = j.id)
        and j.metadata #>> '{legacy,id}' = j.id::text and j.metadata #>> '{legacy,as}' = j.status
      returning j.status::text)
    select g.status, count(*) from (
      select g.status from gone g union all select a.status from gone_from_the_archive a) g
    group by 1 order by 1$q$, source) using ids, worker;
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
'42809 and 42804 for a table that is none of that kind, 22023 for a bad argument, and what inserting raises but for '
'foreign keys, whose rows are left out.';

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
