-- How the rows of the derived tables are written: a key that is there already is left, and stands there once; another
-- index of such a table, which a superuser may add, is written as well.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/jobs.sql
\ir setup/amcheck.sql
set jobs_ext.now = '2030-01-01 12:00:00+00';
select no_plan();

create function tests.lane(type text) returns int language sql as 'select lane from jobs_ext.lanes where job_type = $1';
-- How many rows of the table are of this job.
create function tests.rows_of(name text, job_id text) returns bigint language plpgsql as $$
declare
  counted bigint;
begin
  execute format('select count(*) from jobs_ext.%I where job = tests.id(%L)', name, job_id) into counted;
  return counted;
end $$;

-- The key of `ended` that the completion is going to write; a row that was rolled back or removed does not count.
select tests.run('ends') as lease \gset
insert into jobs_ext.ended
select tests.lane((tests.job('ends')).job_type), 0, '2030-01-01 12:00:00+00', tests.id('ends');
select is((job_complete(tests.id('ends'), :'lease')).status, 'completed', 'a key of ended may be there already');
select is(tests.rows_of('ended', 'ends'), 1::bigint, 'it is there once then');
select tests.run('ends later') as lease \gset
begin;
savepoint first;
select job_complete(tests.id('ends later'), :'lease') \g /dev/null
rollback to first;
commit;
insert into jobs_ext.ended
select tests.lane((tests.job('ends later')).job_type), 0, '2030-01-01 12:00:00+00', tests.id('ends later');
delete from jobs_ext.ended where job = tests.id('ends later');
select is((job_complete(tests.id('ends later'), :'lease')).status, 'completed', 'or have been there');
select is(tests.rows_of('ended', 'ends later'), 1::bigint, 'and is written anew');

-- The same for a job that goes back to the queue, by both paths.
create function tests.resumed(name text) returns setof text language plpgsql as $$
begin
  perform job_enqueue('alpha', job_id => name, run_at => '2030-01-02+00');
  perform job_pause(job_id => name);
  insert into jobs_ext.queue values (tests.lane('alpha'), 0, '2030-01-02+00', tests.id(name));
  return next is((job_resume(job_id => name)).status, 'queued', name || ': a key of the queue may be there already');
  return next is(tests.rows_of('queue', name), 1::bigint, name || ': it is there once then');
end $$;
select tests.resumed('resumed directly');
set jobs_ext.force_statement_path = on;
select tests.resumed('resumed by statement');
reset jobs_ext.force_statement_path;

-- Two more indexes of each table that a life writes, a partial one and one that is unique.
create index on jobs_ext.queue (job) where lane > 0;
create unique index on jobs_ext.queue (job);
create index on jobs_ext.ended (job) where lane > 0;
create unique index on jobs_ext.ended (job);
select tests.run('with more indexes') as lease \gset
select job_release(tests.id('with more indexes'), :'lease') \g /dev/null
select tests.run_again('with more indexes') as lease \gset
insert into jobs_ext.ended
select tests.lane('alpha'), 0, '2030-01-01 12:00:00+00', tests.id('with more indexes');
select is((job_complete(tests.id('with more indexes'), :'lease')).status, 'completed',
          'there may be more indexes, and the key as well');
select is(tests.rows_of('ended', 'with more indexes'), 1::bigint, 'it is there once then');
select job_enqueue('alpha', job_id => 'last') \g /dev/null
select tests.in_step('all tables are in step');
select is_empty('select * from tests.corruption()', 'each row is in each index');
select * from finish();
