-- What adopt() left as it was, and what that costs.

create function jobs_ext.advice_on_namesakes(new_columns text[]) returns setof jobs_ext.adoption
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select 'advice', format('column "%s" was there already; from now on it is: %s', c.name, c.comment),
         format('alter table public.jobs rename column %I to ...; select jobs_ext.adopt(''public.jobs'')', c.name)
  from jobs_ext.columns_of_jobs() with ordinality c (name, type, modifiers, comment, n)
  join pg_attribute a on a.attrelid = to_regclass('public.jobs') and a.attname = c.name and not a.attisdropped
  -- The seed's columns, of which there are never more.
  where not c.name = any ('{id, job_id, job_type, job_category, status, input_payload, result, error_message, retries,
                            max_retries, retry_delay_ms, execution_time_ms, created_at, started_at, completed_at,
                            cancelled_at, updated_at, organisation_id, restaurant_id, created_by, parent_job_id,
                            metadata, priority}'::text[])
    and not c.name = any (new_columns)
  order by c.n
$$;
comment on function jobs_ext.advice_on_namesakes(text[]) is
'Part of jobs_ext.adopt(), the first time: columns that the seed has not, but we have. new_columns: those of ours that '
'were added.';

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

-- What a foreign key refers to is the user's to show: where it may not be read, or only in part, nothing is known.
create function jobs_ext.may_look_up(relation regclass, columns name[]) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return (
  select has_schema_privilege(c.relnamespace, 'usage') and not row_security_active(c.oid)
     and (select bool_and(has_column_privilege(c.oid, n.name, 'select')) from unnest(columns) n (name))
  from pg_class c where c.oid = relation);
comment on function jobs_ext.may_look_up(regclass, name[]) is
'Whether the caller may read these columns of each row of the table.';

create function jobs_ext.advice_on_nobodys() returns setof jobs_ext.adoption
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
  nil constant text := '00000000-0000-0000-0000-000000000000';
  organisations record;
  has_nil boolean;
begin
  for organisations in
    select distinct c.confrelid::regclass as name, k.attname as key
    from pg_constraint c
    join pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
    join pg_attribute k on k.attrelid = c.confrelid and c.confkey = array[k.attnum]
    where c.conrelid = to_regclass('public.jobs') and c.contype = 'f' and a.attname = 'organisation_id'
      and jobs_ext.may_look_up(c.confrelid::regclass, array[k.attname])
  loop
    execute format('select exists (select from %s o where o.%I = %L)', organisations.name, organisations.key, nil)
      into has_nil;
    if not has_nil then
      return next (
        'advice', format('a job that names no organisation is refused: it has the nil UUID, of which %s has no row',
                         organisations.name),
        format('insert into %s (%I, ...) values (%L, ...)', organisations.name, organisations.key, nil)
      )::jobs_ext.adoption;
    end if;
  end loop;
end $$;
comment on function jobs_ext.advice_on_nobodys() is
'Part of jobs_ext.adopt(): that a foreign key refuses jobs of no organisation.';

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
