-- How full a page is made leaves room for a job's later versions, which are heap-only then. Three versions of all jobs
-- of a page are needed at once where jobs are enqueued, claimed and finished in batches, and where a bulk of them is
-- claimed by many: no version goes while another session has a snapshot from before. script/bench, payload 115 bytes:
--   fillfactor                                 50     38     34     30
--   heap-only of batches of 100, %             60     82     95    100
--   heap-only of single claims after bulk, %   90     98     99    100
-- The price is disk, until a job is archived. Bytes of jobs for each, its row being 341, 819 and 1638 bytes:
--   fillfactor                                100     50     40     30
--   payload of 117 bytes                      341    682    910   1170
--   of 600 bytes                              819   1638   2048   4096
--   of 1300 bytes                            1638   4096   4096   8192
--   of 1900 bytes and more, without TOAST     204    431    546    745
-- Where jobs are done as fast as they come, one by one, a page takes five of 341 bytes: 1638 bytes each. An enqueue
-- costs 3 to 5 % of its rate at 30, since more pages extend the file, and batches get a third more.
-- Jobs that wait long and are claimed one by one are heap-only at 70 as well: who keeps many and works in no batches
-- has the better of it with ALTER TABLE jobs SET (fillfactor = 70).
create function jobs_ext.storage_of_jobs() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
return array[
  'fillfactor=30',
  'autovacuum_vacuum_scale_factor=0.05',
  'autovacuum_vacuum_insert_scale_factor=0.1',
  'autovacuum_analyze_scale_factor=0.05',
  'toast.autovacuum_vacuum_scale_factor=0.05'];
comment on function jobs_ext.storage_of_jobs() is 'The storage parameters of public.jobs.';

-- What a policy compares organisation_id with is not known when a statement is planned, so the planner guesses: the
-- share of an average organisation. Where one of two has nearly everything, that is half of the table, and a member of
-- the other would have it read from end to end.
create function jobs_ext.expect_many_organisations(relation regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('alter table %s alter organisation_id set (n_distinct = -0.001)', relation);
end $$;
comment on function jobs_ext.expect_many_organisations(regclass) is
'Has the planner take an organisation that it does not know for one of 1000 jobs of a table, from its next ANALYZE on.';

create function jobs_ext.make_index_of_jobs(name text, is_unique boolean, columns text[], predicate text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('create %sindex %I on public.jobs (%s)%s', case when is_unique then 'unique ' end, name,
                 (select string_agg(quote_ident(c.name), ', ' order by c.n)
                  from unnest(columns) with ordinality as c (name, n)),
                 ' where ' || predicate);
end $$;
comment on function jobs_ext.make_index_of_jobs(text, boolean, text[], text) is
'Makes an index of jobs_ext.indexes_of_jobs(), under a name that may be another one.';

create function jobs_ext.install_jobs() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  listed record;
begin
  if jobs_ext.is_there('public.jobs'::text, 'r'::"char", 'public.job'::regtype) then
    return;
  end if;

  -- Room on the page for the heap-only updates of a job's life. No foreign key: the user adds those that are wanted.
  execute format('create table public.jobs (%s, %s) with (%s)',
    (select string_agg(format('%I %s %s', c.name, c.type, c.modifiers), ', ' order by c.n)
     from jobs_ext.columns_of_jobs() with ordinality as c(name, type, modifiers, comment, n)),
    (select string_agg(format('constraint %I check (%s)', c.name, c.expression), ', ' order by c.n)
     from jobs_ext.checks_of_jobs() with ordinality as c(name, expression, n)),
    (select string_agg(o.setting, ', ') from unnest(jobs_ext.storage_of_jobs()) as o (setting)));

  for listed in select i.* from jobs_ext.indexes_of_jobs() i loop
    perform jobs_ext.make_index_of_jobs(listed.name, listed.is_unique, listed.columns, listed.predicate);
  end loop;

  perform jobs_ext.expect_many_organisations('public.jobs'::regclass);

  comment on table public.jobs is
    'Generic async job queue for all long-running operations: one row for each job, kept until it is archived';
  for listed in select c.* from jobs_ext.columns_of_jobs() c loop
    execute format('comment on column public.jobs.%I is %L', listed.name, listed.comment);
  end loop;

  perform jobs_ext.put_policies('public.jobs'::text, jobs_ext.members_by_claim());
  perform jobs_ext.hand_over('public.jobs'::regclass);
end $$;
comment on function jobs_ext.install_jobs() is 'Makes public.jobs where it is missing. Part of jobs_ext.install().';
