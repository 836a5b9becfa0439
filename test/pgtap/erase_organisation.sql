-- Nothing of an organisation is left in any table of ours: by erase_organisation(), and after it was deleted.
\ir setup/begin.psql
begin;
\ir setup/tenants.sql
\ir setup/refuses.sql
\ir setup/job_in.sql
\ir setup/in_step.sql
select no_plan();

-- Where one of these ids stands, in whatever column of whatever table of ours.
create function pg_temp.traces(ids uuid[]) returns text language plpgsql as $$
declare
  looked regclass;
  found bigint;
  answer text[] := '{}';
begin
  for looked in
    select c.oid from pg_class c
    where c.relkind in ('r', 'p')
      and (c.relnamespace = 'jobs_ext'::regnamespace or c.relnamespace = 'public'::regnamespace and c.relname ~ '^job')
      and not c.relispartition
    order by c.oid::regclass::text
  loop
    execute format('select count(*) from %s t
                    where exists (select from unnest($1) i where strpos(t::text, i::text) > 0)', looked)
      into found using ids;
    if found > 0 then
      answer := answer || format('%s %s', looked, found);
    end if;
  end loop;
  return array_to_string(answer, ', ');
end $$;

-- Two organisations that have the same: a job in each status, attempts, archived ones of several months, a job that is
-- set aside, one that a schedule made.
create function pg_temp.fill(n int, archived int) returns uuid[] language plpgsql as $$
declare
  ids uuid[];
begin
  perform tests.job_in(s, format('%s of %s', s, n))
  from unnest('{pending,queued,in_progress,paused,failed,completed,cancelled}'::text[]) s;
  update jobs set organisation_id = tests.org(n) where job_id like '% of ' || n;
  insert into jobs_archive (id, job_id, organisation_id, finished_at)
  select gen_random_uuid(), format('archived %s of %s', i, n), tests.org(n), now() - (i % 4) * interval '1 month'
  from generate_series(1, archived) i;
  insert into job_attempts (job, attempt, ended_at, outcome)
  select id, attempt, now(), 'failed' from jobs where organisation_id = tests.org(n) and status = 'failed'
  on conflict do nothing;
  insert into jobs_ext.set_aside
  select id, 'reap', 1, now(), now() + interval '1 hour', '22012', 'x' from jobs where job_id = 'in_progress of ' || n;
  insert into jobs_ext.schedules select 10, 'of ' || n, id, now(), 0 from jobs where job_id = 'queued of ' || n
  on conflict (role, name) do update set job = excluded.job;
  select array_agg(id) into ids
  from (select id from jobs where organisation_id = tests.org(n)
        union all (select id from jobs_archive where organisation_id = tests.org(n) order by id limit 20)) t;
  return ids || tests.org(n);
end $$;
create temp table ids as select n, pg_temp.fill(n, 1500) as list from generate_series(1, 2) n;
select tests.in_step();
select is(regexp_replace(pg_temp.traces(list), '\d+', 'n', 'g'),
          'job_attempts n, jobs n, jobs_archive n, jobs_ext.ended n, jobs_ext.failed n, '
          'jobs_ext.paused n, jobs_ext.queue n, jobs_ext.schedules n, jobs_ext.set_aside n',
          'organisation ' || n || ' is everywhere')
from ids;
create temp table other as select pg_temp.traces(list) from ids where n = 2;

-- A call erases a thousand rows, jobs first; upkeep does the rest.
select is(jobs_ext.erase_organisation(tests.org(1)), 507::bigint, 'what is left');
select is_empty($$ select from jobs where organisation_id = tests.org(1) $$, 'the jobs went first');
select is((select count(*) from jobs_ext.erasures), 1::bigint, 'it is noted');
select is((select sum((job_maintain() ->> 'erased')::int) from generate_series(1, 2)), 507::bigint,
          'the rest by upkeep');
select is(pg_temp.traces(list), '', 'nothing is left of it in any table') from ids where n = 1;
select is(pg_temp.traces(list), o.traces, 'and all of the other one') from ids, other o where n = 2;
select is((select job from jobs_ext.schedules where name = 'of 1'), null, 'its schedule remembers no job');
select is((select job_id::text from jobs_ext.schedules s join jobs j on j.id = s.job where name = 'of 2'),
          'queued of 2',
          'the other one does');
select tests.in_step();

-- Again and again.
select is(jobs_ext.erase_organisation(tests.org(1)), 0::bigint, 'of nothing nothing is left');
select is(jobs_ext.erase_organisation(tests.org(2)), 507::bigint, 'another one');
select is(jobs_ext.erase_organisation(tests.org(2)), 0::bigint, 'called again it goes on');
select is(pg_temp.traces(list), '', 'until nothing is left') from ids where n = 2;
select tests.in_step();
select is(jobs_ext.erase_organisation('00000000-0000-0000-0000-000000000000'), 0::bigint, 'the jobs of nobody');

-- A worker whose job is gone hears so.
create temp table held as select tests.job_in('in_progress', 'held') as id;
create temp table lease as select j.id, j.lease_id from jobs j where j.job_id = 'held';
update jobs set organisation_id = tests.org(1) where job_id = 'held';
select jobs_ext.erase_organisation(tests.org(1)) \g /dev/null
select throws_ok(format('select job_complete(%L, %L)', id, lease_id), 'PT404', null, 'the worker hears it') from lease;

-- Who may.
select tests.refuses('select jobs_ext.erase_organisation(null)', '22023', 'id must not be null', 'null');
select matches(tests.asks('', format('select jobs_ext.erase_organisation(%L)', tests.org(1)), r), '^42501',
               r || ' may not')
from unnest('{anon,authenticated,service_role}'::name[]) r;
create role tests_other;
grant usage on schema jobs_ext to tests_other;
grant execute on function jobs_ext.erase_organisation to tests_other;
grant all on jobs, jobs_archive to tests_other;
select is(tests.asks('', format('select jobs_ext.erase_organisation(%L)', tests.org(1)), 'tests_other'),
          '42501 | must be owner of table jobs', 'nor a role that may delete every row');

-- Deleted, where jobs are bound to it: its jobs go at once, the rest by upkeep. ROLLBACK takes it back.
grant select on profiles to authenticated;
select jobs_ext.bind('organisations', 'restaurants', 'users') \g /dev/null
update ids set list = pg_temp.fill(n, 700);
delete from profiles where organisation_id = tests.org(1);
savepoint before;
delete from organisations where id = tests.org(1);
select is((select count(*) from jobs_ext.erasures), 1::bigint, 'a deleted organisation is noted');
rollback to before;
select is_empty('select from jobs_ext.erasures', 'and forgotten');
select is((select count(*) from jobs where organisation_id = tests.org(1)), 7::bigint, 'its jobs are there');
delete from organisations where id = tests.org(1);
select is_empty($$ select from jobs where organisation_id = tests.org(1) $$, 'its jobs are gone');
select is((select count(*) from jobs_archive where organisation_id = tests.org(1)), 700::bigint,
          'the archive has not been waited for');
select is((job_maintain() ->> 'erased')::int, 700, 'upkeep erases that');
select is(pg_temp.traces(list), '', 'nothing is left') from ids where n = 1;
select isnt(pg_temp.traces(list), '', 'but of others') from ids where n = 2;
select tests.in_step();

-- One that comes again under the same id, before upkeep has come to it: what it has now is its own. Deleted once more
-- that goes as well; by erase_organisation() all goes.
insert into organisations values (tests.org(1), 'again');
insert into jobs_archive (id, job_id, organisation_id, finished_at)
values (gen_random_uuid(), 'archived before', tests.org(1), now());
delete from organisations where id = tests.org(1);
insert into organisations values (tests.org(1), 'and again');
insert into jobs (job_type, job_id, organisation_id) values ('bulk-update', 'new', tests.org(1));
insert into jobs_archive (id, job_id, organisation_id, finished_at, archived_at)
values (gen_random_uuid(), 'archived after', tests.org(1), now(), clock_timestamp());
create function pg_temp.of_1() returns text language sql as $$
  select string_agg(job_id, ', ' order by job_id)
  from (select job_id from jobs where organisation_id = tests.org(1)
        union all select job_id from jobs_archive where organisation_id = tests.org(1)) t $$;
select is((job_maintain() ->> 'erased')::int, 1, 'of an organisation that came again the former one is erased');
select is(pg_temp.of_1(), 'archived after, new', 'and nothing of its own');
select is_empty('select from jobs_ext.erasures', 'that is all');
delete from organisations where id = tests.org(1);
insert into organisations values (tests.org(1), 'for the third time');
insert into jobs (job_type, job_id, organisation_id) values ('bulk-update', 'third', tests.org(1));
select is(jobs_ext.erase_organisation(tests.org(1)), 0::bigint, 'asked for, all goes');
select is(pg_temp.of_1(), null, 'jobs too');
select ok((job_maintain() ->> 'erased')::int = 0, 'nothing is left for the note of its deletion');
select is_empty('select from jobs_ext.erasures', 'which goes');
delete from organisations where id = tests.org(1);
select job_maintain() \g /dev/null
select tests.in_step();

-- Truncated, all that there were are deleted: what is in the archive of them goes, of others it stays. Also those that
-- an older snapshot does not show; by partitions; and not where it is rolled back.
savepoint truncated;
insert into jobs_archive (id, job_id, organisation_id, finished_at)
select gen_random_uuid(), 'archived', o, now() from unnest(array[tests.org(2), tests.org(3), tests.org(77)]) o;
savepoint before;
truncate organisations cascade;
rollback to before;
select is_empty('select from jobs_ext.erasures', 'TRUNCATE that is rolled back');
truncate organisations cascade;
select set_eq('select organisation from jobs_ext.erasures',
              array[tests.org(2), tests.org(3), '00000000-0000-0000-0000-000000000000'], 'TRUNCATE notes each');
select job_maintain() \g /dev/null
select is_empty($$ select from jobs_archive where organisation_id in (tests.org(2), tests.org(3)) $$,
                'they are erased');
select is((select count(*) from jobs_archive where organisation_id = tests.org(77)), 1::bigint,
          'one that was not there is not');
select is_empty('select from jobs', 'their jobs went by CASCADE');
select tests.in_step();
create table parted (filler int, id uuid primary key) partition by hash (id);
create table parted_0 partition of parted for values with (modulus 2, remainder 0);
create table parted_1 (id uuid not null, filler int);
alter table parted attach partition parted_1 for values with (modulus 2, remainder 1);
insert into parted (id) select tests.org(n) from generate_series(1, 20) n;
select jobs_ext.bind('parted') \g /dev/null
select is_empty($$ select from pg_trigger where tgrelid = 'organisations'::regclass and tgname ~ '^jobs_ext' $$,
                'another table takes the place of the one before');
truncate parted cascade;
select is((select count(*) from jobs_ext.erasures), 20::bigint, 'TRUNCATE of a partitioned table notes each');
rollback to truncated;

-- What stands in the way of one organisation does not keep the others.
insert into organisations values (tests.org(1), 'again'), (tests.org(4), 'four');
update ids set list = pg_temp.fill(1, 10) where n = 1;
insert into ids select n, pg_temp.fill(n, 10) from generate_series(3, 4) n;
create function pg_temp.keep() returns trigger language plpgsql as $$
begin
  if old.job_id like '% of 1' then
    raise exception 'not this one';
  elsif old.job_id like '% of 3' then
    return null;
  end if;
  return old;
end $$;
create trigger keep before delete on jobs_archive for each row execute function pg_temp.keep();
delete from profiles where organisation_id is not null;
delete from organisations where id in (tests.org(1), tests.org(3), tests.org(4));
set client_min_messages = error;
select results_eq($$ select m -> 'erased', m -> 'errors' from job_maintain() m $$,
                  $$ values (to_jsonb(10), to_jsonb(0)) $$,
                  'the one that nothing keeps');
select is(pg_temp.traces(list), '', 'is gone') from ids where n = 4;
select results_eq($$ select m -> 'erased', m -> 'errors' from job_maintain() m $$,
                  $$ values (to_jsonb(0), to_jsonb(1)) $$,
                  'where nothing can be done that is an error');
select set_eq('select organisation from jobs_ext.erasures', array[tests.org(1), tests.org(3)],
              'they are not forgotten');
drop trigger keep on jobs_archive;
select is((job_maintain() ->> 'erased')::int, 20, 'and are erased as soon as that is gone');
set client_min_messages = warning;
select is(pg_temp.traces(list), '', 'both') from ids where n in (1, 3);

-- A table of organisations that lost its id; a trigger of somebody's that is not ours.
select throws_ok($$ create trigger mine after insert on users
                    for each row execute function jobs_ext.organisation_deleted();
                    insert into users values (gen_random_uuid()) $$, '39P01', null, 'our function in another trigger');
select throws_ok('alter table organisations rename column id to number; ' || s, '42804',
                 'table "organisations" has no column "id" of type uuid any more', 'an organisation without id: ' || s)
from unnest('{delete from organisations,truncate organisations cascade}'::text[]) s;
select throws_ok($$ create trigger mine after truncate on users
                    for each statement execute function jobs_ext.organisation_deleted();
                    truncate users cascade $$, '39P01', null, 'nor after TRUNCATE');
select jobs_ext.unbind() \g /dev/null
select is_empty($$ select from pg_trigger where tgfoid = 'jobs_ext.organisation_deleted()'::regprocedure $$, 'unbound');
select tests.in_step();
select * from finish();
rollback;
