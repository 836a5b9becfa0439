-- Jobs of the seed's old tables: who may import them, from what, and what a single row becomes. test/tap/migration.pl
-- has the whole way, with many.
\ir setup/begin.psql
begin;
\ir setup/refuses.sql
select no_plan();

create schema "o'ld ""1""";
create table "o'ld ""1"""."jobs %s $1" (
  id uuid primary key, job_id varchar(100) not null, restaurant_id uuid, platform_id uuid, url text not null,
  job_type varchar(50) not null, status varchar(50) not null default 'pending', progress jsonb, config jsonb,
  error text, started_at timestamptz, completed_at timestamptz, created_at timestamptz default now(),
  updated_at timestamptz default now(), organisation_id uuid);
create function pg_temp.old(job_type text, status text, error text default null) returns uuid language sql as $$
  insert into "o'ld ""1"""."jobs %s $1" (id, job_id, url, job_type, status, error)
  values (gen_random_uuid(), 'o''ld "' || gen_random_uuid(), 'u', job_type, status, error) returning id $$;
create function pg_temp.import(more text default '') returns text language plpgsql as $$
declare
  said text;
begin
  execute format('select string_agg(concat_ws('' '', i.source_status, i.status, i.count, i.remark), '', '')
                  from jobs_ext.import_extraction_jobs(%L, dry_run => false%s) i', '"o''ld ""1"""."jobs %s $1"', more)
    into said;
  return said;
end $$;

-- Names, hostile ones too.
select is(pg_temp.import(), null, 'an empty table of a hostile name has nothing to say');
select pg_temp.old('full_menu', 'completed') as menu, pg_temp.old('bulk_update', 'paused') as bulk,
       pg_temp.old('import-csv', 'cancelled') as csv, pg_temp.old(''') or true --', 'completed') as odd \gset
select alike(pg_temp.import(), '%refused: job type "'') or true --" is not registered%', 'a hostile type is quoted');
select is((select string_agg(j.job_type || ' ' || j.status, ', ' order by j.job_type) from jobs j
           where j.id in (:'menu', :'bulk', :'csv', :'odd')),
          'bulk-update paused, extract-menu completed, import-csv cancelled',
          'types have dashes; full_menu is extract-menu');
select is(pg_temp.import(', types => jsonb_build_object($$'') or true --$$, $$merge-menus$$)'),
          'cancelled cancelled 1 there already, completed completed 1 new, completed completed 1 there already, '
          'paused paused 1 there already', 'types names another one');
select is((select j.metadata #>> '{legacy,table}' from jobs j where j.id = :'menu'), '"o''ld ""1"""."jobs %s $1"',
          'a copy says of which table it is');
select is((select j.metadata #>> '{legacy,job_type}' from jobs j where j.id = :'odd'), ''') or true --',
          '… and of which type');

-- What it lacks.
select results_eq(
  format('select completed_at = finished_at, started_at = created_at, attempt, organisation_id
          from jobs where id = %L', :'menu'),
  $$values (true, true, 1, '00000000-0000-0000-0000-000000000000'::uuid)$$,
  'a completed row without times has them now');
select ok((select cancelled_at is not null and finished_at = cancelled_at from jobs where id = :'csv'),
          'so has a cancelled one');
select pg_temp.old('import-csv', 'failed', repeat('€', 30000)) as long \gset
select alike(pg_temp.import(), '%failed failed 1 new%', 'a failed one without a start is taken');
select ok((select started_at is not null and octet_length(error_message) <= 65536 and error_message like '% … (cut)'
           from jobs where id = :'long'), '… and its message is cut where it is too long, which it says');

-- In progress.
select pg_temp.old('import-csv', 'in_progress') as running \gset
select alike(pg_temp.import(), '%in_progress in_progress 1 in progress: the old worker has it%',
             'left out without a lease');
select alike(pg_temp.import(', lease => $$1 hour$$'), '%in_progress in_progress 1 new%', 'taken with one');
select results_eq(format('select worker, lease_expires_at - now() between $$59 min$$ and $$61 min$$
                          from jobs where id = %L', :'running'), $$values ('extraction_jobs', true)$$,
                  'held by a worker of that name');
select is(job_release_worker('extraction_jobs'), 1, 'who can be released');
update "o'ld ""1"""."jobs %s $1" set status = 'completed' where id = :'running';
select alike(pg_temp.import(), '%there already, and went on here%', 'from then on the job is ours');

-- A type that keeps nothing would have its jobs imported again and again.
select job_type_set('forgetful', keep_completed => '0') \g /dev/null
select pg_temp.old('forgetful', 'completed') as forgotten \gset
select alike(pg_temp.import(), '%refused: job type "forgetful" keeps no job that has ended%',
             'a type that keeps none is said');

-- Without an id of a job that is there.
insert into jobs (id, job_id, job_type) values (:'forgotten', 'other', 'import-csv');
select alike(pg_temp.import(), '%refused: another job has its id%', 'an id that another job has');

-- What the seed has not is kept, whatever its type: whose casts are not called.
create type pg_temp.theirs as (n integer);
create function pg_temp.as_json(pg_temp.theirs) returns json language plpgsql as
$$ begin raise exception 'a cast of theirs is called'; end $$;
create cast (pg_temp.theirs as json) with function pg_temp.as_json(pg_temp.theirs);
create function pg_temp.as_text(pg_temp.theirs) returns text language plpgsql as
$$ begin raise exception 'a cast of theirs is called'; end $$;
create cast (pg_temp.theirs as text) with function pg_temp.as_text(pg_temp.theirs);
select pg_temp.old('import-csv', 'completed', repeat('x', 70000)) as more \gset
alter table "o'ld ""1"""."jobs %s $1"
  add "mine %s" jsonb default '{"a": null}', add theirs pg_temp.theirs default row (7);
select is(pg_temp.import(format(', ids => array[%L::uuid]', :'more')), 'completed completed 1 new',
          'a table with columns of its own');
select is((select j.metadata #> '{legacy,more}' from jobs j where j.id = :'more'),
          '{"mine %s": {"a": null}, "theirs": "(7)"}'::jsonb, '… which are kept');
select is((select j.metadata #>> '{legacy,error}' from jobs j where j.id = :'more'), repeat('x', 70000),
          '… and so is an error that is too long for a job');
select is(pg_temp.import(format(', ids => array[%L::uuid]', :'more')), 'completed completed 1 there already',
          'once more, nothing has changed');
update "o'ld ""1"""."jobs %s $1" set theirs = row (8) where id = :'more';
select is(pg_temp.import(format(', ids => array[%L::uuid]', :'more')), 'completed completed 1 changed',
          '… until one of them does');

-- A row that is deleted takes its copy along, wherever that is.
select pg_temp.old('import-csv', 'completed') as gone, pg_temp.old('import-csv', 'failed') as gone_too \gset
update "o'ld ""1"""."jobs %s $1" set completed_at = '2025-01-01' where id = :'gone';
select pg_temp.import() \g /dev/null
-- By hand, since upkeep leaves alone what was inserted by the transaction that it is in.
insert into jobs_archive select j.* from jobs j where j.id = :'gone';
delete from jobs where id = :'gone';
delete from "o'ld ""1"""."jobs %s $1" where id in (:'gone', :'gone_too');
select is(pg_temp.import(format(', ids => array[%L, %L]::uuid[]', :'gone', :'gone_too')),
          'completed 1 deleted: its row is gone, failed 1 deleted: its row is gone', 'their rows are deleted');
select is_empty(format('select from jobs j where j.id in (%1$L, %2$L)
                        union all select from jobs_archive a where a.id in (%1$L, %2$L)', :'gone', :'gone_too'),
                '… and they with them');

-- Rows that can't be jobs are left out, and no other one with them.
alter table "o'ld ""1"""."jobs %s $1" drop theirs, drop "mine %s", alter job_id type text, alter job_id drop not null;
insert into "o'ld ""1"""."jobs %s $1" (id, job_id, url, job_type)
values (gen_random_uuid(), repeat('x', 101), 'u', 'import-csv'), (gen_random_uuid(), null, 'u', 'import-csv'),
       (gen_random_uuid(), '', 'u', 'import-csv'), (gen_random_uuid(), repeat('x', 100), 'u', 'import-csv');
select matches(pg_temp.import(), 'pending pending 1 new, pending pending 2 refused: it has no job_id.*, '
                                 'pending pending 1 refused: its job_id is longer than 100 ', 'a job_id that is none');

-- Call by call: each looks at its part of the table.
create temp table calls (call serial, said text, up_to uuid);
create function pg_temp.walk() returns void language plpgsql as $$
declare
  done uuid;
begin
  for n in 1..20 loop
    insert into calls (said, up_to)
    select string_agg(i.count || ' ' || left(i.remark, 7), ', '), min(i.up_to::text)::uuid
    from jobs_ext.import_extraction_jobs('pg_temp.many', dry_run => false, max_rows => 3, after => done) i
    returning up_to into done;
    exit when done is null;
  end loop;
end $$;
create table pg_temp.many (like "o'ld ""1"""."jobs %s $1" including all);
insert into many (id, job_id, url, job_type, status)
select format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid, 'many ' || n, 'u',
       case when n in (2, 3) then 'telepathy' else 'import-csv' end, 'paused'
from generate_series(1, 10) n;
select pg_temp.walk() \g /dev/null
select is(array_agg(c.said || coalesce(' to ' || right(c.up_to::text, 2), '') order by c.call), 
          '{"1 left fo, 3 new, 2 refused to 05","3 new to 08","2 new"}', 'batches')
from calls c;
truncate calls restart identity;
update many set url = 'v' where job_id = 'many 9';
select pg_temp.walk() \g /dev/null
select is(array_agg(c.said || coalesce(' to ' || right(c.up_to::text, 2), '') order by c.call),
          '{"1 changed, 2 refused, 7 there a"}',
          '… and again, for what has changed')
from calls c;
select tests.refuses(format('select jobs_ext.import_extraction_jobs(''pg_temp.many'', after => %L%s)', :'more', c.more),
                     '22023', 'after is for an import of rows that are not named by ids, not for a dry run', null,
                     'after' || c.more)
from (values (''), (', dry_run => false, ids => ''{}''')) c (more);

-- A row that a foreign key of jobs does not take is left out, and keeps no other one out.
create table public.tenants (id uuid primary key);
create schema hidden;
create table hidden.members (id uuid primary key);
select gen_random_uuid() as tenant \gset
insert into tenants values (:'tenant');
create table pg_temp.bound (like "o'ld ""1"""."jobs %s $1" including all);
select set_config('tests.bound', 'select string_agg(concat_ws('' '', i.status, i.count, i.remark), '', '')
  from jobs_ext.import_extraction_jobs(''pg_temp.bound'', dry_run => %L, lease => ''1 day''%s) i', false) \g /dev/null
create function pg_temp.bound(dry_run boolean, also text default '') returns text language plpgsql as $$
declare
  said text;
begin
  execute format(current_setting('tests.bound'), dry_run, also) into said;
  return regexp_replace(said, ', e\.g\. [-0-9a-f]{36}', '', 'g');
end $$;
alter table jobs add foreign key (organisation_id) references tenants not valid,
                 add constraint of_members foreign key (restaurant_id) references hidden.members not valid;
insert into bound (id, job_id, url, job_type, status, organisation_id)
values (gen_random_uuid(), 'of nobody', 'u', 'import-csv', 'paused', null),
       (gen_random_uuid(), 'of a stranger', 'u', 'import-csv', 'paused', gen_random_uuid()),
       (gen_random_uuid(), 'of a tenant', 'u', 'import-csv', 'paused', :'tenant');
select set_config('tests.refused', 'paused 1 refused: it has no organisation, and public.tenants has no row '
  '00000000-0000-0000-0000-000000000000, paused 1 refused: public.tenants has no row for its organisation_id', false)
\g /dev/null
select is(pg_temp.bound(true), 'paused 1 new, ' || current_setting('tests.refused'),
          'the dry run says what a foreign key does not take');
select is(pg_temp.bound(false), 'paused 1 new, ' || current_setting('tests.refused'), '… and the others come');
select is(pg_temp.bound(false), current_setting('tests.refused') || ', paused 1 there already', '… once');
update bound set organisation_id = gen_random_uuid() where job_id = 'of a tenant';
select is(pg_temp.bound(false), replace(current_setting('tests.refused'), 'paused 1 refused: public.tenants',
                                        'paused 2 refused: public.tenants'), 'a row that is no longer taken');
select is((select j.organisation_id from jobs j where j.job_id = 'of a tenant'), :'tenant', '… keeps its copy');

-- The trigger of an old table never fails for it, whoever's word it is.
create function pg_temp.mirror() returns trigger language plpgsql as $$
begin
  perform jobs_ext.import_extraction_jobs('pg_temp.bound', dry_run => false, ids => array[new.id]);
  return null;
end $$;
create trigger mirror after insert on bound for each row execute function pg_temp.mirror();
insert into bound (id, job_id, url, job_type, status)
values (gen_random_uuid(), 'mirrored', 'u', 'import-csv', 'paused');
select is_empty($$select from jobs where job_id = 'mirrored'$$,
                'the old application goes on inserting what jobs does not take');
create function pg_temp.stray() returns trigger language plpgsql as $$
begin
  new.restaurant_id := gen_random_uuid();
  return new;
end $$;
create trigger stray before insert on jobs for each row when (new.job_id like 'of a %')
execute function pg_temp.stray();
alter table bound disable trigger mirror;
insert into tenants values ('00000000-0000-0000-0000-000000000000');
update bound set organisation_id = :'tenant', url = 'v' where job_id like 'of a %';
select is(pg_temp.bound(false), 'paused 2 new, paused 2 refused: foreign key "of_members" does not take it',
          'what only the insert knows is refused alone');
select is(array_agg(j.job_id || ' ' || coalesce(right(j.restaurant_id::text, 0), '-') order by j.job_id),
          '{mirrored -,of a tenant -,of nobody -}', '… and a copy stays as it was')
from jobs j where j.job_id like 'of %' or j.job_id = 'mirrored';
drop trigger stray on jobs;
select is(pg_temp.bound(false), 'paused 1 changed, paused 1 new, paused 2 there already', '… until it is taken');
alter table jobs drop constraint of_members, drop constraint jobs_organisation_id_fkey;

-- Steps: rows of job_steps where that is, members of the metadata else.
create table pg_temp.leads (
  id uuid primary key, name text, platform text, country text, city text, city_code text, region_code text,
  cuisine text, leads_limit integer, page_offset integer, initial_url text, status text, current_step integer,
  total_steps integer, leads_extracted integer, leads_passed integer, leads_failed integer, organisation_id uuid,
  created_by uuid, started_at timestamptz, completed_at timestamptz, cancelled_at timestamptz,
  created_at timestamptz default now(), updated_at timestamptz default now(), metadata jsonb);
create table pg_temp.lead_steps (
  id uuid default gen_random_uuid(), job_id uuid, step_number integer, step_name text, step_description text,
  step_type text default 'automatic', status text, target_url_template text, leads_received integer default 0,
  leads_processed integer default 0, leads_passed integer default 0, leads_failed integer default 0,
  started_at timestamptz, completed_at timestamptz, created_at timestamptz default now(),
  updated_at timestamptz default now(), metadata jsonb default '{}', error_message text);
select job_type_set('lead-scrape', paused => true) \g /dev/null
insert into leads (id, name, status) values (gen_random_uuid(), 'waits for a person', 'in_progress')
returning id as lead \gset
insert into lead_steps (job_id, step_number, step_name, step_type, status)
values (:'lead', 1, 'search', 'automatic', 'completed'), (:'lead', 2, 'choose', 'action_required', 'action_required');
select is((select concat_ws(' ', i.source_status, i.status, i.count, i.remark)
           from jobs_ext.import_lead_scrape_jobs('pg_temp.leads', 'pg_temp.lead_steps', dry_run => false) i),
          'in_progress paused 1 new', 'who waits for a person is paused, and needs no lease');
create table if not exists public.job_steps (
  job uuid, step_number integer, step_name text, description text, step_type text, status text, received integer,
  processed integer, passed integer, failed integer, error_message text, metadata jsonb, started_at timestamptz,
  completed_at timestamptz);
update leads set status = 'failed' where id = :'lead';
update lead_steps set status = 'failed', error_message = 'no choice' where job_id = :'lead' and step_number = 2;
select is((select concat_ws(' ', i.source_status, i.status, i.count, i.remark)
           from jobs_ext.import_lead_scrape_jobs('pg_temp.leads', 'pg_temp.lead_steps', dry_run => false) i),
          'failed failed 1 changed', 'a copy whose steps have changed is replaced');
select is((select j.error_message from jobs j where j.id = :'lead'), 'no choice', '… with the error of its step');
select results_eq(
  format('select step_number, step_name, step_type::text, status::text, completed_at is not null from job_steps
          where job = %L order by 1', :'lead'),
  $$values (1, 'search', 'automatic', 'completed', true), (2, 'choose', 'action_required', 'failed', true)$$,
  '… and the steps are in job_steps');
select ok(not (select j.metadata ? 'steps' from jobs j where j.id = :'lead'), '… not in the metadata');
select is((select array_agg(distinct s.organisation_id) from job_steps s where s.job = :'lead'),
          (select array[j.organisation_id] from jobs j where j.id = :'lead'), '… of the organisation of the job');

-- A step that is none, and metadata with names of ours.
insert into leads (id, name, status, metadata)
values (gen_random_uuid(), 'odd', 'pending', '{}'),
       (gen_random_uuid(), 'mine', 'draft', '{"draft": "mine", "legacy": [{"a": null}], "k": 1}');
select id as kept from leads where name = 'mine' \gset
insert into lead_steps (job_id, step_number, step_name, step_type, status)
select l.id, n, 'twice', 'automatic', 'completed' from leads l, unnest('{1,1}'::int[]) n where l.name = 'odd';
select matches((select string_agg(concat_ws(' ', i.source_status, i.status, i.count, i.remark), ', ')
                from jobs_ext.import_lead_scrape_jobs('pg_temp.leads', 'pg_temp.lead_steps', dry_run => false) i
                where i.remark <> 'there already'),
               '^draft paused 1 new, pending pending 1 refused: one of its steps is none: its number, .*$',
               'steps that can''t be, and no other job with them');
select is((select j.metadata - 'legacy' || jsonb_build_object('was', j.metadata #> '{legacy,metadata}')
           from jobs j where j.id = :'kept'),
          '{"draft": true, "k": 1, "was": {"draft": "mine", "legacy": [{"a": null}], "k": 1}}'::jsonb,
          'metadata with members of our names are kept whole');

-- Who, and from what.
create table public.short (id uuid, job_id text, restaurant_id text);
create view public.seen as select * from "o'ld ""1"""."jobs %s $1";
create role importer;
grant usage on schema jobs_ext to importer;
grant execute on all functions in schema jobs_ext to importer;
grant all on all tables in schema public to importer;
select tests.refuses($$select jobs_ext.import_extraction_jobs('short')$$, '42804',
                     'table public.short has the column "restaurant_id" of type text, not uuid', null,
                     'a column of another type');
alter table short drop column restaurant_id;
select tests.refuses($$select jobs_ext.import_extraction_jobs('short')$$, '42804',
                     'table public.short lacks the column "restaurant_id uuid"', null, 'a column that is missing');
select tests.refuses($$select jobs_ext.import_extraction_jobs('seen')$$, '42809', '% is not a table', null, 'a view');
select tests.refuses($$select jobs_ext.import_extraction_jobs(null)$$, '22023', '%must not be null', null, 'null');
select tests.refuses($$select jobs_ext.import_lead_scrape_jobs(null, null)$$, '22023', '%must not be null', null,
                     'null for both');
select tests.refuses(format('select jobs_ext.import_extraction_jobs(%L%s)', '"o''ld ""1"""."jobs %s $1"', c.more),
                     '22023', c.says, null, c.more)
from (values (', max_rows => 0', 'max_rows must not be 0'), (', max_rows => null', 'max_rows must not be null'),
             (', dry_run => null', 'dry_run must not be null'),
             (', types => null', 'types must be an object of JSON, not null'),
             (', types => $$[]$$', 'types must be an object of JSON, not array'),
             (', lease => $$0$$', 'lease must be longer than nothing%')) c (more, says);
select tests.refuses($$set local role importer; select jobs_ext.import_extraction_jobs('short')$$, '42501',
                     'must be "%", the owner of public.jobs, to import into it', null,
                     'another role, whatever it was granted');

select * from finish();
rollback;
