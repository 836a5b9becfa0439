-- Which ended jobs `ended` lists, and that the others are found by their age: none stays in `jobs` for longer than its
-- type says, whatever the type said when the job ended.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/jobs.sql
set jobs_ext.archive_after = '10d';
set jobs_ext.now = '2030-01-01 00:00+00';
select no_plan();

create function tests.ended(job_id text) returns void language sql as $$
  select from tests.run(job_id) r, job_complete(tests.id(job_id), tests.lease(job_id))
$$;
create function tests.listed() returns text language sql as $$
  select coalesce(string_agg(j.job_id, ', ' order by j.job_id), '')
  from jobs_ext.ended e join jobs j on j.id = e.job
$$;
create function tests.left_after(span interval) returns text language plpgsql as $$
begin
  perform set_config('jobs_ext.now', (timestamptz '2030-01-01 00:00+00' + span)::text, false);
  perform job_maintain();
  return (select coalesce(string_agg(j.job_id, ', ' order by j.job_id), '') from jobs j);
end $$;

-- A type without a time of its own.
select tests.ended('plain') \g /dev/null
select is(tests.listed(), '', 'a job that completes gets no row in ended');
select is(tests.left_after('9 days 23 hours'), 'plain', 'and stays as long as jobs_ext.archive_after says');
select is(tests.left_after('10 days'), '', 'and no longer');
select is((select count(*) from jobs_archive where job_id = 'plain'), 1::bigint, 'it is archived');

-- What its id does not tell.
set jobs_ext.now = '2030-01-01 00:00+00';
insert into jobs (id, job_id, job_type, status, started_at, completed_at, finished_at)
values (gen_random_uuid(), 'random', 'alpha', 'completed', '2029-12-01', '2029-12-24', '2029-12-24'),
       ('01942f5c-0000-7000-8000-000000000000', 'older than its id', 'alpha', 'completed', '2024-12-01', '2024-12-24',
        '2024-12-24');
select is(tests.listed(), 'older than its id, random', 'a job whose id is not of the time before its end is listed');
select tests.in_step('ended has what the rules say');
select is(tests.left_after('2 days 23 hours'), '', 'and leaves by that');

-- A type gets a time of its own.
set jobs_ext.now = '2030-01-01 00:00+00';
select tests.ended('before') \g /dev/null
select job_type_set('alpha', keep_completed => '1 day') \g /dev/null
select tests.ended('after') \g /dev/null
select is(tests.listed(), 'after', 'a type with a time of its own has the jobs listed that end from now on');
select is(tests.left_after('23 hours'), 'after, before', 'and those that ended before when upkeep has looked');
select is(tests.listed(), 'after, before', 'they are listed');
select tests.in_step('as the rules say');
select is(tests.left_after('1 day'), '', 'all leave by the new time');

-- It is removed instead of archived, and another status has another time.
set jobs_ext.now = '2030-01-01 00:00+00';
update job_types set keep_completed = null;
select tests.ended('purged') \g /dev/null
select job_type_set('alpha', keep_completed => '0') \g /dev/null
select is(tests.left_after('0'), '', 'a type that keeps nothing has what ended before removed at once');
select is((select count(*) from jobs_archive where job_id = 'purged'), 0::bigint, 'and not archived');

-- It loses its time.
set jobs_ext.now = '2030-01-01 00:00+00';
select job_type_set('alpha', keep_completed => '30 days') \g /dev/null
select tests.ended('was long') \g /dev/null
update job_types set keep_completed = null;
select is(tests.left_after('9 days'), 'was long', 'a type that loses its time');
select is(tests.left_after('10 days'), '', 'has its jobs kept as the others are');
select is((select count(*) from jobs_ext.ended), 0::bigint, 'and nothing stays behind');

-- A job that lives on.
set jobs_ext.now = '2030-01-01 00:00+00';
select tests.run('retried') \g /dev/null
select job_fail(tests.id('retried'), tests.lease('retried'), 'no', permanent => true) \g /dev/null
select job_retry(tests.id('retried')) \g /dev/null
select is(tests.left_after('20 days'), 'retried', 'a job that was retried waits on');
select is((select status::text from jobs), 'queued', 'as it was');
delete from jobs;

-- Never.
set jobs_ext.now = '2030-01-01 00:00+00';
set jobs_ext.archive_after = -1;
select tests.ended('for ever') \g /dev/null
select is(tests.left_after('1000 days'), 'for ever', 'jobs_ext.archive_after = -1');
select job_type_set('alpha', keep_completed => '10 days') \g /dev/null
select is(tests.left_after('1000 days'), '', 'but for types with a time of their own');

-- The tables are built anew.
set jobs_ext.now = '2030-01-01 00:00+00';
select tests.ended('again') \g /dev/null
select jobs_ext.rebuild_queue() \g /dev/null
select is(tests.listed(), 'again', 'rebuild_queue() lists what has to be');
select tests.in_step('as the rules say');
select * from finish();
