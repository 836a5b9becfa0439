-- The two tables of old from which jobs are imported: which they are, and what is read of a row.

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
  -- Before it is looked at: nobody changes it between that and what is read.
  if exists (select from pg_class c where c.oid = source and c.relkind in ('r', 'p')) then
    execute format('lock table %s in access share mode', source);
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
