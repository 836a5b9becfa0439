-- The direct path (C on the tables) and the statement path (SQL as the caller) mean the same: the same random lives of
-- a queue, by all verbs and by SQL of the client's own, in transactions and savepoints that are rolled back or not,
-- give the same answers, errors and rows on either; and the private tables always hold what the rows of jobs say.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/play.sql
select plan(58);
set timezone = 'UTC';

--
-- Which path a call takes: on the statement path our trigger fires
--
set track_functions = 'all';
create function tests.fired(call text) returns bigint language plpgsql as $$
declare
  before constant bigint := coalesce(pg_stat_get_xact_function_calls('jobs_ext.jobs_after_row()'::regprocedure), 0);
begin
  execute call;
  return coalesce(pg_stat_get_xact_function_calls('jobs_ext.jobs_after_row()'::regprocedure), 0) - before;
end $$;

-- How often it fires for each: enqueue with a key and without, claim, heartbeat, fail, claim, complete, cancel.
create function tests.path(role name default null) returns text language plpgsql as $$
declare
  fired bigint[];
  h record;
begin
  perform set_config('jobs_ext.now', '2030-01-01 00:00:00+00', true), set_config('role', coalesce(role, 'none'), true);
  fired := array[tests.fired(
                   'select job_enqueue(''image-upload'', job_id => ''path'', priority => 9, retry_delay_ms => 0)'),
                 tests.fired('select job_enqueue(''merge-menus'')')];
  perform set_config('role', 'none', true);
  fired := fired || tests.fired('select job_claim(''{image-upload}'')');
  select j.id, j.lease_id into h from public.jobs j where j.job_id = 'path';
  perform set_config('role', coalesce(role, 'none'), true);
  fired := fired || tests.fired(format('select job_heartbeat(%L, %L, ''1'')', h.id, h.lease_id))
                 || tests.fired(format('select job_fail(%L, %L)', h.id, h.lease_id));
  perform set_config('role', 'none', true);
  fired := fired || tests.fired('select job_claim(''{image-upload}'')');
  select j.id, j.lease_id into h from public.jobs j where j.job_id = 'path';
  perform set_config('role', coalesce(role, 'none'), true);
  fired := fired || tests.fired(format('select job_complete(%L, %L)', h.id, h.lease_id))
                 || tests.fired(format('select job_cancel(j.id) from jobs j where job_type = ''merge-menus'''));
  perform set_config('role', 'none', true);
  delete from public.jobs where job_type in ('image-upload', 'merge-menus');
  return array_to_string(fired, ' ');
end $$;

--
-- By the setting, five lives
--
begin;
select is(tests.path(), '0 0 0 0 0 0 0 0', 'direct: no verb goes through SQL');
set local jobs_ext.force_statement_path = on;
select is(tests.path(), '1 1 1 1 1 1 1 1', 'jobs_ext.force_statement_path: every verb goes through SQL');
rollback;

call tests.play('direct', 1, 450);
call tests.play('direct', 2, 450);
call tests.play('direct', 3, 450);
call tests.play('direct', 4, 450);
call tests.play('direct', 5, 450);
set jobs_ext.force_statement_path = on;
call tests.play('setting', 1, 450);
call tests.play('setting', 2, 450);
call tests.play('setting', 3, 450);
call tests.play('setting', 4, 450);
call tests.play('setting', 5, 450);
reset jobs_ext.force_statement_path;
select is(tests.parting('direct', 'setting', seed), null, format('seed %s: both paths give the same', seed))
from generate_series(1, 5) seed;
-- The direct path gives the same as itself: nothing random is left in what is compared.
call tests.play('direct again', 1, 450);
select is(tests.parting('direct', 'direct again', 1), null, 'seed 1: a life can be repeated');
-- And a difference is seen: a trigger that makes one job in fifty more urgent.
create function tests.meddles() returns trigger language plpgsql as $$
begin
  if new.status = 'pending' and tests.number(new) % 50 = 7 and new.priority < 10 then
    new.priority := new.priority + 1;
  end if;
  return new;
end $$;
create trigger z_user before insert on jobs for each row execute function tests.meddles();
call tests.play('meddled with', 1, 450);
drop trigger z_user on jobs;
select isnt(tests.parting('direct', 'meddled with', 1), null, 'seed 1: a difference would be seen');

--
-- By something of the user's on the table, another life each
--
call tests.play('direct', 6, 300);

create function tests.passes() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger b_user before insert or update on jobs for each row execute function tests.passes();
create trigger z_user after insert or update on jobs for each row execute function tests.passes();
begin;
select is(tests.path(), '1 1 1 1 1 1 1 1', 'row triggers: every verb goes through SQL');
rollback;
call tests.play('row triggers', 6, 300);
drop trigger b_user on jobs;
drop trigger z_user on jobs;

create trigger a_user before insert or update on jobs for each statement execute function tests.passes();
create trigger z_user after insert or update on jobs for each statement execute function tests.passes();
begin;
select is(tests.path(), '1 1 1 1 1 1 1 1', 'statement triggers: every verb goes through SQL');
rollback;
call tests.play('statement triggers', 6, 300);
drop trigger a_user on jobs;
drop trigger z_user on jobs;

create trigger a_user after update of metadata on jobs
  for each row when (old.metadata is distinct from new.metadata) execute function tests.passes();
call tests.play('a trigger on one column', 6, 300);
drop trigger a_user on jobs;

create table tests.audit (job uuid);
create rule audit as on delete to jobs do also insert into tests.audit values (old.id);
begin;
select is(tests.path(), '1 1 1 1 1 1 1 1', 'a rule: every verb goes through SQL');
rollback;
call tests.play('a rule', 6, 300);
delete from jobs;
select isnt_empty('table tests.audit', 'a rule: it took effect');
drop rule audit on jobs;

alter table jobs add constraint small_attempts check (attempt < 1000);
begin;
select is(tests.path(), '1 1 1 1 1 1 1 1', 'a check: every verb goes through SQL');
rollback;
call tests.play('a check', 6, 300);
alter table jobs drop constraint small_attempts;

create table tests.organisations (id uuid primary key);
insert into tests.organisations values ('00000000-0000-0000-0000-000000000000');
alter table jobs add foreign key (organisation_id) references tests.organisations;
begin;
select is(tests.path(), '0 0 0 0 0 0 0 0', 'a foreign key: no verb goes through SQL');
rollback;
call tests.play('a foreign key', 6, 300);
alter table jobs alter constraint jobs_organisation_id_fkey deferrable initially deferred;
begin;
select is(tests.path(), '1 1 1 1 1 1 1 1', 'a deferrable foreign key: every verb goes through SQL');
rollback;
call tests.play('a deferrable foreign key', 6, 300);
alter table jobs drop constraint jobs_organisation_id_fkey;

alter table jobs add unique (restaurant_id, id) deferrable initially deferred;
begin;
select is(tests.path(), '1 1 1 1 1 1 1 1', 'a deferred unique constraint: every verb goes through SQL');
rollback;
call tests.play('a deferred constraint', 6, 300);
alter table jobs drop constraint jobs_restaurant_id_id_key;

alter table jobs add column age_group int generated always as (priority / 2) stored;
begin;
select is(tests.path(), '1 1 1 1 1 1 1 1', 'a generated column: every verb goes through SQL');
rollback;
call tests.play('a generated column', 6, 300);
alter table jobs drop column age_group;

alter table jobs add column note text not null default 'none';
begin;
select is(tests.path(), '1 1 0 0 0 0 0 0', 'a column with a default: what inserts goes through SQL');
rollback;
call tests.play('a default', 6, 300);
alter table jobs drop column note;
begin;
select is(tests.path(), '0 0 0 0 0 0 0 0', 'a column that was dropped: nothing goes through SQL any more');
rollback;
call tests.play('a dropped column', 6, 300);

-- Under row security whoever may not claim does everything else.
do $$
begin
  if to_regrole('tests_secured') is null then
    create role tests_secured;
  end if;
  perform jobs_ext.grant_role('tests_secured', 'operator');
end $$;
alter table jobs enable row level security;
create policy everything on jobs to tests_secured using (true) with check (true);
begin;
select is(tests.path('tests_secured'),
          '1 1 0 1 1 0 1 1', 'row security: the verbs of whom it applies to go through SQL');
rollback;
-- A tenant's job does not start in the past, where others may (tenants.sql): compared without such times.
set tests.nothing_past = on;
call tests.play('row security', 6, 300, 'tests_secured');
drop policy everything on jobs;
alter table jobs disable row level security;
call tests.play('nothing past', 6, 300);
reset tests.nothing_past;

select is(tests.parting('direct', way, 6), null, way || ': gives the same as the direct path')
from (select distinct way from tests.log
      where seed = 6 and way not in ('direct', 'row security', 'nothing past') order by way) w;
select is(tests.parting('nothing past', 'row security', 6), null, 'row security: gives the same as the direct path');

--
-- Nothing untoward, and not for lack of calls
--
select is(
  (select string_agg(t.what, E'\n') from (select what from tests.trouble t where t.way = w.way limit 10) t),
  null,
  w.way || ': the private tables always in step, every backoff within its bounds, no error but those of the contract')
from (select distinct way from tests.log order by way) w;

create temp table made as
select (regexp_match(l.what, '(?:from |^\d+: )(job_\w+|jobs_\w+(?:\.\w+)?|insert|update|delete|truncate)'))[1] as verb,
       l.what ~ '  error: ' as refused,
       l.what ~ '  wrote: ' as wrote, (regexp_match(l.what, '  error: (\S+)'))[1] as state
from tests.log l where l.way = 'direct' and l.what ~ '^\d+: ';
select cmp_ok((select count(*) from made), '>=', 2250::bigint, 'the lives had enough calls');
select is(array(select v
                from unnest('{job_enqueue, job_enqueue_many, job_claim, job_heartbeat, job_heartbeat_many,
                              job_complete, job_fail, job_release, job_await_children, job_next, job_finish_many,
                              job_release_worker,
                              job_cancel, job_retry, job_pause, job_resume, job_maintain,
                              insert, update}'::text[]) v
                where (select count(*) from made m where m.verb = v and m.wrote) < 5),
          '{}', 'each verb took effect at least five times');
select is(array(select v
                from unnest('{PT404, PT409, 22023}'::text[]) v
                where (select count(*) from made m where m.state = v) < 10),
          '{}', 'each error was met at least ten times');
select cmp_ok((select count(*) from tests.log where way = 'direct' and what ~ ('^' || k)),
              '>=', 100::bigint, k || ': at least a hundred times')
from unnest('{savepoint, release savepoint, rollback to savepoint, commit, rollback:}'::text[]) k;

select * from finish();
