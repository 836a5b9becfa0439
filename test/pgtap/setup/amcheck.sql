-- tests.corruption(): what amcheck finds wrong with our tables and their indexes, a row for each fault; no row: all is
-- well. Every row of a heap must stand in each b-tree of it. An index that is not valid, and what is dropped
-- meanwhile, is left out, so that it may be asked while others work.
create schema if not exists tests;
create extension if not exists amcheck schema tests;

-- Our tables and their TOAST tables; or those of one.
create function tests.heaps(one regclass default null) returns setof regclass
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  with ours (oid) as (
    select c.oid from pg_class c where c.relkind = 'r' and c.relnamespace = 'jobs_ext'::regnamespace
    union select to_regclass(format('public.%I', n)) from unnest('{jobs,job_types,job_attempts}'::text[]) n
    union select p.relid from pg_partition_tree(to_regclass('public.jobs_archive')) p where p.isleaf
  )
  select h.oid::regclass
  from ours o join pg_class c on c.oid = o.oid cross join lateral (values (c.oid), (c.reltoastrelid)) h (oid)
  where h.oid <> 0 and (one is null or c.oid = one);
end;

create function tests.corruption(one regclass default null) returns table (relation text, fault text)
language plpgsql set search_path = tests, pg_catalog, pg_temp as $$
declare
  checked regclass;
begin
  for checked in
    select i.indexrelid from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
    where i.indrelid in (select tests.heaps(one)) and a.amname = 'btree' and i.indisvalid
  loop
    begin
      perform tests.bt_index_check(checked, heapallindexed => true);
    exception when others then
      relation := checked::text;
      fault := sqlerrm;
      if exists (select from pg_index i where i.indexrelid = checked and i.indisvalid) then
        return next;
      end if;
    end;
  end loop;
  for checked in select tests.heaps(one) loop
    begin
      return query
        select checked::text, format('block %s, item %s, column %s: %s', h.blkno, h.offnum, h.attnum, h.msg)
        from tests.verify_heapam(checked) h;
    exception when others then
      relation := checked::text;
      fault := sqlerrm;
      if exists (select from pg_class c where c.oid = checked) then
        return next;
      end if;
    end;
  end loop;
end $$;
