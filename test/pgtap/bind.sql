-- jobs_ext.bind() and unbind(): foreign keys, indexes and policies for the tenants of an application.
\ir setup/begin.psql
begin;
\ir setup/tenants.sql
\ir setup/refuses.sql
select no_plan();

-- What stands on the tables that bind() could have made.
create function pg_temp.bound() returns text language sql as $$
  select string_agg(line, E'\n' order by line collate "C")
  from (select pg_get_constraintdef(c.oid) as line
        from pg_constraint c where c.conrelid = 'public.jobs'::regclass and c.contype = 'f'
        union all
        select indexdef from pg_indexes where schemaname = 'public' and tablename = 'jobs'
        union all
        select pg_get_triggerdef(t.oid) from pg_trigger t where not t.tgisinternal
        union all
        select format('%s %s %s %s %s %s', tablename, policyname, cmd, roles, qual, with_check)
        from pg_policies
        where schemaname in ('public', 'jobs_ext') and tablename <> 'profiles') l
$$;
create temp table before as select pg_temp.bound();
create function pg_temp.keys() returns text language sql as $$
  select string_agg(format('%s to %s, on delete %s, %s', c.conname, c.confrelid::regclass, c.confdeltype,
                           case obj_description(c.oid, 'pg_constraint')
                             when 'Made by jobs_ext.bind()' then 'ours' else 'theirs' end), E'\n' order by c.conname)
  from pg_constraint c where c.conrelid = 'public.jobs'::regclass and c.contype = 'f' $$;

-- Before: a JWT as Supabase makes it names no organisation, and so nothing is anybody's.
insert into jobs (job_type, job_id, organisation_id, restaurant_id, created_by)
select 'bulk-update', 'of ' || n, tests.org(n), tests.restaurant(n), tests.person(n) from generate_series(1, 3) n;
insert into jobs (job_type, job_id) values ('bulk-update', 'of nobody');
insert into jobs_archive (id, job_id, organisation_id, finished_at)
select gen_random_uuid(), 'archived of ' || n, tests.org(n), now() from generate_series(1, 3) n;
insert into job_attempts (job, attempt, ended_at, outcome) select id, 1, now(), 'failed' from jobs;
create function pg_temp.sees(person int, relation text default 'jobs') returns text language sql as $$
  select tests.asks(tests.sub(person), case relation
    when 'job_attempts' then 'select string_agg(j.job_id, '','' order by j.job_id) from job_attempts a
                              join jobs j on j.id = a.job'
    else format('select string_agg(job_id, '','' order by job_id) from %s', relation) end) $$;
select is(pg_temp.sees(1, t), null, 'default deny: ' || t) from unnest('{jobs,jobs_archive,job_attempts}'::text[]) t;

-- By profiles, where authenticated may read them.
select tests.refuses($$ select jobs_ext.bind('organisations') $$, '42501',
                     'the role authenticated may not read "public.profiles"', 'profiles that nobody may read');
alter table profiles enable row level security;
create policy own on profiles for select to authenticated using (id = (select jobs_ext.claimed_user()));
grant select (id, organisation_id, role) on profiles to authenticated;
select lives_ok($$ select jobs_ext.bind('organisations', 'restaurants', 'users') $$, 'bound');
select is(pg_temp.keys(), $$jobs_created_by_fkey to users, on delete n, ours
jobs_organisation_id_fkey to organisations, on delete c, ours
jobs_restaurant_id_fkey to restaurants, on delete n, ours$$,
          'the three foreign keys of the seed');
create temp table once as select pg_temp.bound();
select lives_ok($$ select jobs_ext.bind('organisations', 'restaurants', 'users') $$, 'bound again');
select is(pg_temp.bound(), o.bound, 'is bound as it was') from once o;
select lives_ok($$ select jobs_ext.bind(users => 'users') $$, 'what is left out stays');
select is(pg_temp.bound(), o.bound, 'all of it') from once o;

-- What each sees and does.
create temp table relation as
select * from (values ('jobs', ''), ('jobs_archive', 'archived '), ('job_list()', ''), ('job_attempts', ''),
                      ('jobs_active', '')) v (name, prefix);
select is(pg_temp.sees(n, r.name), r.prefix || 'of ' || n, format('person %s sees the own organisation''s: %s', n,
          r.name))
from relation r, generate_series(1, 3) n;
select is(pg_temp.sees(9, r.name), concat_ws(',', r.prefix || 'of 1', r.prefix || 'of 2', r.prefix || 'of 3',
                                             case when r.prefix = '' then 'of nobody' end),
          'a super admin sees all: ' || r.name)
from relation r;
select is(pg_temp.sees(n, r.name), null, format('person %s, of no organisation or unknown, sees nothing: %s', n,
          r.name))
from relation r, unnest('{8,7,77}'::int[]) n;
select is(tests.asks(c, 'select count(*) from jobs'), '0', 'no sub that counts: ' || c)
from unnest(array['', '{}', '{', '{"sub": "user_2abc"}', '{"sub": 1}', format('{"org_id": "%s"}', tests.org(1))]) c;
select matches(tests.asks(tests.sub(1), 'select count(*) from jobs', 'anon'), '^42501', 'anon may not ask');
select is(tests.asks(tests.sub(1), 'select count(*) from jobs', 'service_role'), '4', 'the service sees all');

create function pg_temp.enqueues(person int, org uuid) returns text language sql as $$
  select left(tests.asks(tests.sub(person),
            format('select (job_enqueue(''merge-menus'', organisation_id => %L)).status',
                                                   org)), 52) $$;
select is(pg_temp.enqueues(person, tests.org(org)), means, format('person %s enqueues for organisation %s', person,
          org))
from (values (1, 1, 'queued'), (2, 2, 'queued'), (9, 2, 'queued'), (9, 3, 'queued'),
             (1, 2, '42501 | new row violates row-level security policy f'),
             (8, 1, '42501 | new row violates row-level security policy f'),
             (77, 1, '42501 | new row violates row-level security policy f')) v (person, org, means);
select matches(tests.asks(tests.sub(1), format('select job_enqueue(''merge-menus'', organisation_id => %L)',
          tests.org(2))),
               format('The job is for organisation %s. The claims of the request name organisation none, user %s. ',
                      tests.org(2), tests.person(1)), 'and hears why not');
select matches(tests.asks(tests.sub(1), format('select job_enqueue_many(%L)',
                            format('[{"job_type": "bulk-update", "organisation_id": "%s"}]', tests.org(3)))),
               '^42501', 'nor many');
select is(tests.asks(tests.sub(1), 'select (job_cancel(job_id => ''of 1'')).status'), 'cancelled', 'cancels the own');
select matches(tests.asks(tests.sub(1), format('select job_cancel(job_id => %L)', 'of ' || n)), '^PT404',
          'not another''s')
from unnest('{2,3,nobody}'::text[]) n;
select is(tests.asks(tests.sub(9), 'select (job_cancel(job_id => ''of 2'')).status'), 'cancelled',
          'a super admin does');
select is(tests.asks(tests.sub(1),
          'with u as (update jobs set cancel_requested_at = now() returning 1) select count(*) from u'),
          '2', 'an UPDATE meets the own ones');

-- Once a statement, and by the index on the organisation: not a row of another tenant is looked at.
create function pg_temp.plan(person int, query text) returns text language plpgsql as $$
declare line text; plan text := '';
begin
  perform set_config('request.jwt.claims', tests.sub(person), true);
  set local role authenticated;
  for line in execute 'explain (analyze, costs off, timing off, summary off) ' || query loop
    plan := plan || line || E'\n';
  end loop;
  reset role;
  return plan;
end $$;
savepoint many;
set local session_replication_role = replica;
insert into jobs (job_type, job_id, organisation_id, created_at)
select 'bulk-update', 'many ' || n, tests.org(2 + n % 50), now() - n * interval '1 s' from generate_series(1, 20000) n;
insert into organisations select tests.org(n), 'many' from generate_series(4, 52) n;
set local session_replication_role = origin;
analyze jobs;
select doesnt_match(pg_temp.plan(1, q), 'Seq Scan on jobs', 'no scan of the table: ' || q)
from unnest(array['select * from jobs', 'select count(*) from jobs',
                  'select * from jobs where restaurant_id is not null']) q;
select doesnt_match(pg_temp.plan(1, q), 'SubPlan', 'nothing is asked for each row: ' || q)
from unnest(array['select * from jobs', 'select * from jobs order by created_at desc limit 50']) q;
rollback to many;

-- What goes with what is deleted; a worker of a job that is gone hears so.
create temp table claimed as select * from job_claim(max_jobs => 100, worker => 'w');
select is((select count(*) from claimed where organisation_id = tests.org(3)), 2::bigint,
          'two jobs of organisation 3 run');
delete from restaurants where id = tests.restaurant(3);
delete from users where id = tests.person(3);
select results_eq($$ select restaurant_id, created_by, status::text from jobs where job_id = 'of 3' $$,
                  $$ values (null::uuid, null::uuid, 'in_progress') $$, 'set null, and nothing else');
delete from profiles where organisation_id = tests.org(3);
delete from organisations where id = tests.org(3);
select is_empty($$ select from jobs where organisation_id = tests.org(3) $$, 'cascade');
select is_empty($$ select from job_attempts a where not exists (select from jobs j where j.id = a.job) $$,
                'with the attempts');
select tests.refuses(format('select %s', replace(replace(c, '$i', quote_literal(j.id)), '$l',
          quote_literal(j.lease_id))),
                     'PT404', 'no such job: %', 'its worker hears it: ' || c)
from claimed j, unnest(array['job_complete($i, $l)', 'job_fail($i, $l)', 'job_heartbeat($i, $l)',
                                    'job_release($i, $l)', 'job_next($i, $l)']) c
where j.job_id = 'of 3';
select is(tests.asks('', format('select job_complete(%L, %L)', id, lease_id), current_user),
          format('PT404 | no such job: %s | It was never there, was deleted, alone or with its organisation, or is not '
                 'yours to see.', id), 'with a hint')
from claimed where job_id = 'of 3';
select is(count(*), 0::bigint, 'the queue is in step') from jobs_ext.check(false);
select throws_ok(format('select job_enqueue(''bulk-update'', organisation_id => %L)', tests.org(3)), '23503', null,
                 'none comes after it');
select throws_ok($$ select job_enqueue('bulk-update', restaurant_id => tests.restaurant(3)) $$, '23503', null,
                 'nor for a restaurant that is not there');
select is((job_enqueue('bulk-update')).status, 'queued', 'the nil organisation is there');
savepoint nobodys;
delete from public.organisations where id = '00000000-0000-0000-0000-000000000000';
select matches(tests.asks('', $$ select job_enqueue('bulk-update') $$, current_user),
               '^23503.* The job names no organisation: pass organisation_id.$', 'else the hint says what is missing');
rollback to nobodys;
delete from public.organisations where id = '00000000-0000-0000-0000-000000000000';
select matches(tests.asks('', $$ select job_enqueue_many(jsonb_agg(jsonb_build_object('job_type', 'bulk-update')))
                                 from generate_series(1, 2) $$, current_user),
               '^23503.* The job names no organisation: pass organisation_id.$', 'of several jobs as well');
rollback to nobodys;

-- Undone.
select lives_ok('select jobs_ext.unbind()', 'unbound');
select is(pg_temp.bound(), b.bound, 'all is as it was before') from before b;
select is(pg_temp.sees(1), null, 'members by the claim again');
select lives_ok('select jobs_ext.unbind()', 'unbound again');

-- Functions. Each says that person 2 is of the organisations 1 and 2.
create table member (person uuid, organisation uuid);
insert into member values (tests.person(2), tests.org(1)), (tests.person(2), tests.org(2));
create function my_organisations() returns setof uuid language sql stable security definer as $$
  select m.organisation from public.member m
  where m.person = (current_setting('request.jwt.claims')::json ->> 'sub')::uuid $$;
create function organisations_of(uuid) returns table (org uuid) language sql stable security definer as $$
  select m.organisation from public.member m where m.person = $1 $$;
create function user_can_access_org_data(p_user uuid, p_org uuid) returns boolean language sql stable security definer
  as $$
  select exists (select from public.member m where m.person = p_user and m.organisation = p_org) $$;
create function may_i(organisation uuid) returns boolean language sql stable security definer as $$
  select public.user_can_access_org_data((current_setting('request.jwt.claims')::json ->> 'sub')::uuid,
            organisation) $$;
create schema "The ""Club""";
create function "The ""Club"""."of; drop table jobs --"() returns setof uuid language sql stable as $$
  select public.my_organisations() $$;
grant execute on all functions in schema "The ""Club""" to authenticated;

set local track_functions = 'all';
create function pg_temp.calls(f regprocedure) returns bigint language sql as $$
  select coalesce(sum(calls), 0)::bigint from pg_stat_xact_user_functions where funcid = f $$;
insert into jobs (job_type, job_id, organisation_id)
select 'bulk-update', 'more ' || n, tests.org(1 + n % 2) from generate_series(1, 100) n;
create function pg_temp.organisations_seen(person int) returns text language sql as $$
  select tests.asks(tests.sub(person), 'select string_agg(distinct name, '','' order by name)
    from public.jobs j join (values (tests.org(1), ''1''), (tests.org(2), ''2'')) o (id,
      name) on o.id = organisation_id') $$;
grant select on organisations to authenticated;
create temp table kind as
select *, f::regprocedure as oid
from (values ('my_organisations', 'my_organisations()', 1),
             ('public.organisations_of', 'organisations_of(uuid)', 1),
             ('public.organisations_of(uuid)', 'organisations_of(uuid)', 1),
             ('user_can_access_org_data', 'user_can_access_org_data(uuid,uuid)', 3), -- the organisations that are there
             ('public.may_i', 'may_i(uuid)', 3),
             ('"The ""Club"""."of; drop table jobs --"', '"The ""Club"""."of; drop table jobs --"()', 1)) v (name, f,
               most);
create function pg_temp.try(name text, oid regprocedure, organisations regclass) returns text[] language plpgsql as $$
declare
  before bigint; seen text; nobody text; forged text;
begin
  perform jobs_ext.bind(organisations, membership => name);
  before := pg_temp.calls(oid);
  seen := pg_temp.organisations_seen(2);
  before := pg_temp.calls(oid) - before;
  nobody := pg_temp.organisations_seen(1);
  forged := left(pg_temp.enqueues(1, tests.org(1)), 5);
  return array[seen, nobody, forged, before::text, jobs_ext.bound_membership()::text,
               pg_temp.enqueues(2, tests.org(1))];
end $$;
select is(pg_temp.try(name, oid, 'organisations'), array['1,2', null, '42501', most::text, oid::text, 'queued'],
          'a function: ' || name)
from kind;
-- Where they don't know the organisations they ask for each row, and say so.
select jobs_ext.unbind() \g /dev/null
select is((pg_temp.try(name, oid, null))[1:3], array['1,2', null, '42501'], 'without organisations: ' || name)
          from kind;

-- Renamed, it is the same function; the policy knows it by oid. Another one of the name is another one.
select jobs_ext.bind('organisations', membership => 'my_organisations') \g /dev/null
alter function my_organisations() rename to ours;
create function my_organisations() returns setof uuid language sql as $$ select tests.org(3) $$;
select is(pg_temp.organisations_seen(2), '1,2', 'a function that was renamed');
select lives_ok($$ select jobs_ext.bind('organisations') $$, 'bound again without a name');
select is(jobs_ext.bound_membership(), 'ours()'::regprocedure, 'keeps it');
select is(pg_temp.organisations_seen(2), '1,2', 'and its members');

-- What lets members see more than bind() means, which it tells: policies to a role that authenticated is a member of;
-- profiles in which members may say themselves what they are.
create role tests_group;
grant tests_group to authenticated;
create policy of_group on jobs for select to tests_group using (true);
create policy narrower on jobs as restrictive to tests_group using (true);
create policy of_service on jobs to service_role using (true);
select set_eq('select name::text from jobs_ext.policies_of_others()', array['of_group'],
              'a policy to a role that members have');
drop policy of_group on jobs;
drop policy narrower on jobs;
drop policy of_service on jobs;

create function pg_temp.tell(change text) returns boolean language plpgsql as $$
declare
  told boolean;
begin
  execute change;
  told := jobs_ext.members_write_profiles('profiles');
  raise exception using errcode = 'PT000', message = told;
exception when sqlstate 'PT000' then
  return sqlerrm::boolean;
end $$;
select is(pg_temp.tell(v.change), v.may, 'members write profiles: ' || v.change)
from (values
  ('select 1', false),
  ('grant insert, update on profiles to authenticated', false),
  ('grant update on profiles to authenticated; create policy w on profiles for update to authenticated using (true)',
   true),
  ('grant update on profiles to authenticated; create policy w on profiles using (true)', true),
  ('grant update on profiles to public; create policy w on profiles to tests_group using (true)', true),
  ('grant update (id) on profiles to authenticated; create policy w on profiles using (true)', false),
  ('grant update (role) on profiles to authenticated; create policy w on profiles using (true)', true),
  ('grant update on profiles to authenticated; create policy w on profiles for insert with check (true)', false),
  ('grant insert on profiles to authenticated; create policy w on profiles for insert with check (true)', true),
  ('grant update on profiles to authenticated; create policy w on profiles to service_role using (true)', false),
  ('grant update on profiles to authenticated; create policy w on profiles as restrictive using (true)', false),
  ('alter table profiles disable row level security', false),
  ('alter table profiles disable row level security; grant update (organisation_id) on profiles to authenticated',
   true)) v (change, may);

-- What it does not take, and then changes nothing.
create temp table mine as select pg_temp.bound();
create function two(uuid) returns setof uuid language sql as $$ select $1 $$;
create function two() returns setof uuid language sql as $$ select null::uuid $$;
create function text_of() returns setof text language sql as $$ select ''::text $$;
create function bool_of() returns boolean language sql as $$ select true $$;
create function of_text(text) returns setof uuid language sql as $$ select null::uuid $$;
create function of_three(uuid, uuid, uuid) returns boolean language sql as $$ select true $$;
create function set_of_bool(uuid) returns setof boolean language sql as $$ select true $$;
create function first_of(uuid, uuid) returns uuid language sql as $$ select $1 $$;
create aggregate aggregate_of(uuid) (sfunc = first_of, stype = uuid);
create procedure procedure_of() language sql as $$ select 1 $$;
create function private() returns setof uuid language sql as $$ select null::uuid $$;
revoke execute on function private() from public;
create view a_view as select * from organisations;
create table without_key (id uuid, name text);
create table other_key (id bigint primary key);
create table two_columns (id uuid, b int, primary key (id, b));
create table partial_key (id uuid);
create unique index on partial_key (id) where id is not null;
create table late_key (id uuid unique deferrable);
create table "re;staurants" (id uuid primary key);
create table orphaned (id uuid primary key);
insert into orphaned values (tests.org(1));

select tests.refuses(format('select jobs_ext.bind(%s)', v.arguments), v.state, v.message, 'refused: ' || v.arguments)
from (values
  ('membership => ''nobody_made_this''', '42883', '%nobody_made_this%'),
  ('membership => ''app.nobody_made_this''', '42883', '%app.nobody_made_this%'),
  ('membership => ''two''', '42883', '%, or several'),
  ('membership => ''two(text)''', '42883', '%two(text)%'),
  ('membership => ''''', '42883', '%no function%'),
  ('membership => ''text_of''', '42P13', '%text_of() does not say%'),
  ('membership => ''bool_of''', '42P13', '%bool_of() does not say%'),
  ('membership => ''of_text''', '42P13', '%of_text(text) does not say%'),
  ('membership => ''of_three''', '42P13', '%of_three(uuid,uuid,uuid) does not say%'),
  ('membership => ''set_of_bool''', '42P13', '%set_of_bool(uuid) does not say%'),
  ('membership => ''first_of''', '42P13', '%first_of(uuid,uuid) does not say%'),
  ('membership => ''aggregate_of''', '42P13', '%aggregate_of(uuid) does not say%'),
  ('membership => ''procedure_of''', '42P13', '%procedure_of() does not say%'),
  ('membership => ''private''', '42501', '%private()%'),
  ('organisations => ''a_view''', '42830', 'organisations: "public.a_view" has no primary key%'),
  ('restaurants => ''without_key''', '42830', 'restaurants: "public.without_key" has no primary key%'),
  ('users => ''other_key''', '42830', 'users: "public.other_key" has no primary key%'),
  ('users => ''two_columns''', '42830', '%no primary key%'),
  ('users => ''partial_key''', '42830', '%no primary key%'),
  ('users => ''late_key''', '42830', '%no primary key%'),
  ('restaurants => ''"re;staurants"''', '23503',
   '"public."re;staurants"" has no row for the restaurant_id of some jobs: '
     || tests.restaurant(1) || ', ' || tests.restaurant(2)),
  ('organisations => ''orphaned''', '23503', '"public.orphaned" has no row for the organisation_id of some jobs: %'),
  ('organisations => ''nowhere''', '42P01', '%nowhere%')) v (arguments, state, message);
select is(pg_temp.bound(), m.bound, 'nothing has changed') from mine m;
insert into orphaned select distinct organisation_id from jobs where organisation_id <> tests.org(1)
                                                                 and organisation_id::text !~ '^0000';
select tests.refuses($$ select jobs_ext.bind('orphaned') $$, '23503',
                     '%: 00000000-0000-0000-0000-000000000000', 'jobs of nobody');
select matches(tests.asks('', $$ select jobs_ext.bind('orphaned') $$, current_user), 'have the nil UUID: insert into',
               'with the way out');
insert into orphaned values ('00000000-0000-0000-0000-000000000000');
insert into "re;staurants" values (tests.restaurant(1)), (tests.restaurant(2));
select lives_ok($$ select jobs_ext.bind('orphaned', '"re;staurants"') $$, 'then it holds');
select is(jobs_ext.bound_organisations(), 'orphaned', 'another table takes the place of the one before');
select is(pg_temp.keys(), $$jobs_organisation_id_fkey to orphaned, on delete c, ours
jobs_restaurant_id_fkey to "re;staurants", on delete n, ours$$,
          'one key for each column');

-- What others made is left alone: a foreign key that does the same is enough, another one stays beside ours.
select jobs_ext.unbind() \g /dev/null
alter table jobs add constraint jobs_organisation_id_fkey
                   foreign key (organisation_id) references orphaned on delete cascade,
                 add constraint jobs_restaurant_id_fkey foreign key (restaurant_id) references "re;staurants";
select jobs_ext.bind('orphaned', '"re;staurants"') \g /dev/null
select is(pg_temp.keys(), $$jobs_organisation_id_fkey to orphaned, on delete c, theirs
jobs_restaurant_id_fkey to "re;staurants", on delete a, theirs
jobs_restaurant_id_fkey1 to "re;staurants", on delete n, ours$$,
          'theirs and ours');
select jobs_ext.unbind() \g /dev/null
select is(pg_temp.keys(), $$jobs_organisation_id_fkey to orphaned, on delete c, theirs
jobs_restaurant_id_fkey to "re;staurants", on delete a, theirs$$, 'theirs outlive unbind()');
alter table jobs drop constraint jobs_organisation_id_fkey, drop constraint jobs_restaurant_id_fkey;

-- An index that is missing is made, and goes with what it was made for; one of the owner's that leads with the column
-- does as well.
drop index idx_jobs_organisation_id;
drop index idx_jobs_created_by;
create index of_theirs on jobs (created_by, priority);
select jobs_ext.bind('orphaned', users => 'users') \g /dev/null
select is(string_agg(indexname, ' ' order by indexname), 'idx_jobs_organisation_id of_theirs',
          'indexes for foreign keys')
from pg_indexes where tablename = 'jobs' and indexdef ~ '\((organisation_id|created_by)' and indexdef !~ 'UNIQUE';
select jobs_ext.unbind() \g /dev/null
select is(string_agg(indexname, ' ' order by indexname), 'of_theirs', 'the one that bind() made is gone')
from pg_indexes where tablename = 'jobs' and indexdef ~ '\((organisation_id|created_by)' and indexdef !~ 'UNIQUE';

-- The index on status, alone.
create temp table policies as select jsonb_agg(p order by p.policyname) from pg_policies p where p.tablename = 'jobs';
select lives_ok($$ select jobs_ext.bind(status_index => true) $$, 'an index on status');
select is(indexdef, 'CREATE INDEX idx_jobs_status ON public.jobs USING btree (status, created_at)', 'is that')
from pg_indexes where indexname = 'idx_jobs_status';
select has_index('public', 'jobs', name, name || ' is made with it') from jobs_ext.status_indexes();
select results_eq($$ select jsonb_agg(p order by p.policyname) from pg_policies p where p.tablename = 'jobs' $$,
                  'table policies', 'and no policy');
select lives_ok($$ select jobs_ext.bind(status_index => true) $$, 'once more');
select lives_ok($$ select jobs_ext.bind(status_index => false) $$, 'taken back');
select hasnt_index('public', 'jobs', name, name || ' is gone') from jobs_ext.status_indexes();
create index idx_jobs_status on jobs (status);
select jobs_ext.bind(status_index => true) \g /dev/null
select jobs_ext.bind(status_index => false) \g /dev/null
select has_index('public', 'jobs', 'idx_jobs_status', array['status'], 'one of their own stays');
drop index idx_jobs_status;

-- Without profiles, or with a table of that name that is something else, members stay those of the claim.
savepoint without;
alter table profiles rename to people;
select lives_ok($$ select jobs_ext.bind('orphaned') $$, 'bound without profiles');
select is(tests.asks(format('{"org_id": "%s"}', tests.org(1)), 'select count(*) > 0 from jobs'), 'true',
          'members by the claim');
create table profiles (id bigint primary key, organisation_id uuid, role text);
select lives_ok($$ select jobs_ext.bind('orphaned') $$, 'bound with other profiles');
drop table profiles;
create type roles as enum ('user', 'super_admin');
create table profiles (id uuid, organisation_id uuid, role roles);
grant select on profiles to authenticated;
select tests.refuses($$ select jobs_ext.bind('orphaned') $$, '42830',
          'membership: "public.profiles" has no primary key%',
                     'two profiles of one user could name a range of organisations');
alter table profiles add primary key (id);
insert into profiles values (tests.person(9), null, 'super_admin'), (tests.person(1), tests.org(1), 'user');
select lives_ok($$ select jobs_ext.bind('orphaned') $$, 'roles of an enum');
select is(pg_temp.organisations_seen(9), '1,2', 'a super admin by it');
select is(pg_temp.organisations_seen(1), '1', 'a user by it');
rollback to without;

-- Who may: the owner of the tables, no member, no service, no superuser who is not.
select matches(tests.asks('', c, r), '^42501', format('%s may not: %s', r, c))
from unnest('{authenticated,service_role,anon}'::name[]) r,
     unnest('{select jobs_ext.bind(),select jobs_ext.unbind(),select jobs_ext.bind(status_index => true)}'::text[]) c;
create role tests_boss;
grant create on schema public to tests_boss;
do $$ declare r regclass; begin
  for r in select c.oid from pg_class c where c.relnamespace in ('public'::regnamespace, 'jobs_ext'::regnamespace)
             and (c.relname ~ '^job' and c.relkind in ('r', 'p', 'v'))
             and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e') loop
    execute format('alter table %s owner to tests_boss', r);
  end loop;
end $$;
select matches(tests.asks('', c, current_user),
          '^42501 \| must be "tests_boss", the owner of "public.jobs" \| set role tests_boss',
               'a superuser becomes the owner first: ' || c)
from unnest('{select jobs_ext.bind(),select jobs_ext.unbind()}'::text[]) c;
grant usage on schema jobs_ext to tests_boss;
grant execute on all functions in schema jobs_ext to tests_boss;
grant references, select, trigger on organisations, users, restaurants to tests_boss;
select is(tests.asks('', $$ select jobs_ext.bind('organisations', 'restaurants', 'users') $$, 'tests_boss'), '',
          'the owner may');
select is(pg_temp.organisations_seen(1), '1', 'and it counts');
alter table organisations owner to tests_boss;
select is(tests.asks('', $$ select jobs_ext.unbind() $$, 'tests_boss'), '', 'and take it back');

-- A policy of somebody's that lets more be seen is told, and left.
select is_empty('select from jobs_ext.policies_of_others()', 'no policy of others');
create policy more on jobs for select using (true);
create policy other on job_attempts for insert to authenticated with check (true);
create policy less on jobs as restrictive for select using (true);
create policy of_boss on jobs for select to tests_boss using (true);
select jobs_ext.put_all_policies(jobs_ext.members_by_claim()) \g /dev/null
select set_eq('select name::text, relation::text from jobs_ext.policies_of_others()',
              $$ values ('more', 'jobs'), ('other', 'job_attempts') $$, 'what adds to the policies for members');
select * from finish();
rollback;
