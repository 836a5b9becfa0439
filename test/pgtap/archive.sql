-- What becomes of jobs that have ended: kept, archived with their attempts, or deleted; and the months of the archive.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select no_plan();

set timezone = 'UTC';
-- What it counts that is not zero.
create function tests.maintain() returns text language sql as $$
  select coalesce(string_agg(format('%s %s', c.key, c.value), ', ' order by c.key), '')
  from jsonb_each_text(job_maintain()) c where c.value not in ('0', 'false')
$$;
create function tests.months() returns text language sql as $$
  select coalesce(string_agg(substr(c.relname, 14), ' ' order by c.relname), '')
  from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent = 'public.jobs_archive'::regclass and c.relname ~ '^jobs_archive_[0-9]'
$$;
-- A job that ended as `status` at `ended`, after two attempts that failed where it did not complete at once.
create function tests.end_as(key text, status text, ended timestamptz, job_type text default 'alpha') returns void
language plpgsql as $$
declare
  now constant text := current_setting('jobs_ext.now');
begin
  perform set_config('jobs_ext.now', (ended - interval '1 minute')::text, false);
  perform tests.run(key, job_type);
  if status <> 'completed' then
    perform public.job_fail(tests.id(key), tests.lease(key), 'first', run_at => ended - interval '59 s',
                            error_details => '{"code": 1}');
    perform set_config('jobs_ext.now', (ended - interval '59 s')::text, false);
    perform tests.run_again(key, 'w2');
  end if;
  perform set_config('jobs_ext.now', ended::text, false);
  case status
    when 'completed' then perform public.job_complete(tests.id(key), tests.lease(key), '{"done": true}');
    when 'failed' then perform public.job_fail(tests.id(key), tests.lease(key), 'second', permanent => true);
    when 'cancelled' then perform public.job_cancel(job_id => key, force => true);
    when 'retried' then perform public.job_complete(tests.id(key), tests.lease(key));
  end case;
  perform set_config('jobs_ext.now', now, false);
end $$;

--
-- How long a job is kept
--
set jobs_ext.now = '2030-03-15 12:00+00';
select is(current_setting('jobs_ext.archive_after'), '30d', 'thirty days, unless said otherwise');
select is(current_setting('jobs_ext.archive_keep'), '-1', 'the archive for ever');
select job_type_set('long', keep_completed => '90 days', keep_failed => '1 day'),
       job_type_set('zero', keep_completed => '0', keep_failed => '0'),
       job_type_set('half', keep_completed => '0') \g /dev/null
select tests.end_as(t || ' ' || s, s, '2030-03-15 00:00+00', t)
from unnest('{alpha,long,zero,half}'::text[]) t, unnest('{completed,failed,cancelled,retried}'::text[]) s \g /dev/null
select tests.in_step('ended jobs are noted');
create temp table was as
select j.*, (select jsonb_agg(to_jsonb(a) - '{job,organisation_id}'::text[] order by a.attempt)
             from job_attempts a where a.job = j.id) as tried
from jobs j;

select is(tests.maintain(), 'deleted 6', 'of a type that keeps nothing, all are deleted by the next round');
select is((select string_agg(job_id, ', ' order by job_id)
           from was w where not exists (select from jobs j where j.id = w.id)),
          'half completed, half retried, zero cancelled, zero completed, zero failed, zero retried',
          'those and no other');
select is((select count(*) from jobs_archive), 0::bigint, 'they are not archived');
select is_empty('select * from job_attempts a where not exists (select from jobs j where j.id = a.job)',
                'their attempts went with them');
select tests.in_step('deleted jobs leave nothing');
set jobs_ext.now = '2030-03-15 23:59:59.999999+00';
select is(tests.maintain(), '', 'until the time is over nothing happens');
set jobs_ext.now = '2030-03-16 00:00:00+00';
select is(tests.maintain(), 'archived 2',
          'then those that failed or were cancelled are archived, by the time of their type');
set jobs_ext.now = '2030-04-14 00:00:00+00';
select is(tests.maintain(), 'archived 6', 'and by the general time where the type has none');
select is((select string_agg(job_id, ', ' order by job_id) from jobs),
          'long completed, long retried', 'the others are kept longer');
select results_eq($$ select (jsonb_populate_record(null::job, to_jsonb(a))).* from jobs_archive a order by 1 $$,
                  $$ select (jsonb_populate_record(null::job, to_jsonb(w))).*
                     from was w join jobs_archive a using (id) order by 1 $$,
                  'archived jobs are as they were');
select is((select string_agg(distinct archived_at::text, ', ' order by archived_at::text) from jobs_archive),
          '2030-03-16 00:00:00+00, 2030-04-14 00:00:00+00', 'with the time');
select is((select count(*) from jobs_archive a join was w using (id) where a.attempts is distinct from w.tried),
          0::bigint, 'and with their attempts');
select is(
  attempts,
  '[{"attempt": 1, "worker": "w1", "outcome": "failed", "error_message": "first", "error_details": {"code": 1},
     "started_at": "2030-03-14T23:59:00+00:00", "ended_at": "2030-03-14T23:59:00+00:00"},
    {"attempt": 2, "worker": "w2", "outcome": "failed", "error_message": "second", "error_details": null,
     "started_at": "2030-03-14T23:59:01+00:00", "ended_at": "2030-03-15T00:00:00+00:00"}]'::jsonb,
  'in order, whole')
from jobs_archive where job_id = 'alpha failed';
select is(attempts, null, 'a job that succeeded at once has none') from jobs_archive where job_id = 'alpha completed';
select is(tests.months(),
          (select string_agg(to_char(m, 'YYYY_MM'), ' ' order by m)
           from (select date_trunc('month', now()) + n * interval '1 month' as m
                 from generate_series(0, 2) n
                 union
                 select timestamptz '2030-03-01' + n * interval '1 month'
                 from generate_series(0, 3) n) m (m)), 'months are made ahead: two beside the current one');
select is((select string_agg(distinct tableoid::regclass::text, ', ') from jobs_archive),
          'jobs_ext.jobs_archive_2030_03', 'a job is in the month in which it finished');
select is_empty('select * from job_attempts a where not exists (select from jobs j where j.id = a.job)',
                'job_attempts holds those of jobs alone');
select tests.in_step('archived jobs leave nothing');
select is(tests.maintain(), '', 'another round finds nothing');

-- -1: for ever; zero: archived at once, not deleted; a deleted type is like one without times of its own.
set jobs_ext.archive_after = -1;
select tests.end_as('for ever', 'completed', '2001-01-01+00') \g /dev/null
select is(tests.maintain(), '', 'archive_after = -1: nothing is archived');
set jobs_ext.archive_after = 0;
select is(tests.maintain(), 'archived 1', 'archive_after = 0: at once');
set jobs_ext.archive_after = '1h';
select tests.end_as('of no type', 'completed', '2030-04-13+00', 'gamma');
delete from job_types where job_type = 'gamma';
select is(tests.maintain(), 'archived 1', 'a job whose type is gone');
select job_type_set('gamma') \g /dev/null
reset jobs_ext.archive_after;

--
-- An archived job and the verbs
--
select tests.end_as('k ' || s, s, '2030-02-01+00') from unnest('{completed,failed}'::text[]) s \g /dev/null
select id as done, lease_id as lease from jobs where job_id = 'k completed' \gset
select id as failed from jobs where job_id = 'k failed' \gset
select is(tests.maintain(), 'archived 2', 'two more');
select is((select job_id || ' ' || status from job_get(id => :'done')),
          'k completed completed', 'job_get() finds it by id');
select is((select id from job_get(job_id => 'k failed')), :'failed'::uuid, 'and by job_id');
select tests.refuses(format(v.call, :'done', :'lease'), 'PT409', '%archived%', 'archived', v.call)
from (values
  ('select job_complete(%L, %L)'),
  ('select job_fail(%L, %L)'),
  ('select job_release(%L, %L)'),
  ('select job_heartbeat(%L, %L)'),
  ('select job_next(%L, %L)'),
  ('select job_cancel(id => %L)'),
  ('select job_cancel(job_id => ''k completed'')'),
  ('select job_retry(job_id => ''k failed'')'),
  ('select job_pause(id => %L)'),
  ('select job_resume(id => %L)')) v (call);
select is((select r.sqlstate
           from job_finish_many(jsonb_build_array(jsonb_build_object('id', :'done', 'lease_id', :'lease',
                                                                     'complete', null))) r),
          'PT409', 'job_finish_many() says so');
select is((job_enqueue('alpha', job_id => 'k completed')).created, true, 'its job_id is free again');
select is((select status from job_get(job_id => 'k completed')), 'queued', 'and names the new job');
select job_cancel(job_id => 'k completed') \g /dev/null

--
-- job_retry before the archive comes
--
select tests.end_as('back', 'failed', '2030-02-01+00') \g /dev/null
select job_retry(job_id => 'back') \g /dev/null
select tests.in_step('a job that is retried does not wait for the archive');
select is(tests.maintain(), '', 'it is not archived');
select is(tests.status('back'), 'queued', 'it is queued');
delete from jobs where job_id = 'back';

--
-- Both ways to move: straight, and by statements, for whatever of the user's
--
-- What a round did: its counts, where the jobs are now, and what is left of their attempts.
create function tests.moved(key text) returns text language plpgsql as $$
declare
  which uuid := tests.id(key);
  counts text := tests.maintain();
begin
  return concat_ws('; ', counts, (select 'in jobs' from public.jobs where id = which),
                   (select format('in %s, %s attempts', a.tableoid::regclass,
                                  coalesce(jsonb_array_length(a.attempts), 0))
                    from public.jobs_archive a where id = which),
                   (select 'in job_attempts: ' || count(*)
                    from public.job_attempts a where a.job = which having count(*) > 0));
end $$;
create table noted (what text);
create function note() returns trigger language plpgsql as $$
begin
  insert into public.noted values (concat_ws(' ', tg_when, tg_op, tg_table_name, current_user));
  return coalesce(new, old);
end $$;
create function tests.under(key text, setup text, undo text) returns text language plpgsql as $$
declare
  answer text;
begin
  perform tests.end_as(key, 'failed', '2030-02-03+00');
  execute setup;
  delete from public.noted;
  answer := tests.moved(key);
  answer := concat_ws('; ', answer, (select string_agg(what, ', ' order by what) from public.noted));
  execute undo;
  return answer || case when exists (select tests.out_of_step()) then '; out of step' else '' end;
end $$;
create table items (job uuid, name text);
select is(tests.under(v.key, v.setup, v.undo),
          'archived 1; in jobs_ext.jobs_archive_2030_02, 2 attempts' || coalesce('; ' || v.noted, ''), v.key)
from (values
  ('straight', 'select', 'select', null),
  ('by statements', 'set jobs_ext.force_statement_path = on', 'reset jobs_ext.force_statement_path', null),
  ('a trigger after delete',
   'create trigger note after delete on jobs for each row execute function note()',
   'drop trigger note on jobs',
   'AFTER DELETE jobs ' || current_user),
  ('a trigger before delete',
   'create trigger note before delete on jobs for each row execute function note()',
   'drop trigger note on jobs',
   'BEFORE DELETE jobs ' || current_user),
  ('a statement''s trigger',
   'create trigger note after delete on jobs execute function note()',
   'drop trigger note on jobs',
   'AFTER DELETE jobs ' || current_user),
  ('a trigger on the archive',
   'create trigger note before insert on jobs_archive for each row execute function note()',
   'drop trigger note on jobs_archive',
   'BEFORE INSERT jobs_archive_2030_02 ' || current_user),
  ('a trigger on the partition',
   'create trigger note before insert on jobs_ext.jobs_archive_2030_02 for each row execute function note()',
   'drop trigger note on jobs_ext.jobs_archive_2030_02',
   'BEFORE INSERT jobs_archive_2030_02 ' || current_user),
  ('a trigger on job_attempts',
   'create trigger note before delete on job_attempts for each row execute function note()',
   'drop trigger note on job_attempts',
   format('BEFORE DELETE job_attempts %1$s, BEFORE DELETE job_attempts %1$s', current_user)),
  ('a rule on the archive',
   'create rule more as on insert to jobs_archive do also insert into noted values (''rule'')',
   'drop rule more on jobs_archive',
   'rule'),
  ('a rule on delete',
   'create rule more as on delete to jobs do also insert into noted values (''rule'')',
   'drop rule more on jobs',
   'rule'),
  ('a constraint of the archive',
   'alter table jobs_archive add constraint c check (job_id <> ''x'')',
   'alter table jobs_archive drop constraint c',
   null),
  ('force row security',
   'alter table jobs enable row level security, force row level security; '
   'alter table jobs_archive enable row level security, force row level security',
   'alter table jobs disable row level security, no force row level security; '
   'alter table jobs_archive disable row level security, no force row level security',
   null),
  ('a foreign key that lets go',
   'insert into items select id from jobs where job_id = ''a foreign key that lets go''; '
   'alter table items add constraint f foreign key (job) references jobs on delete set null',
   'alter table items drop constraint f',
   null),
  ('a trigger that is deferred',
   'create constraint trigger note after delete on jobs deferrable initially deferred '
   'for each row execute function note()',
   'drop trigger note on jobs',
   'AFTER DELETE jobs ' || current_user),
  ('not the owner''s time zone',
   'set timezone = ''Pacific/Kiritimati''', 'set timezone = ''UTC''', null)) v (key, setup, undo, noted);
select is(a.attempts -> 0 ->> 'error_message', 'first', a.job_id || ': its attempts are right')
from jobs_archive a where a.job_id in ('by statements', 'a rule on delete');
select results_eq($$ select to_jsonb(a) - array['id', 'job_id', 'lease_id', 'run_at']
                     from jobs_archive a where job_id = 'by statements' $$,
                  $$ select to_jsonb(a) - array['id', 'job_id', 'lease_id', 'run_at']
                     from jobs_archive a where job_id = 'straight' $$,
                  'both ways give the same');
select is((select count(*) from items where job is null), 1::bigint, 'the foreign key let go');

-- Columns of the user's own.
alter table jobs add column mine text, add column only_here int, add column "of two Types" int;
alter table jobs_archive add column "of two Types" text, add column mine text,
  add column stamped timestamptz default '2001-01-01', add column twice int generated always as (retries * 2) stored;
select tests.end_as('mine ' || n, 'failed', '2030-02-03+00') from generate_series(1, 2) n \g /dev/null
update jobs set mine = repeat('x', 100000), only_here = 1, "of two Types" = 2;
select is(tests.maintain(), 'archived 2', 'with columns of the user''s own');
select is(array[length(mine)::text, "of two Types", stamped::text, twice::text],
          '{100000,null,2001-01-01 00:00:00+00,2}',
          'what both tables have travels along, defaults are filled: ' || job_id)
from jobs_archive where job_id like 'mine%';
alter table jobs_archive drop column stamped, drop column twice, drop column "of two Types";
select tests.end_as('mine straight', 'failed', '2030-02-03+00') \g /dev/null
update jobs set mine = repeat('y', 100000) where job_id = 'mine straight';
select is(tests.maintain(), 'archived 1', 'and straight');
select is(mine, repeat('y', 100000), 'it travels along, also when it stands apart from the row')
from jobs_archive where job_id = 'mine straight';
alter table jobs drop column mine, drop column only_here, drop column "of two Types";
alter table jobs_archive drop column mine;

-- In the archive already: restored by hand.
select tests.end_as('twice', 'failed', '2030-02-03+00'), tests.end_as('twice by statement', 'failed', '2030-02-03+00'),
       tests.end_as('beside it', 'failed', '2030-02-03+00')
\g /dev/null
insert into jobs_archive
select (jsonb_populate_record(null::job, to_jsonb(j))).*, '2001-01-01' from jobs j where j.job_id like 'twice%';
select is(tests.maintain(), 'archived 3', 'a job that is in the archive already does not hinder');
select is((select string_agg(archived_at::date::text, ', ' order by job_id)
           from jobs_archive where job_id in ('twice', 'twice by statement', 'beside it')),
          '2030-04-14, 2001-01-01, 2001-01-01', 'it stays there as it is');
select tests.end_as('again', 'failed', '2030-02-03+00') \g /dev/null
insert into jobs_archive
select (jsonb_populate_record(null::job, to_jsonb(j))).*, '2001-01-01' from jobs j where j.job_id = 'again';
set jobs_ext.force_statement_path = on;
select is(tests.maintain(), 'archived 1', 'nor by statements');
reset jobs_ext.force_statement_path;
select is((select count(*) from jobs_archive where job_id = 'again'), 1::bigint, 'it is there once');
select tests.in_step('after all that: in step');

--
-- Months
--
-- A month of which the default partition holds a job stays there; what is older than time is made a month for, too.
insert into jobs_archive (id, finished_at)
values (gen_random_uuid(), '2019-12-31 23:59+00'), (gen_random_uuid(), 'infinity');
select tests.end_as('in default', 'completed', '2019-12-01+00'),
       tests.end_as('in January', 'completed', '2020-01-01+00'),
       tests.end_as('in February', 'completed', '2020-01-31 23:59:59.999999+00') \g /dev/null
set timezone = 'Pacific/Kiritimati'; -- a day ahead: months are those of UTC all the same
select is(tests.maintain(), 'archived 3', 'three months');
set timezone = 'UTC';
select is((select string_agg(tableoid::regclass::text, ', ' order by finished_at)
           from jobs_archive where job_id in ('in default', 'in January', 'in February')),
          'jobs_ext.jobs_archive_default, jobs_ext.jobs_archive_2020_01, jobs_ext.jobs_archive_2020_01',
          'each where it belongs');
-- Inside a transaction block no month is made: what needs one waits.
select tests.end_as('needs one', 'completed', '2024-05-05+00'),
       tests.end_as('needs none', 'completed', '2020-01-02+00')
\g /dev/null
begin;
select is(tests.maintain(), 'archived 1, left 1', 'inside a transaction block');
commit;
select is(tests.maintain(), 'archived 1', 'and outside of it');
select ok(tests.months() ~ '2024_05', 'the month was made');
-- A partition of the user's own serves as well; so does a stranger of our name not.
create table jobs_ext.mine partition of jobs_archive for values from ('2023-01-01+00') to ('2024-01-01+00');
create table jobs_ext.jobs_archive_2022_01 ();
select tests.end_as('in 2023', 'completed', '2023-05-05+00'), tests.end_as('in 2022', 'completed', '2022-01-05+00')
\g /dev/null
select is(tests.maintain(), 'archived 2', 'a partition of the user''s');
select is((select string_agg(tableoid::regclass::text, ', ' order by job_id)
           from jobs_archive where job_id in ('in 2023', 'in 2022')),
          'jobs_ext.jobs_archive_default, jobs_ext.mine', 'takes its jobs; a stranger does not');
-- What a new partition is like.
create role tests_everybody;
alter default privileges grant all on tables to public, tests_everybody;
select tests.end_as('in 2025', 'completed', '2025-05-05+00') \g /dev/null
select is(tests.maintain(), 'archived 1', 'with default privileges that open everything');
alter default privileges revoke all on tables from public, tests_everybody;
select is(array[pg_get_userbyid(c.relowner), c.relacl::text],
          array[pg_get_userbyid(p.relowner), format('{%1$s=arwdDxt/%1$s}', current_user)],
          'a month is the owner''s alone')
from pg_class c, pg_class p
where c.oid = 'jobs_ext.jobs_archive_2025_05'::regclass
  and p.oid = 'jobs_archive'::regclass and current_setting('server_version_num')::int < 170000;
select is_empty($$ select a.grantee::regrole
                   from pg_class c, aclexplode(c.relacl) a
                   where c.oid = 'jobs_ext.jobs_archive_2025_05'::regclass and a.grantee <> c.relowner $$,
                'nobody else''s');
select is(obj_description('jobs_ext.jobs_archive_2025_05'::regclass),
          'The archived jobs that finished in 2025-05 (UTC)', 'and says what it is');

-- Dropping.
set jobs_ext.now = '2030-04-14 00:00:00+00';
set jobs_ext.archive_keep = '30d';
select tests.end_as('old', 'completed', '2025-05-06+00') \g /dev/null
select tests.months() as months \gset
create view dependent as select * from jobs_ext.jobs_archive_2025_05;
set client_min_messages = error; -- it warns
select is(tests.maintain(),
          'archived 1, left 1, partitions_dropped '
          || (select count(*) from unnest(string_to_array(:'months', ' ')) m where m < '2030_03') - 1,
          'months that ended that long ago are dropped, but for one that something depends on');
set client_min_messages = warning;
select is(tests.months() ~ '2025_05', true, 'that one is there');
select is(tests.months() ~ '2024_05|2020_01|2030_02', false, 'the others are not');
select is(tests.months() ~ '2030_03', true, 'a month that ended less long ago stays');
drop view dependent;
select is(tests.maintain(), 'partitions_dropped 1', 'when nothing depends on it, it goes too');
select isnt(to_regclass('jobs_ext.mine'), null, 'a partition of the user''s is not ours to drop');
select isnt(to_regclass('jobs_ext.jobs_archive_2022_01'), null, 'nor is a stranger');
-- Nor one that was made wider, or stands apart.
alter table jobs_archive detach partition jobs_ext.jobs_archive_2030_03;
alter table jobs_archive attach partition jobs_ext.jobs_archive_2030_03
  for values from ('2030-02-01+00') to ('2030-04-01+00');
delete from jobs;
set jobs_ext.now = '2030-06-15 00:00:00+00';
select is(tests.maintain(), 'partitions_dropped 1', 'nor one of other bounds: but for April');
alter table jobs_archive detach partition jobs_ext.jobs_archive_2030_03;
select is(tests.maintain(), '', 'nor one that stands apart');
select isnt(to_regclass('jobs_ext.jobs_archive_2030_03'), null, 'it is there');
reset jobs_ext.archive_keep;

--
-- Many: in pieces, all in one round
--
set jobs_ext.now = '2030-06-15 00:00:00+00';
delete from jobs;
select job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'beta')) from generate_series(1, 1200) i))
\g /dev/null
select count(job_complete(id, lease_id)) from job_claim('{beta}', 1200) \g /dev/null
select tests.end_as('of another type', 'completed', '2030-06-15 00:00+00') \g /dev/null
set jobs_ext.now = '2030-07-15 00:00:00+00';
select is(tests.maintain(), 'archived 1201', 'more than one piece');
select is((select count(*) from jobs), 0::bigint, 'all of them');
select tests.in_step('many: in step');

-- The archive altered so that it can't be used, or gone: the other tasks go on.
select tests.end_as('waits', 'completed', '2030-01-01+00') \g /dev/null
select tests.run('reaped', lease => '1 s') \g /dev/null
set jobs_ext.now = '2030-07-15 00:01:00+00';
alter table jobs_archive drop column attempts;
set client_min_messages = error;
select is(tests.maintain(), 'errors 2, leases_reaped 1, retried 1', 'without a column that is needed');
alter table jobs_archive add column attempts jsonb;
select is(tests.maintain(), 'archived 1', 'with it again');
alter table jobs_archive rename to archive;
select tests.end_as('waits', 'completed', '2030-01-01+00') \g /dev/null
select is(tests.maintain(), 'errors 2', 'without the table');
alter table archive rename to jobs_archive;
select is(tests.maintain(), 'archived 1', 'with it');
set client_min_messages = warning;

-- TRUNCATE.
select tests.end_as('truncated', 'completed', '2030-07-01+00') \g /dev/null
truncate jobs;
select tests.in_step('after TRUNCATE: in step');
select is(tests.maintain(), '', 'there is nothing to do');

-- Who may set how long.
create role tests_archive_operator bypassrls;
select jobs_ext.grant_role('tests_archive_operator', 'operator') \g /dev/null
set role tests_archive_operator;
select throws_ok('set jobs_ext.archive_after = 0', '42501', null, 'archive_after is not an operator''s to set');
select throws_ok('set jobs_ext.archive_keep = 0', '42501', null, 'nor is archive_keep');
reset role;
select lives_ok(format('alter database %I set jobs_ext.archive_after = ''1d''', current_database()),
                'it can be set for a database');

select * from finish();
