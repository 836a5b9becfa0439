-- A direct write makes an entry in every index of jobs that has one of the row, and asks, opens and locks none that
-- leaves the row out because a column of it is null (src/pg/written_indexes.hpp): in the rows of one call, after an
-- index was made anew under its name, and where a predicate only looks like one of these.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/amcheck.sql
\ir setup/jobs.sql
select no_plan();

create function tests.uuid(n int) returns uuid language sql immutable
return ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid;
select count(*) from job_enqueue('alpha', job_id => 'parent') \g /dev/null

-- Everything is found by the indexes, and nothing waits in the queue that is not there.
create function tests.whole(name text) returns setof text language plpgsql as $$
begin
  return next is((select string_agg(c.relation || ': ' || c.fault, E'\n') from tests.corruption('jobs') c), null,
                 name || ': each row stands in each index');
  return next tests.in_step(name || ': the queue is in step');
end $$;

-- The jobs that an index itself has, by their job_id: what it leaves out, it does not show.
create function tests.entries(of_index text) returns text language plpgsql as $$
declare
  found text;
  predicate constant text := (select pg_get_expr(i.indpred, i.indrelid) from pg_index i
                              where i.indexrelid = of_index::regclass);
  column_of constant text := (select pg_get_indexdef(of_index::regclass, 1, false));
begin
  perform set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
  execute format('select string_agg(job_id, '' '') from (select job_id from jobs %s order by %s, job_id) j',
                 'where ' || predicate, column_of) into found;
  perform set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true);
  return found;
end $$;

-- The indexes that this transaction has locked, without the ones that have every row.
create function tests.locked() returns text language sql as $$
  select string_agg(c.relname, ' ' order by c.relname)
  from pg_locks l join pg_class c on c.oid = l.relation join pg_index i on i.indexrelid = c.oid
  where l.pid = pg_backend_pid() and l.mode = 'RowExclusiveLock' and i.indrelid = 'jobs'::regclass
    and i.indpred is not null
$$;

--
-- Which are opened
--
begin;
select count(*) from job_enqueue('alpha') \g /dev/null
select is(tests.locked(), null, 'a job without any of the columns locks none of the indexes that leave it out');
select is(count(*), 5::bigint, 'those that have every row are locked until the end of the transaction')
from pg_locks l join pg_index i on i.indexrelid = l.relation
where l.pid = pg_backend_pid() and l.mode = 'RowExclusiveLock' and i.indrelid = 'jobs'::regclass;
select count(*) from job_enqueue('alpha', restaurant_id => tests.uuid(1)) \g /dev/null
select is(tests.locked(), 'idx_jobs_restaurant_id', 'one with a restaurant locks that one');
select count(*) from job_enqueue('alpha', job_key => 'k') \g /dev/null
select is(tests.locked(), 'idx_jobs_job_key idx_jobs_restaurant_id', 'one with a key that of the keys');
select count(*) from job_enqueue('alpha', created_by => tests.uuid(1), parent_job_id => tests.id('parent'))
\g /dev/null
select is(tests.locked(),
          'idx_jobs_created_by idx_jobs_job_key idx_jobs_parent_job_id idx_jobs_restaurant_id', 'and so on');
rollback;

--
-- The rows of one call
--
-- Each element with another set of columns, first without and last without.
create function tests.mixed(prefix text, keyed boolean) returns jsonb language sql as $$
  select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
    'job_type', 'alpha', 'job_id', prefix || n, 'job_key', case when keyed and n % 4 = 2 then prefix || n end,
    'restaurant_id', case when n in (2, 3, 6) then tests.uuid(n) end,
    'created_by', case when n in (3, 5) then tests.uuid(n) end,
    'parent_job_id', case when n in (4, 5) then tests.id('parent') end)) - case when keyed then '' else 'job_id' end
    order by n)
  from generate_series(1, 7) n
$$;
select is(count(*), 7::bigint, 'seven jobs') from job_enqueue_many(tests.mixed('a', true));
select is(tests.entries('idx_jobs_restaurant_id'), 'a2 a3 a6', 'those with a restaurant stand in its index');
select is(tests.entries('idx_jobs_created_by'), 'a3 a5', 'those with a creator');
select is(tests.entries('idx_jobs_parent_job_id'), 'a4 a5', 'those with a parent');
select is(count(*), 2::bigint, 'those with a key') from jobs where job_key is not null;
select tests.whole('with keys');
select is(count(*), 7::bigint, 'seven without a key, hence without speculation')
from job_enqueue_many(tests.mixed('b', false));
select tests.whole('without keys');

-- Where each update is to write all indexes, as it is not heap-only.
create index on_status on jobs (status);
select is(count(*), 15::bigint, 'all are claimed') from job_claim('{alpha}', 100);
select is(count(*), 15::bigint, 'and completed')
from job_finish_many((select jsonb_agg(jsonb_build_object('id', id, 'lease_id', lease_id, 'complete', null))
                      from jobs));
select tests.whole('after updates');
select is(tests.entries('idx_jobs_restaurant_id') ~ 'a2 .*a3 .*a6', true, 'they are there still');
drop index on_status;
delete from jobs where job_id <> 'parent';

--
-- Made anew under the same name, in the session and in the transaction
--
create function tests.make(predicate text) returns void language plpgsql as $$
begin
  execute 'drop index idx_jobs_restaurant_id';
  execute 'create index idx_jobs_restaurant_id on jobs (restaurant_id, created_at) where ' || predicate;
end $$;
begin;
select count(*) from job_enqueue('alpha', job_id => 'c1') \g /dev/null
select tests.make('restaurant_id is null') \g /dev/null
select count(*) from job_enqueue('alpha', job_id => 'c2') \g /dev/null
select count(*) from job_enqueue('alpha', job_id => 'c3', restaurant_id => tests.uuid(3)) \g /dev/null
select is(tests.entries('idx_jobs_restaurant_id'), 'c1 c2 parent', 'the opposite predicate');
savepoint before;
select tests.make('created_by is not null') \g /dev/null
select count(*) from job_enqueue('alpha', job_id => 'c4', created_by => tests.uuid(4)) \g /dev/null
select count(*) from job_enqueue('alpha', job_id => 'c5', restaurant_id => tests.uuid(5)) \g /dev/null
select is(tests.entries('idx_jobs_restaurant_id'), 'c4', 'one over another column');
select tests.whole('another column');
rollback to before;
select count(*) from job_enqueue('alpha', job_id => 'c6') \g /dev/null
select is(tests.entries('idx_jobs_restaurant_id'), 'c1 c2 c6 parent', 'taken back to the opposite');
select tests.make('true') \g /dev/null
select count(*) from job_enqueue('alpha', job_id => 'c7') \g /dev/null
select tests.whole('no predicate in effect');
rollback;
select count(*) from job_enqueue('alpha', job_id => 'c8', restaurant_id => tests.uuid(8)) \g /dev/null
select count(*) from job_enqueue('alpha', job_id => 'c9') \g /dev/null
select is(tests.entries('idx_jobs_restaurant_id'), 'c8', 'and all of it back to the first');
select tests.whole('after all that');

--
-- Predicates that are no such ones, and indexes that the executor has to write
--
create function tests.always(text) returns boolean language sql immutable return true;
create index on jobs (priority) where metadata is null;
create index on jobs (priority) where restaurant_id is not null or created_by is null;
create index on jobs (priority) where not (restaurant_id is not null);
create index on jobs (priority) where (restaurant_id is not null) is not null;
create index on jobs (priority) where lower(job_key) is not null;
create index on jobs (priority) where coalesce(restaurant_id, id) is not null;
create index on jobs (priority) where tests.always(job_key);
create index on jobs (priority) where job_id is not null;
create index on jobs (lower(job_key)) where job_key is not null;
create index on jobs (lower(job_id)) where restaurant_id is not null and priority = 0;
create index on jobs using hash (restaurant_id) where restaurant_id is not null;
create index on jobs using gin (input_payload) where created_by is not null;
create index on jobs using brin (created_at) where restaurant_id is not null;
select is(count(*), 7::bigint, 'many kinds') from job_enqueue_many(tests.mixed('d', true));
select is(count(*), 7::bigint, 'and without keys') from job_enqueue_many(tests.mixed('e', false));
select tests.whole('many kinds');
-- More of the one kind than are remembered.
select format('create index on jobs (%1$I, priority) where %1$I is not null', c)
from unnest('{restaurant_id,created_by,parent_job_id,job_key,worker,result,error_message,finished_at}'::text[]) c
\gexec
select is(count(*), 7::bigint, 'more than are remembered') from job_enqueue_many(tests.mixed('f', true));
select is(count(*), 7::bigint, 'and without keys') from job_enqueue_many(tests.mixed('g', false));
select tests.whole('more than are remembered');

-- What an index asks besides is asked still.
create index one_by on jobs ((1 / (priority - 7))) where job_key is not null and 1 / (priority - 7) > -9;
select tests.refuses($$select job_enqueue('alpha', job_key => 'by zero', priority => 7)$$, '22012',
                     '%division by zero%', 'an error in an index');
drop index one_by;
delete from jobs where job_id <> 'parent';
create unique index one_creator on jobs (created_by) where created_by is not null;
select is(count(*), 2::bigint, 'two without a creator')
from job_enqueue_many('[{"job_type": "beta"}, {"job_type": "beta"}]');
select lives_ok(format($$select job_enqueue('beta', created_by => %L)$$, tests.uuid(77)), 'the first of a creator');
select tests.refuses(format($$select job_enqueue('beta', created_by => %L)$$, tests.uuid(77)), '23505',
                     '%"one_creator"%', 'the second of a creator');
select tests.refuses(format($$select count(*) from job_enqueue_many(jsonb_build_array(
                                jsonb_build_object('job_type', 'beta'),
                                jsonb_build_object('job_type', 'beta', 'created_by', %L::uuid)))$$, tests.uuid(77)),
                     '23505', '%"one_creator"%', 'in the second row of a call');
select tests.whole('unique ones');

select * from finish();
