-- Every alteration of every column, tried at a moment of a call: what alterations_at_each_moment.pl runs. walk_owner
-- owns the tables and alters them; walk_operator calls, with what grant_role() gives him and no more.
create schema walk;
grant usage, create on schema walk to walk_owner;
grant usage on schema walk to walk_operator;

-- No operator sets the clock.
create function walk.set_clock(now text) returns void language sql security definer as $$
  select set_config('jobs_ext.now', now, true)
$$;

-- What there is to work on. The views and checks that would keep a column from being altered are gone.
create procedure walk.fill() language plpgsql as $$
declare
  doomed record;
begin
  drop view if exists public.jobs_queue_status, public.jobs_failed_summary, public.jobs_metrics cascade;
  for doomed in
    select conrelid::regclass as relation, conname from pg_constraint
    where contype = 'c' and conrelid = any ('{public.jobs, public.job_types, public.job_attempts}'::regclass[])
  loop
    execute format('alter table %s drop constraint %I', doomed.relation, doomed.conname);
  end loop;
  insert into public.jobs (id, job_id, job_type, status, run_at, started_at, finished_at, attempt, lease_id,
    lease_expires_at, worker)
  select id, name, 'import-csv', status, now() - interval '1 hour', case when ran then now() - interval '1 hour' end,
    case when status = 'failed' then now() end, case when ran then 1 else 0 end, case when ran then id end,
    case when ran then now() + case when name = 'lost' then interval '-1 minute' else interval '1 day' end end,
    case when ran then 'w' end
  from (values (1, 'waiting', 'queued'), (2, 'paused', 'paused'), (3, 'running', 'in_progress'),
    (4, 'lost', 'in_progress'), (5, 'failed', 'failed'), (6, 'other', 'queued')) f (n, name, status),
    lateral (select cast('00000000-0000-0000-0000-' || lpad(n::text, 12, '0') as uuid),
                    status in ('in_progress', 'failed'))
      g (id, ran)
  on conflict do nothing;
  insert into public.job_attempts
  values ('00000000-0000-0000-0000-000000000005', 1, 'w', now(), now(), 'failed', 'oops', '{}') on conflict do nothing;
  insert into public.jobs_archive (id, job_id, job_type, status, finished_at)
  values ('00000000-0000-0000-0000-000000000009', 'archived', 'import-csv', 'completed', date_trunc('month', now()))
  on conflict do nothing;
end $$;
call walk.fill();
-- So the lanes are there too.
select job_enqueue('image-upload', job_id => 'uploaded');

-- `opens`: whose opening the call stands for, besides what all open. `late`: what it opens, or reads, after code of
-- the user's may have run in it.
create table walk.call (number serial, name text primary key, statement text, opens text[], late text[]);
insert into walk.call (name, statement, opens, late)
select name,
       replace(replace(replace(statement, '$R', '''00000000-0000-0000-0000-000000000003'''),
                       '$F', '''00000000-0000-0000-0000-000000000005'''),
               '$D', '"00000000-0000-0000-0000-000000000003"'), opens::text[], late::text[]
from (values
  ('enqueue',
   'select job_enqueue(''import-csv'', job_id => ''new'', metadata => ''{"a": 1}'')', '{jobs,job_types}', '{}'),
  ('enqueue a key that is there', 'select job_enqueue(''import-csv'', job_id => ''waiting'')', '{jobs}', '{}'),
  ('enqueue a child', 'select job_enqueue(''import-csv'', parent_job_id => $R)', '{}', '{}'),
  ('enqueue_many',
   'select job_enqueue_many(''[{"job_type": "import-csv"}, {"job_type": "image-upload", "job_id": "many"}]'')',
   '{}',
   '{}'),
  ('claim', 'select job_claim(max_jobs => 3, worker => ''w'')', '{jobs,job_types}', '{jobs,job_types}'),
  ('claim by type', 'select job_claim(''{import-csv, image-upload}'', max_jobs => 3)', '{}', '{}'),
  ('claim by category', 'select job_claim(job_category => ''import'')', '{}', '{}'),
  ('heartbeat', 'select job_heartbeat($R, $R, ''{"done": 1}'', ''1 h'')', '{jobs}', '{}'),
  ('heartbeat_many', 'select job_heartbeat_many(''[{"id": $D, "lease_id": $D}]'')', '{}', '{}'),
  ('complete', 'select job_complete($R, $R, ''{"rows": 1}'')', '{jobs}', '{}'),
  ('fail',
   'select job_fail($R, $R, ''oops'', error_details => ''{"a": 1}'')',
   '{jobs,job_types,job_attempts}',
   '{job_attempts,job_types}'),
  ('fail twice', 'select job_fail($R, $R, ''oops''); select job_fail($R, $R, ''oops'')', '{job_attempts}', '{}'),
  ('release', 'select job_release($R, $R)', '{}', '{}'),
  ('release_worker', 'select job_release_worker(''w'')', '{jobs,job_attempts}', '{job_attempts}'),
  ('next', 'select job_next($R, $R, worker => ''w'')', '{}', '{}'),
  ('finish_many',
   'select job_finish_many(''[{"id": $D, "lease_id": $D, "fail": {"error_message": "x"}}, '
   '{"id": "00000000-0000-0000-0000-00000000000f", "lease_id": $D, "complete": null}]'')',
   '{jobs,job_attempts,jobs_archive}',
   '{job_attempts,job_types}'),
  ('complete an unknown one',
   'select job_complete(''00000000-0000-0000-0000-00000000000f'', $R)', '{jobs_archive}', '{}'),
  ('cancel an archived one', 'select job_cancel(job_id => ''archived'')', '{jobs_archive}', '{}'),
  ('cancel', 'select job_cancel(job_id => ''waiting'')', '{jobs}', '{}'),
  ('cancel by force', 'select job_cancel($R, force => true, reason => ''why'')', '{job_attempts}', '{job_attempts}'),
  ('retry', 'select job_retry(job_id => ''failed'')', '{}', '{}'),
  ('pause', 'select job_pause(job_id => ''waiting'')', '{}', '{}'),
  ('resume', 'select job_resume(job_id => ''paused'')', '{}', '{}'),
  ('get', 'select * from job_get($R)', '{jobs}', '{}'),
  ('get an archived one', 'select * from job_get(job_id => ''archived'')', '{jobs_archive}', '{}'),
  ('wait', 'select * from job_wait($F)', '{jobs}', '{}'),
  ('wait for an archived one', 'select job_wait(job_id => ''archived'')', '{jobs_archive}', '{}'),
  ('list', 'select * from job_list()', '{jobs}', '{}'),
  ('list those that failed', 'select job_list(status => ''failed'', before => ''2099-01-01'')', '{}', '{}'),
  ('list those that run', 'select job_list(status => ''in_progress'')', '{}', '{}'),
  ('jobs_active', 'select * from jobs_active', '{}', '{}'),
  ('jobs_running', 'select * from jobs_running', '{}', '{}'),
  ('jobs_failed', 'select * from jobs_failed', '{}', '{}'),
  ('type_set', 'select job_type_set(''import-csv'', paused => false, lease => ''1 min'')', '{job_types}', '{}'),
  ('type_set of a new one', 'select job_type_set(''brand-new'', description => ''x'')', '{}', '{}'),
  ('schedule', 'select job_schedule(''s'', ''@hourly'', ''import-csv'')', '{}', '{}'),
  ('unschedule', 'select job_unschedule(''s'')', '{}', '{}'),
  ('run_schedule', 'select jobs_ext.run_schedule(''{"name": "s", "job_type": "import-csv"}'')', '{}', '{}'),
  ('jobs_schedules', 'select * from jobs_schedules', '{}', '{}'),
  ('maintain', 'select job_maintain()', '{jobs,job_attempts}', '{job_attempts,job_types}'),
  ('maintain the archive',
   'select walk.set_clock(''2099-01-01''); select job_maintain()',
   '{jobs,job_types,job_attempts,jobs_archive}',
   '{jobs_archive}'),
  ('rebuild_queue', 'select jobs_ext.rebuild_queue()', '{jobs}', '{}'),
  ('insert', 'insert into jobs (job_type) values (''import-csv'')', '{jobs}', '{job_types}'),
  ('update',
   'update jobs set status = ''failed'', error_message = ''x'' where id = $R',
   '{jobs,job_attempts}',
   '{jobs,job_attempts}'),
  ('update a claim',
   'update jobs set status = ''in_progress'', worker = ''w'' where job_id = ''waiting''', '{}', '{}'),
  ('delete', 'delete from jobs where job_id = ''failed''', '{job_attempts}', '{job_attempts}'),
  ('truncate', 'truncate jobs', '{}', '{}'),
  ('insert a type', 'insert into job_types (job_type) values (''another'')', '{}', '{}'),
  ('uuid_v7', 'select jobs_ext.uuid_v7()', '{}', '{}')) c (name, statement, opens, late);
-- The alterations of a table: of a column of it, or of the whole.
create domain walk.uuid as uuid;
create domain walk.text as text;
create domain walk.integer as int check (value is distinct from -1);
create domain walk.jsonb as jsonb;
create domain walk."timestamp with time zone" as timestamptz;
create domain walk.interval as interval;
create domain walk.boolean as boolean;

create view walk.alteration as
  select format('%s.%s: %s', relation, colname, kind) as label, relation, kind,
         kind not in ('not null', type) and not (relation = 'jobs_archive' and kind = 'generated')
    as is_unusable,
    format(
      case kind
        when 'drop' then 'alter table %1$s drop column %2$I cascade'
        when 'rename' then 'alter table %1$s rename column %2$I to renamed'
        when 'integer'
          then 'alter table %1$s alter %2$I drop default, alter %2$I type int using '
          '(''x'' || substr(md5(coalesce(%2$I::text, '''')), 1, 7))::bit(28)::int'
        when 'text' then 'alter table %1$s alter %2$I drop default, alter %2$I type text using %2$I::text'
        when 'jsonb' then 'alter table %1$s alter %2$I drop default, alter %2$I type jsonb using to_jsonb(%2$I)'
        when 'bytea'
          then 'alter table %1$s alter %2$I drop default, alter %2$I type bytea using convert_to(%2$I::text, ''UTF8'')'
        when 'domain' then 'alter table %1$s alter %2$I drop default, alter %2$I type walk.%3$I'
        when 'generated'
          then 'alter table %1$s drop column %2$I cascade, add column %2$I %3$s generated always as (%4$s) stored'
        when 'not null'
          then 'alter table %1$s alter %2$I type %3$s using coalesce(%2$I, %4$s), alter %2$I set not null' end,
      relation,
      colname,
      type,
      case when type = 'uuid' and kind = 'generated' then '''00000000-0000-0000-0000-000000000001''::uuid'
           when type = 'uuid' then 'gen_random_uuid()'
           when type = 'integer' then '1'
           when type = 'jsonb' then '''{}''::jsonb'
           when type = 'boolean' then 'false'
           when type = 'timestamp with time zone' then '''2020-01-01+00''::timestamptz'
           when type = 'interval' then '''1 hour''::interval'
           else '''words''::' || type end) as statement
  from pg_attribute a,
    lateral (select attrelid::regclass::text, attname,
                    replace(format_type(atttypid, null), 'character varying', 'text'))
      c (relation, colname, type),
    unnest('{drop, rename, integer, text, jsonb, bytea, domain, generated, not null}'::text[]) kind
  where attrelid = any ('{jobs, job_types, job_attempts, jobs_archive}'::regclass[])
    and attnum > 0 and not attisdropped
  union all
  select format('%s: %s', relation, kind), relation, kind,
    is_unusable and not (relation = 'jobs_archive' and kind = 'make it a partitioned copy'),
    format(statement, relation, (select attname from pg_attribute where attrelid = relation::regclass and attnum = 1))
  from unnest('{jobs, job_types, job_attempts, jobs_archive}'::text[]) relation,
       (values
         ('add a column', false, 'alter table %1$s add column mine text'),
         ('add one with a default', false, 'alter table %1$s add column mine int not null default 7'),
         ('add one of a domain', false, 'alter table %1$s add column mine walk.integer default 3'),
         ('add a generated one', false, 'alter table %1$s add column mine int generated always as (1) stored'),
         ('add one that must be given',
          false,
          'alter table %1$s add column mine text not null default ''x''; alter table %1$s alter mine drop default'),
         ('drop the primary key', false, 'alter table %1$s drop constraint %1$s_pkey cascade'),
         ('make it a view', true, 'alter table %1$s set schema walk; create view %1$s as select * from walk.%1$s'),
         ('make it a materialized view',
          true, 'alter table %1$s set schema walk; create materialized view %1$s as select * from walk.%1$s'),
         ('make it a foreign table',
          true, 'alter table %1$s set schema walk; create foreign table %1$s (id uuid, job_id text) server walk'),
         ('make it another table',
          true, 'alter table %1$s set schema walk; create table %1$s (id int, job_id bytea, job_type int, job bytea)'),
         ('make it a copy',
          false,
          'alter table %1$s set schema walk; create table %1$s (like walk.%1$s including all); '
          'insert into %1$s select * from walk.%1$s'),
         ('make it a partitioned copy',
          true,
          'alter table %1$s set schema walk; create table %1$s (like walk.%1$s) partition by hash (%2$I); '
          'create table walk.part partition of %1$s for values with (modulus 1, remainder 0)'),
         ('have it inherited', true, 'create table walk.child () inherits (%1$s)'),
         ('take it away', false, 'alter table %1$s set schema walk'),
         ('make it anew', false, 'drop table %1$s cascade; do $do$ begin perform jobs_ext.install(); end $do$'),
         ('a trigger',
          false,
          'create trigger theirs before insert or update or delete on %1$s for each row execute function walk.note()'),
         ('a rule', false, 'create rule theirs as on insert to %1$s do also select 1'),
         ('a rule instead', false, 'create rule theirs as on insert to %1$s do instead nothing'),
         ('a check', false, 'alter table %1$s add constraint theirs check (true) not valid'),
         ('row security',
          false,
          'alter table %1$s enable row level security, force row level security; '
          'create policy theirs on %1$s using (true)'),
         ('an index', false, 'create unique index theirs on %1$s ((1)) where false'),
         ('no triggers', false, 'alter table %1$s disable trigger all'),
         ('a foreign key', false, 'alter table %1$s add column mine text references job_types'),
         ('unlogged', false, 'alter table %1$s set unlogged')) a (kind, is_unusable, statement);
create foreign data wrapper walk;
create server walk foreign data wrapper walk;
grant usage on foreign server walk to walk_owner;
create function walk.note() returns trigger language plpgsql as 'begin return coalesce(new, old); end';

-- What an owner does who puts another table in the place of one: the privileges that it has lost, as 10_privileges.sql
-- has them. Of a table that has kept them nothing is changed, so that nobody hears of a change who has not heard of
-- the alteration.
create procedure walk.grant_again() language plpgsql as $$
declare
  one record;
begin
  for one in
    select t.relation, t.privileges
    from (values
      ('public.jobs', 'select, insert, update, delete, truncate'),
      ('public.job_types', 'select, insert, update'),
      ('public.job_attempts', 'select'),
      ('public.jobs_archive', 'select')) t (relation, privileges)
    where to_regclass(t.relation) is not null
      and not has_table_privilege('walk_operator', to_regclass(t.relation), 'select')
  loop
    execute format('grant %s on %s to walk_operator', one.privileges, one.relation);
  end loop;
end $$;
grant truncate on public.jobs to walk_operator; -- for the plain statement

-- In the middle of a call: what walk.alteration names is done once, by the owner.
create sequence walk.done;
create function walk.alter_now() returns void language plpgsql security definer as $$
declare
  alteration text := current_setting('walk.alteration', true);
begin
  if alteration <> '' then
    perform set_config('walk.alteration', '', true), nextval('walk.done');
    execute alteration;
    call walk.grant_again();
  end if;
end $$;
alter function walk.alter_now() owner to walk_owner;
grant usage on sequence walk.done to walk_owner;
create function walk.in_trigger() returns trigger language plpgsql as $$
begin
  perform walk.alter_now();
  return coalesce(new, old);
end $$;
create function walk.in_index(anything anyelement) returns text language plpgsql immutable as $$
begin
  perform walk.alter_now();
  return 'x';
end $$;

-- What a call that went well leaves is in step, where anybody can tell: not in a table that can't be used.
create procedure walk.look_for_faults(label text) language plpgsql as $$
declare
  faults text;
begin
  begin
    select string_agg(job || ' ' || fault, ', ') into faults from jobs_ext.check();
  exception when sqlstate '42804' or sqlstate '42P01' then null;
  end;
  if faults <> '' then
    raise exception using errcode = 'WALK1', message = faults;
  end if;
end $$;

-- Tries calls in this session, each for itself, and undoes all that it did.
create procedure walk.try(moment text, label text, alteration text, relation text default null) language plpgsql as $$
declare
  one record;
begin
  begin
    if moment = 'before' then
      perform set_config('role', 'walk_owner', true);
      execute alteration;
      call walk.grant_again();
      perform set_config('role', 'none', true);
    end if;
    for one in select * from walk.call c 
      where try.relation is null or try.relation = any (case moment when 'before' then c.opens else c.late end)
      order by c.number loop
      declare
        state text := '00000';
        message text := '';
      begin
        begin
          if moment <> 'before' then
            perform set_config('walk.alteration', alteration, true);
          end if;
          perform set_config('role', 'walk_operator', true);
          execute one.statement;
          call walk.look_for_faults(label);
          raise exception using errcode = 'WALK0';
        exception when others then
          if sqlstate <> 'WALK0' then
            state := sqlstate;
            message := sqlerrm;
          end if;
        end;
        raise info 'walked: % | % | % | % | %', moment, label, one.name, state, message;
      end;
    end loop;
    raise exception using errcode = 'WALK0';
  exception
    when sqlstate 'WALK0' then null;
    when others then
      raise info 'walked: % | % | (alteration) | % | %', moment, label, sqlstate, sqlerrm;
  end;
end $$;

-- While a call waits for the lock: sessions that live on, each with a call, and one that alters. What was altered is
-- then made anew.
create extension dblink schema walk;

create procedure walk.connect(conninfo text) language sql as $$
  select walk.dblink_connect(name, conninfo || format(' application_name=%L options=%L', name,
    '-c role=' || case name when 'alterer' then 'walk_owner' else 'walk_operator' end))
  from (select name from walk.call where opens <> '{}' union all select 'alterer') c
$$;

-- As they are now.
create table walk.table_as_made (relation text, number int, statement text);
do $$
declare
  one text;
begin
  foreach one in array '{jobs, job_types, job_attempts, jobs_archive}'::text[] loop
    execute format('create table walk.like_%1$s (like public.%1$s including all); '
      'create table walk.rows_%1$s as select * from public.%1$s', one);
    insert into walk.table_as_made values
      (one, 1, format('create table public.%1$s (like walk.like_%1$s including all) %2$s', one,
        case one when 'jobs_archive' then 'partition by range (finished_at); '
          'create table jobs_ext.jobs_archive_default partition of public.jobs_archive default' end)),
      (one, 2, format('insert into public.%1$s select * from walk.rows_%1$s', one));
    insert into walk.table_as_made
    select one, 3, pg_get_triggerdef(t.oid)
    from pg_trigger t where t.tgrelid = ('public.' || one)::regclass and not tgisinternal;
  end loop;
end $$;

create procedure walk.make_anew(relation text) language plpgsql as $$
declare
  one record;
begin
  for one in
    select c.oid::regclass::text as relation,
      case c.relkind
        when 'v' then 'view'
        when 'm' then 'materialized view'
        when 'f' then 'foreign table'
        else 'table' end as kind
    from pg_class c where c.relname = any (array[relation, 'child'])
      and c.relnamespace in ('public'::regnamespace, 'walk'::regnamespace)
    order by c.relnamespace = 'walk'::regnamespace
  loop
    execute format('drop %s if exists %s cascade', one.kind, one.relation);
  end loop;
  for one in select t.statement from walk.table_as_made t where t.relation = make_anew.relation order by t.number loop
    execute one.statement;
  end loop;
  for one in
    select c.oid::regclass as relation from pg_class c
    where c.oid in (select relid from pg_partition_tree(('public.' || relation)::regclass))
      or c.oid = ('public.' || relation)::regclass
  loop
    execute format('alter table %s owner to walk_owner', one.relation);
  end loop;
  call walk.grant_again();
end $$;

-- Returns what each of the calls that open the table came to.
create procedure walk.try_waiting(label text, alteration text, relation text) language plpgsql as $$
declare
  one record;
  state text;
  message text;
  until constant timestamptz := clock_timestamp() + interval '1 second';
begin
  begin
    perform walk.dblink_exec('alterer', 'begin'), walk.dblink_exec('alterer', alteration),
      walk.dblink_exec('alterer', 'call walk.grant_again()');
  exception when others then
    raise info 'walked: waiting | % | (alteration) | % | %', label, sqlstate, sqlerrm;
    perform walk.dblink_exec('alterer', 'rollback');
    return;
  end;
  for one in select * from walk.call c where relation = any (c.opens) order by c.number loop
    perform walk.dblink_send_query(
      one.name,
      format('do $walk$ begin execute %L; call walk.look_for_faults(%L); '
             'raise exception using errcode = ''WALK0''; end $walk$', one.statement, label));
  end loop;
  -- Those that have no need of the table are through, the others stand still.
  while clock_timestamp() < until
    and exists (select from walk.call c
                where case
                        when relation = any (c.opens) then walk.dblink_is_busy(c.name) = 1
                          and not exists (select from pg_stat_activity a
                                          where a.application_name = c.name and a.wait_event_type = 'Lock') end)
  loop
    perform pg_sleep(0.001), pg_stat_clear_snapshot();
  end loop;
  perform walk.dblink_exec('alterer', 'commit');
  for one in select * from walk.call c where relation = any (c.opens) order by c.number loop
    begin
      perform from walk.dblink_get_result(one.name) r (x text);
    exception when others then
      state := case sqlstate when 'WALK0' then '00000' else sqlstate end;
      message := sqlerrm;
    end;
    perform from walk.dblink_get_result(one.name) r (x text); -- says that there is no more
    raise info 'walked: waiting | % | % | % | %', label, one.name, state, message;
  end loop;
end $$;
