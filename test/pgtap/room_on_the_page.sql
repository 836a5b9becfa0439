-- What `jobs` takes on disk and in the WAL: pages are cleared for the jobs that come, by each path, updates write no
-- index, and a call that brings many jobs writes the rows of a page at once.
\ir setup/begin.psql
\ir setup/in_step.sql
select no_plan();

create function tests.pages() returns bigint language sql as $$
  select pg_relation_size('public.jobs') / current_setting('block_size')::bigint
$$;
-- So many jobs, one after the other, each of whose steps is committed.
create procedure tests.lives(count int) language plpgsql as $$
declare
  claimed public.job;
begin
  for i in 1 .. count loop
    perform job_enqueue('import-csv', jsonb_build_object('url', repeat('x', 100)));
    commit;
    select * into strict claimed from job_claim('{import-csv}');
    commit;
    perform job_complete(claimed.id, claimed.lease_id);
    commit;
  end loop;
end $$;

-- Seven jobs of this size fill a page to its fillfactor; where the old versions stay, four do.
call tests.lives(120);
select cmp_ok(tests.pages(), '<=', 24::bigint, 'a page takes at least five jobs that go one by one');
truncate jobs;
set jobs_ext.force_statement_path = on;
call tests.lives(120);
reset jobs_ext.force_statement_path;
select cmp_ok(tests.pages(), '<=', 24::bigint, 'by statement as well');
select tests.in_step('all tables are in step');
select pg_stat_force_next_flush() \g /dev/null
select is(array[n_tup_upd, n_tup_upd - n_tup_hot_upd], '{480,0}'::bigint[], 'no update wrote an index')
from pg_stat_user_tables where relid = 'public.jobs'::regclass;

-- Records of WAL for each job: an entry of each of five indexes and of the queue's, and a share of those of two pages.
create function tests.records_of(statement text) returns bigint language plpgsql as $$
declare
  plan jsonb;
begin
  execute 'explain (analyze, wal, format json) ' || statement into plan;
  return (plan #>> '{0,Plan,WAL Records}')::bigint;
end $$;
select cmp_ok(tests.records_of($$ select count(*) from job_enqueue_many((
                select jsonb_agg('{"job_type": "import-csv"}'::jsonb) from generate_series(1, 1280))) $$),
              '<', 1280 * 7::bigint, 'many jobs share the records of their rows');
select tests.in_step('and each is in the queue');
select * from finish();
