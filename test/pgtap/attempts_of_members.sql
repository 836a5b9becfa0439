-- What of job_attempts and job_steps members see: what belongs to the jobs that they see, found by organisation_id,
-- which a row has from its job. Who is a member is in bind.sql; how many rows are read in tap/plans_of_a_million.pl.
\ir setup/begin.psql
begin;
\ir setup/tenants.sql
\ir setup/refuses.sql
select no_plan();
set timezone = 'UTC';
set jobs_ext.now = '2030-01-01 12:00:00+00';

-- Which organisation the rows of a job name, by number: attempts, then steps.
create function pg_temp.named(key text) returns text language sql as $$
  select concat_ws(' | ',
    (select string_agg(concat_ws(' ', a.outcome, right(a.organisation_id::text, 1)), ', ' order by a.attempt)
     from public.job_attempts a where a.job = j.id),
    (select string_agg(concat_ws(' ', s.step_number, right(s.organisation_id::text, 1)), ', ' order by s.step_number)
     from public.job_steps s where s.job = j.id))
  from public.jobs j where j.job_id = key $$;

--
-- Each end of an attempt, and steps, by each path: with what is of the user's on the tables, and without
--
select job_type_set('bulk-update', keep_attempts => 'all', retry_delay_ms => 0, max_retries => 9) \g /dev/null
create function pg_temp.ends(key text, org int) returns text language plpgsql as $$
declare
  way text;
  parent uuid;
  c record;
begin
  perform set_config('jobs_ext.now', '2030-01-01 12:00:00+00', true);
  perform job_enqueue('bulk-update', job_id => key, organisation_id => tests.org(org));
  select j.id into parent from public.jobs j where j.job_id = key;
  perform job_steps_set(parent, '[{"step_name": "a"}, {"step_name": "b"}]');
  perform job_steps_set(parent, '[{"step_name": "a"}, {"step_name": "c"}, {"step_name": "d"}]');
  foreach way in array '{fail,release,reap,await,update}'::text[] loop
    select * into strict c from job_claim('{bulk-update}', lease => '10 minutes');
    case way
      when 'fail' then perform job_fail(parent, c.lease_id, 'no');
      when 'release' then perform job_release(parent, c.lease_id);
      when 'reap' then perform set_config('jobs_ext.now', '2030-01-01 12:30:00+00', true), job_maintain();
      when 'await' then
        perform job_enqueue('merge-menus', job_id => key || ' child', parent_job_id => parent,
                            organisation_id => tests.org(org));
        perform job_await_children(parent, c.lease_id);
        perform job_cancel(job_id => key || ' child');
        perform job_maintain();
      when 'update' then update public.jobs set status = 'completed' where id = parent;
    end case;
  end loop;
  perform set_config('jobs_ext.now', '', true);
  return pg_temp.named(key);
end $$;
create function pg_temp.all_ends(org int) returns text language sql as $$
  select format('failed %1$s, released %1$s, lease_expired %1$s, blocked %1$s, completed %1$s | 1 %1$s, 2 %1$s, 3 %1$s',
                org) $$;
select is(pg_temp.ends('direct', 1), pg_temp.all_ends(1), 'directly');
set local jobs_ext.force_statement_path = on;
select is(pg_temp.ends('by statement', 2), pg_temp.all_ends(2), 'by statement');
set local jobs_ext.force_statement_path = off;
savepoint theirs;
alter table job_attempts add constraint theirs check (organisation_id is not null);
alter table job_steps add constraint theirs check (organisation_id is not null);
select is(pg_temp.ends('with a check', 3), pg_temp.all_ends(3), 'where a constraint of the owner''s counts on it');
rollback to theirs;
alter table job_attempts add mine text default 'x';
alter table job_steps add mine text default 'x';
select is(pg_temp.ends('with a column', 3), pg_temp.all_ends(3), 'beside a column of the owner''s');
rollback to theirs;
select is(pg_temp.ends('direct again', 3), pg_temp.all_ends(3), 'and directly again');
select job_enqueue('merge-menus', job_id => 'plain', organisation_id => tests.org(1)) \g /dev/null
select is((select string_agg(key, ' ' order by key) from jsonb_each(to_jsonb(s))),
          'completed_at decided_by decision description error_message failed job metadata passed processed received '
            || 'result started_at status step_name step_number step_type',
          'what the verbs return is the type job_step, as it was')
from jobs j, job_steps_set(j.id, '[{"step_name": "a"}]') s where j.job_id = 'plain';

--
-- It is that of the job, which only the owner may change
--
savepoint mended;
update jobs set organisation_id = tests.org(2) where job_id = 'direct';
select is(pg_temp.named('direct'), pg_temp.all_ends(2), 'goes over with the job');
rollback to mended;
select is(pg_temp.named('direct'), pg_temp.all_ends(1), 'or not');
alter table job_attempts add constraint theirs check (attempt > 0);
alter table job_steps add constraint theirs check (step_number > 0);
update jobs set organisation_id = tests.org(3) where job_id = 'direct';
select is(pg_temp.named('direct'), pg_temp.all_ends(3), 'where a constraint stands on them, too');
rollback to mended;
-- By a trigger of the owner's that comes after ours, in a verb.
create function pg_temp.move() returns trigger language plpgsql as $$
begin
  new.organisation_id := tests.org(3);
  return new;
end $$;
create trigger zz before update on jobs for each row execute function pg_temp.move();
select job_fail(c.id, c.lease_id, permanent => true) from job_claim('{merge-menus}') c \g /dev/null
select is(pg_temp.named('plain'), 'failed 3 | 1 3', 'the organisation of the row as it was written');
drop trigger zz on jobs;
delete from jobs where job_id in ('plain', 'with a check', 'with a column');

--
-- What members see: by the JWT, by profiles, by functions of each kind
--
create function pg_temp.sees(claims text) returns text language sql as $$
  select concat_ws(' | ', tests.asks(claims, 'select string_agg(distinct j.job_id, '', '') from job_attempts a
                                              left join jobs j on j.id = a.job'),
                   tests.asks(claims, 'select string_agg(distinct j.job_id, '', '') from job_steps s
                                       left join jobs j on j.id = s.job')) $$;
create function pg_temp.claim(org int) returns text language sql as $$
  select format('{"org_id": "%s"}', tests.org(org)) $$;
create function pg_temp.all_see(claims text, name text) returns setof text language sql as $$
  select is(pg_temp.sees(format(claims, tests.org(n), tests.person(n))), format('%1$s | %1$s', v.key),
            format('%s: a member of %s', name, n))
  from (values (1, 'direct'), (2, 'by statement'), (3, 'direct again')) v (n, key) $$;
select pg_temp.all_see('{"org_id": "%1$s"}', 'by the JWT');
select is(pg_temp.sees('{}'), '', 'by the JWT: who is no member');
grant select on profiles to authenticated;
select jobs_ext.bind('organisations') \g /dev/null
select pg_temp.all_see('{"sub": "%2$s"}', 'by profiles');
select is(pg_temp.sees(tests.sub(9)), 'by statement, direct, direct again | by statement, direct, direct again',
          'by profiles: a super admin');
select is(pg_temp.sees(tests.sub(8)), '', 'by profiles: who is no member');
create function org_of(uuid) returns setof uuid language sql stable security definer as $$
  select p.organisation_id from public.profiles p where p.id = $1 $$;
create function is_in(u uuid, o uuid) returns boolean language sql stable security definer as $$
  select exists (select from public.profiles p where p.id = u and p.organisation_id = o) $$;
select jobs_ext.bind(membership => 'org_of') \g /dev/null
select pg_temp.all_see('{"sub": "%2$s"}', 'by a set');
select jobs_ext.bind(membership => 'is_in') \g /dev/null
select pg_temp.all_see('{"sub": "%2$s"}', 'by a question for each organisation that is not readable');
grant select on organisations to authenticated;
select jobs_ext.bind(membership => 'is_in') \g /dev/null
select pg_temp.all_see('{"sub": "%2$s"}', 'by a question');
select jobs_ext.unbind() \g /dev/null
select pg_temp.all_see('{"org_id": "%1$s"}', 'unbound');

--
-- The column opens nothing: the job decides
--
update job_attempts set organisation_id = tests.org(2);
update job_steps set organisation_id = tests.org(2);
select is(pg_temp.sees(pg_temp.claim(2)), 'by statement | by statement', 'a wrong organisation opens nothing to it');
select is(pg_temp.sees(pg_temp.claim(1)), '', 'and hides the row');
update job_attempts set organisation_id = null;
update job_steps set organisation_id = null;
select pg_temp.all_see('{"org_id": "%1$s"}', 'without an organisation, by the job alone');
delete from jobs where job_id = 'direct again';
select is(count(*), 0::bigint, 'a DELETE takes rows without an organisation too')
from job_attempts a where not exists (select from jobs j where j.id = a.job);
-- With our triggers off a job may go over to another organisation. What it left behind nobody sees any more, until its
-- organisation is put right or forgotten.
update job_attempts a set organisation_id = j.organisation_id from jobs j where j.id = a.job;
update job_steps s set organisation_id = j.organisation_id from jobs j where j.id = s.job;
alter table jobs disable trigger user;
update jobs set organisation_id = tests.org(3) where job_id = 'direct';
alter table jobs enable trigger user;
select is(pg_temp.sees(pg_temp.claim(n)), '', 'of a job that went over: organisation ' || n)
from unnest('{1,3}'::int[]) n;
update job_attempts a set organisation_id = null from jobs j where j.id = a.job and j.job_id = 'direct';
update job_steps s set organisation_id = null from jobs j where j.id = s.job and j.job_id = 'direct';
select is(pg_temp.sees(pg_temp.claim(n)), seen, 'once forgotten: organisation ' || n)
from (values (1, ''), (3, 'direct | direct')) v (n, seen);

-- What the owner lets members see of jobs, or keeps from them, holds for what belongs to them.
create policy less on jobs as restrictive for select using (status = 'completed');
select is(pg_temp.sees(pg_temp.claim(3)), 'direct | direct', 'a restrictive policy on jobs lets it through');
update jobs set status = status where false;
alter policy less on jobs using (status <> 'completed');
select is(pg_temp.sees(pg_temp.claim(3)), '', 'or not');
drop policy less on jobs;
create policy more on jobs for select using (job_id = 'by statement');
select is(pg_temp.sees(pg_temp.claim(3)), 'direct | direct', 'a policy that lets more be seen is not known');
select jobs_ext.unbind() \g /dev/null
select is(pg_temp.sees(pg_temp.claim(3)), 'by statement, direct | by statement, direct',
          'until the policies are made anew');
drop policy more on jobs;
create policy more on jobs for insert to authenticated with check (true);
select jobs_ext.unbind() \g /dev/null
select alike(qual, '%organisation_id%', 'one that lets nothing be seen changes nothing: ' || tablename)
from pg_policies where tablename in ('job_attempts', 'job_steps');

--
-- Tables of an older version
--
create function pg_temp.policies() returns text language sql as $$
  select string_agg(concat_ws(' ', y.tablename, y.policyname, y.qual), E'\n' order by y.tablename)
  from pg_policies y where y.tablename in ('job_attempts', 'job_steps') $$;
create temp table now as select pg_temp.policies() as policies;
create temp table columns as
select attrelid::regclass as of, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum) as said
from pg_attribute where attrelid in ('job_attempts'::regclass, 'job_steps'::regclass) and attname = 'organisation_id';
alter table job_attempts drop organisation_id cascade;
alter table job_steps drop organisation_id cascade;
create policy jobs_ext_members_read on job_attempts for select to authenticated
  using (exists (select from jobs j where j.id = job));
create policy jobs_ext_members_read on job_steps for select to authenticated
  using (exists (select from jobs j where j.id = job));
create temp table before as select pg_temp.policies() as policies;
select lives_ok($$ select jobs_ext.unbind() $$, 'policies are made without the column');
select is(pg_temp.policies(), b.policies, 'by the job alone') from before b;
select job_enqueue('merge-menus', job_id => 'late', organisation_id => tests.org(1)) \g /dev/null
select tests.refuses(format('select job_steps_set(%L, ''[{"step_name": "a"}]'')', j.id), '42804',
                     '%"job_steps" was altered%', 'until install() a step is refused')
from jobs j where j.job_id = 'late';
select tests.refuses(format('do $$ declare c record; begin
                               select * into strict c from job_claim(''{merge-menus}'');
                               perform job_fail(c.id, c.lease_id); end $$'), '42804', '%"job_attempts" was altered%',
                     'and a failure');
create function pg_temp.install() returns text language plpgsql as $$
begin
  perform jobs_ext.install();
  return pg_temp.policies();
end $$;
select is(pg_temp.install(), b.policies, 'install() leaves the policies') from before b;
select set_eq($$ select attrelid::regclass, format_type(atttypid, atttypmod), attnotnull,
                        col_description(attrelid, attnum)
                 from pg_attribute
                 where attrelid in ('job_attempts'::regclass, 'job_steps'::regclass) and attname = 'organisation_id' $$,
              'select * from columns', 'and adds the column, as it is in a new table');
select is(count(*), 2::bigint, 'with its index')
from pg_index where indrelid in ('job_attempts'::regclass, 'job_steps'::regclass) and not indisunique;
select ok(count(*) > 0 and count(organisation_id) = 0, 'the rows stay as they are') from job_attempts;
select is(pg_temp.sees(pg_temp.claim(n)), seen, 'and are seen: organisation ' || n)
from (values (1, ''), (2, 'by statement | by statement'), (3, 'direct | direct')) v (n, seen);
select lives_ok($$ select jobs_ext.unbind() $$, 'policies are made anew');
select is(pg_temp.policies(), n.policies, 'by the organisation') from now n;
select is(pg_temp.sees(pg_temp.claim(n)), seen, 'the rows are still seen: organisation ' || n)
from (values (1, ''), (2, 'by statement | by statement'), (3, 'direct | direct')) v (n, seen);
select job_steps_set(j.id, '[{"step_name": "a"}]') from jobs j where j.job_id = 'late' \g /dev/null
select job_fail(c.id, c.lease_id, permanent => true) from job_claim('{merge-menus}') c \g /dev/null
select is(pg_temp.named('late'), 'failed 1 | 1 1', 'new ones have it');
select is(pg_temp.install(), n.policies, 'install() again changes nothing') from now n;
drop index job_attempts_organisation_id_idx;
select is(pg_temp.install(), n.policies, 'nor when the owner dropped the index') from now n;
select hasnt_index('job_attempts', 'job_attempts_organisation_id_idx', 'it stays dropped');

alter table job_steps drop organisation_id cascade;
alter table job_steps add organisation_id text;
select tests.refuses('select jobs_ext.install()', '55000',
                     'column "organisation_id" of "public.job_steps" is there already and is not a uuid',
                     'another column of that name');
select * from finish();
rollback;
