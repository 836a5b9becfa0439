-- TRUNCATE jobs takes the attempts along: a job that got the id of one that was there would have its attempts.
\ir setup/begin.psql
\ir setup/in_step.sql
begin;
select plan(6);
select job_type_set('work') \g /dev/null
select id as one from job_enqueue('work') \gset
select id as other from job_enqueue('work') \gset
insert into job_attempts (job, attempt, ended_at, outcome)
values (:'one', 1, now(), 'failed'), (:'other', 1, now(), 'released');
savepoint before_truncate;
truncate jobs;
select is_empty('select from job_attempts', 'TRUNCATE takes the attempts along');
select tests.in_step('after TRUNCATE: in step');
rollback to before_truncate;
select is((select count(*)::int from job_attempts), 2, 'undone with it');
truncate jobs, job_attempts;
select is_empty('select from job_attempts', 'both together');
rollback to before_truncate;
create table public.noted (who text);
create function public.note() returns trigger language plpgsql as $$
begin
  insert into public.noted values (current_user);
  return old;
end $$;
create trigger note before delete on job_attempts for each row execute function public.note();
create role tests_cleaner;
grant truncate on jobs to tests_cleaner;
set local role tests_cleaner;
truncate jobs;
reset role;
select is((select array_agg(who) from public.noted),
          (select array_fill(pg_get_userbyid(relowner)::text, array[2])
           from pg_class where oid = 'job_attempts'::regclass),
          'what stands on job_attempts runs as its owner, whoever truncates');
select is_empty('select from job_attempts', 'by a statement too');
select * from finish();
rollback;
