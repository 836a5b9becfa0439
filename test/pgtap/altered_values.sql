-- An alteration may give columns of jobs other values without firing a trigger: the queue is built anew, and says what
-- jobs says.
\ir setup/begin.psql
create schema tests;
select no_plan();

create function tests.claimed() returns text language sql as
$$ select coalesce(string_agg(job_id, ' ' order by ordinality), 'none')
   from job_claim(max_jobs => 100) with ordinality $$;
create function tests.marks() returns text language sql as
$$select string_agg(s.xmin || ' ' || s.mark, ' ' order by mark) from jobs_ext.state s where mark !~ '^\('$$;

create function tests.no_fault(name text) returns text language sql as
$$select is((select string_agg(fault, E'\n') from jobs_ext.check()), null, name)$$;
create procedure tests.enqueue_three() language sql as
$$select job_enqueue('import-csv', job_id => 'p' || n, priority => n) from generate_series(1, 3) n$$;

call tests.enqueue_three();
alter table jobs alter priority type integer using 10 - priority;
select tests.no_fault('after ALTER ... TYPE ... USING');
select is(tests.claimed(), 'p1 p2 p3', '… the jobs are claimed in their new order');

-- Twice in one transaction, with a build in between: the rows of the catalogs have the same xmin.
truncate jobs;
call tests.enqueue_three();
begin;
alter table jobs alter priority type integer using 10 - priority;
select job_enqueue('import-csv', job_id => 'p4', priority => 4) \g /dev/null
alter table jobs alter priority type integer using 10 - priority;
commit;
select tests.no_fault('twice in one transaction');
select is((select count(*) from job_claim(max_jobs => 100)), 4::bigint, '… all are claimed');

truncate jobs;
call tests.enqueue_three();
begin;
savepoint s;
alter table jobs alter priority type integer using 10 - priority;
rollback to s;
alter table jobs alter priority type integer using 10 - priority;
savepoint s;
alter table jobs alter priority type integer using 10 - priority;
release s;
commit;
select tests.no_fault('in savepoints');
select is(tests.claimed(), 'p3 p2 p1', '… the jobs are claimed in the old order');

-- Triggers off and on twice, with a build in between.
truncate jobs;
begin;
alter table jobs disable trigger jobs_ext_after_row;
alter table jobs enable trigger jobs_ext_after_row;
select job_enqueue('import-csv', job_id => 'first') \g /dev/null
alter table jobs disable trigger jobs_ext_after_row;
insert into jobs (job_type, job_id) values ('import-csv', 'unseen');
alter table jobs enable trigger jobs_ext_after_row;
commit;
select tests.no_fault('triggers off and on twice in one transaction');
select is((select string_agg(job_id, ' ' order by job_id) from job_claim(max_jobs => 100)),
          'first unseen', '… both jobs are claimed');

-- What gives no column other values builds nothing.
truncate jobs;
call tests.enqueue_three();
create table tests.before as select tests.marks() as marks;
vacuum full jobs;
alter table jobs add column theirs uuid default gen_random_uuid();
alter table jobs drop column theirs;
select is(tests.marks(), (select marks from tests.before), 'VACUUM FULL and a column of theirs build nothing');
select tests.no_fault('after them');
-- Both marks differ by now unless they were written anew in between.
alter table jobs alter priority set statistics 50;
select tests.no_fault('after SET STATISTICS');
select is(tests.claimed(), 'p3 p2 p1', '… the jobs are claimed');

-- An ALTER that leaves jobs as it can't be used is not kept from it.
select lives_ok('alter table jobs disable trigger jobs_ext_after_row', 'a trigger is switched off');
select throws_ok($$select job_enqueue('import-csv')$$, '42804', null, '… then nothing is enqueued');
select lives_ok('alter table jobs enable trigger jobs_ext_after_row', '… until it is on again');
select lives_ok($$select job_enqueue('import-csv')$$, '… and then it is');

-- Jobs of one call have times of their own, in the order of the array, and are judged by the same clock.
truncate jobs;
select job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'import-csv',
                                                             'input_payload', jsonb_build_object('n', n)))
                         from generate_series(1, 2000) n))
\g /dev/null
select is((select count(distinct created_at) = 2000 and bool_and(in_order)
           from (select created_at,
                        id >= lag(id, 1, id) over (order by (input_payload ->> 'n')::int)
                          and created_at >= lag(created_at, 1, created_at) over (
                            order by (input_payload ->> 'n')::int) as in_order
                 from jobs) j),
          true, 'the jobs of one call are made one after the other');
select finish();
