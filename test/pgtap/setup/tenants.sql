-- A database with the roles of an API and with two organisations, in the transaction of the test: to be included behind
-- `begin`, which takes the roles back. The extension is made anew, so that it meets the roles as at an installation.
create function pg_temp.make_roles() returns void language plpgsql as $$
declare
  wanted record;
begin
  for wanted in select * from (values ('anon', ''), ('authenticated', ''), ('service_role', 'bypassrls')) v (name, how)
  loop
    if to_regrole(wanted.name) is null then
      execute format('create role %I %s', wanted.name, wanted.how);
    end if;
  end loop;
end $$;
select pg_temp.make_roles() \g /dev/null
set client_min_messages = error;
drop extension jobs_ext cascade;
drop table jobs, job_types, job_attempts, job_steps, jobs_archive cascade;
create extension jobs_ext;
set client_min_messages = warning;

create table organisations (id uuid primary key, name text);
create table restaurants (id uuid primary key, name text, slug text,
                          organisation_id uuid references organisations (id) on delete cascade);
create table users (id uuid primary key);
create table profiles (id uuid primary key references users (id) on delete cascade,
                       organisation_id uuid references organisations (id), role text not null default 'user');

-- Short names for ids: tests.org(1), tests.person(1), tests.restaurant(1).
create schema if not exists tests;
grant usage on schema tests to public;
create function tests.org(n int) returns uuid language sql strict as $$
  select format('aaaaaaaa-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid $$;
create function tests.person(n int) returns uuid language sql strict as $$
  select format('bbbbbbbb-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid $$;
create function tests.restaurant(n int) returns uuid language sql strict as $$
  select format('cccccccc-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid $$;

-- Person n is of organisation n; person 9 is a super admin of organisation 1, person 8 of none.
insert into organisations select tests.org(n), 'organisation ' || n from generate_series(1, 3) n;
insert into organisations values ('00000000-0000-0000-0000-000000000000', 'none');
insert into restaurants
select tests.restaurant(n), 'restaurant ' || n, 'r' || n, tests.org(n) from generate_series(1, 3) n;
insert into users select tests.person(n) from generate_series(1, 9) n;
insert into profiles (id, organisation_id) select tests.person(n), tests.org(n) from generate_series(1, 3) n;
insert into profiles (id, organisation_id, role) values (tests.person(9), tests.org(1), 'super_admin'),
                                                        (tests.person(8), null, 'user');

-- What a role gets for a query that gives one value, with these claims, or the error. What it does stays.
create function tests.asks(claims text, query text, role name default 'authenticated') returns text
language plpgsql as $$
declare
  answer text; state text; message text; detail text; hint text;
begin
  perform set_config('request.jwt.claims', claims, true);
  execute format('set local role %I', role);
  execute query into answer;
  reset role;
  perform set_config('request.jwt.claims', '', true);
  return answer;
exception when others then -- undoes the settings as well
  get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail,
    hint = pg_exception_hint;
  return concat_ws(' | ', state, message, nullif(detail, ''), nullif(hint, ''));
end $$;
create function tests.sub(n int) returns text language sql strict as $$
  select jsonb_build_object('role', 'authenticated', 'sub', tests.person(n))::text $$;
