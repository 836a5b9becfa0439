-- What jobs_ext.adopt() makes of tables and rows that the seed's migration does not lead to: each case has a table of
-- its own, as somebody had it, and says what became of it. test/tap/seed_migration.pl has the whole way.
\ir setup/begin.psql
select no_plan();

-- A table of the seed's columns, and what else is said.
create function pg_temp.had(also text default '') returns void language plpgsql as $$
begin
  drop table public.jobs cascade;
  update public.job_types set keep_completed = null, keep_failed = null;
  create table public.jobs (
    id uuid primary key default gen_random_uuid(), job_id varchar(100) unique, job_type varchar(50),
    job_category varchar(50), status varchar(50) default 'pending', input_payload jsonb, result jsonb,
    error_message text, retries integer default 0, max_retries integer default 3, retry_delay_ms integer default 1000,
    execution_time_ms integer, created_at timestamptz default now(), started_at timestamptz, completed_at timestamptz,
    cancelled_at timestamptz, updated_at timestamptz default now(), organisation_id uuid, restaurant_id uuid,
    created_by uuid, parent_job_id uuid, metadata jsonb default '{}', priority integer default 0);
  execute also;
end $$;
-- What it did or advised, of which the detail is like this; or the error.
create function pg_temp.adopt(says text default '%') returns text language plpgsql as $$
begin
  return (select string_agg(a.detail, '; ') from jobs_ext.adopt('public.jobs') a where a.detail like says);
exception when others then
  return sqlstate || ' ' || sqlerrm;
end $$;

-- Rows that follow the delete of a job, children too, would go when it is archived.
create procedure pg_temp.archive_with(follows text) language plpgsql as $$
begin
  perform pg_temp.had('alter table jobs add foreign key (parent_job_id) references jobs on delete ' || follows);
  insert into jobs (id, job_id, job_type, status, started_at, completed_at, updated_at) values
    ('00000000-0000-0000-0000-000000000001', 'old', 'import-csv', 'completed', '2025-01-01', '2025-01-02',
     '2025-01-02');
  insert into jobs (job_id, job_type, parent_job_id) values
    ('child', 'import-csv', '00000000-0000-0000-0000-000000000001');
  perform pg_temp.adopt();
  commit;
  perform public.job_maintain();
end $$;
create function pg_temp.jobs() returns text language sql as $$
  select string_agg(j.job_id || coalesce(' of ' || right(j.parent_job_id::text, 1), ''), ', ' order by j.job_id)
  from public.jobs j $$;
call pg_temp.archive_with('cascade');
select is(pg_temp.jobs(), 'child of 1, old', 'on delete cascade: no child is lost');
call pg_temp.archive_with('set null');
select is(pg_temp.jobs(), 'child of 1, old', 'on delete set null: no child loses its parent');
call pg_temp.archive_with('set default');
select is(pg_temp.jobs(), 'child of 1, old', 'on delete set default: nor here');
call pg_temp.archive_with('restrict');
select is(pg_temp.jobs(), 'child of 1, old', 'on delete restrict: Postgres forbids it');
select pg_temp.had('alter table jobs add foreign key (parent_job_id) references jobs on delete set null;
                    insert into jobs (job_id, job_type) values (''alone'', ''import-csv'')') \g /dev/null
select is(pg_temp.adopt('ended jobs stay%'), null, 'where no job has a parent, jobs are archived as ever');
select alike(pg_temp.adopt('foreign key%'), '%and sets their parent_job_id null',
             '… and the advice says what that does');

-- When it ended.
select pg_temp.had(
  'insert into jobs (job_id, job_type, status, started_at, completed_at, updated_at)
   select s, ''import-csv'', s, ''2025-01-01'', ''2025-01-02'', ''2025-06-06''
   from unnest(''{failed,cancelled}''::text[]) s')
\g /dev/null
select is(pg_temp.adopt('%any error%'), null, 'completed_at where a job failed');
select is(string_agg(j.job_id || ' ' || to_char(j.finished_at, 'YYYY-MM-DD'), ', ' order by j.job_id),
          'cancelled 2025-01-02, failed 2025-01-02', '… is when it finished, which is not lost') from jobs j;

-- Twice, whatever the jobs are at meanwhile.
select pg_temp.had() \g /dev/null
select alike(pg_temp.adopt(), '%made those of jobs_ext%', 'adopted');
select job_enqueue('import-csv', job_id => 'parent') \g /dev/null
select id, lease_id from job_claim() \gset
select job_enqueue('import-csv', parent_job_id => :'id', expires_at => now() + interval '1 hour') \g /dev/null
select is((job_await_children(:'id', :'lease_id')).status, 'blocked', 'a job waits for its child');
update jobs set expires_at = now() - interval '1 second' where parent_job_id = :'id';
select alike(pg_temp.adopt(), 'public.jobs is adopted already: nothing was changed%',
             'nothing more to adopt, with one that is blocked and one that has just expired');
alter table jobs drop column progress;
select is(pg_temp.adopt('%"progress"%'), 'added "progress"', '… a column that was dropped comes again');
select is((select j.status from jobs j where j.id = :'id'), 'blocked', '… and it is blocked still');
-- Here, since what it reads goes with a table.
\ir setup/in_step.sql
select tests.in_step('derived tables in step');

-- Checks that are put off to the commit.
create table public.organisations (id uuid primary key);
insert into organisations values ('00000000-0000-0000-0000-000000000000');
begin;
select pg_temp.had('alter table jobs add foreign key (organisation_id) references organisations
                      deferrable initially deferred;
                    insert into jobs (job_id, job_type, organisation_id)
                    values (''written before'', ''import-csv'', null),
                           (''checked now'', ''import-csv'', ''00000000-0000-0000-0000-000000000000'')') \g /dev/null
select alike(pg_temp.adopt(), '%made those of jobs_ext%', 'a foreign key that is deferred, with a row to check');
commit;
select pg_temp.had('delete from organisations;
                    alter table jobs add foreign key (organisation_id) references organisations;
                    insert into jobs (job_id, job_type) values (''x'', ''import-csv'')') \g /dev/null
select alike(pg_temp.adopt(), '23503 %', 'an organisation of nobody''s that a foreign key does not know');
delete from jobs;
select is(pg_temp.adopt('a job that names%'),
          'a job that names no organisation is refused: it has the nil UUID, of which public.organisations has no row',
          '… which is advised where no job needs it yet');
insert into organisations values ('00000000-0000-0000-0000-000000000000');
select is(pg_temp.adopt('a job that names%'), null, '… until it has one');

-- Columns and keys of one's own.
select pg_temp.had('alter table jobs add worker text, add job_key text, add tenant text not null') \g /dev/null
select is(pg_temp.adopt('column "worker"%'),
          'column "worker" was there already; from now on it is: Name of the last worker',
          'a column with a name of ours is told what it is now');
select is(pg_temp.adopt('column "worker"%'), null, '… once');
select is(pg_temp.adopt('%"tenant"%'),
          'column "tenant" is not null without a default: job_enqueue() can''t give it a value',
          'a column that no call can fill');
select pg_temp.had('alter table jobs drop constraint jobs_pkey, add primary key (job_id)') \g /dev/null
select alike(pg_temp.adopt(), '%added a unique constraint on "id", since the primary key is another%', 'another key');
select job_enqueue('import-csv') \g /dev/null
select is((job_complete(c.id, c.lease_id)).status, 'completed', '… and its jobs run') from job_claim() c;
select pg_temp.had('alter table jobs add constraint check_priority check (priority < 5)') \g /dev/null
select is(pg_temp.adopt('%it was%'), 'dropped "check_priority": jobs_ext has its own; it was: CHECK ((priority < 5))',
          'a constraint that goes is told');

-- What can't be a job of ours, or would end as one.
create function pg_temp.adopt_row(columns text, said text) returns text language plpgsql as $$
begin
  perform pg_temp.had(format('alter table jobs add expires_at timestamptz;
                              insert into jobs (job_id, job_type%s) values (%s)', columns, said));
  return pg_temp.adopt();
end $$;
select alike(pg_temp.adopt_row(r.columns, r.said), r.says, r.says)
from (values
  (', status', '''x'', ''import-csv'', ''blocked''', '23514 the status of job % is one of jobs_ext''s own: "blocked"'),
  (', status', '''x'', ''import-csv'', ''lost''', '23514 the status of job % is no status of a job: "lost"'),
  (', status', '''x'', ''import-csv'', null', '23502 the status of job % is null'),
  ('', 'null, ''import-csv''', '23502 the job_id of job % is null'),
  ('', '''x'', null', '23502 the job_type of job % is null'),
  (', expires_at', '''x'', ''import-csv'', now() - interval ''1 hour''',
   '23514 the expires_at of job % is over, so that jobs_ext would cancel it at once: "%"')) r (columns, said, says);

drop table jobs cascade;
select jobs_ext.install() \g /dev/null
select * from finish();
