-- Makes a database look like one of a Supabase project: its roles and what each may do, the schemas auth, extensions
-- and realtime, and the application tables that the seed (test/seed/seed.md) speaks of.
--
--   psql -v acl=legacy|modern -f test/supabase/shim.sql        as a superuser, once in each database
--
-- acl: the default privileges. In a project made before 2026-05-30 (legacy) what postgres creates in public is granted
-- to the roles of the API; in later ones (modern, the default) only what supabase_admin creates is. The server is best
-- one of `initdb -U supabase_admin`: then postgres is, as on the platform, no superuser.
\set ON_ERROR_STOP on
\if :{?acl} \else \set acl modern \endif
select :'acl' = 'legacy' as legacy, :'acl' in ('legacy', 'modern') as known \gset
\if :known \else \warn 'acl is legacy or modern'
select 'acl'::regclass;
\endif

-- Roles, which all databases of a server share: those that are there stay as they are.

do $$
declare
  wanted record;
  of_api constant text := 'anon, authenticated, service_role';
  may_admin constant text :=
    case when current_setting('server_version_num')::integer >= 160000 then ' with admin option' else '' end;
begin
  for wanted in
    select * from (values
      ('supabase_admin', 'superuser login createdb createrole replication bypassrls'),
      ('postgres', 'login createdb createrole replication bypassrls'),
      ('anon', 'nologin'),
      ('authenticated', 'nologin'),
      ('service_role', 'nologin bypassrls'),
      ('authenticator', 'login noinherit'),
      ('supabase_auth_admin', 'login noinherit createrole'),
      ('supabase_storage_admin', 'login noinherit createrole'),
      ('supabase_realtime_admin', 'nologin noinherit'),
      ('supabase_read_only_user', 'login bypassrls'),
      ('supabase_replication_admin', 'login replication'),
      ('dashboard_user', 'nologin createdb createrole replication'),
      ('pgbouncer', 'login')
    ) as r (name, options)
  loop
    if to_regrole(wanted.name) is null then
      execute format('create role %I %s', wanted.name, wanted.options);
    end if;
  end loop;
  execute format('grant %s to authenticator', of_api);
  execute format('grant %s to postgres%s', of_api, may_admin);
  execute format('grant all on database %I to postgres, dashboard_user', current_database());
end $$;

grant pg_read_all_data, pg_signal_backend, pg_monitor to postgres;
grant pg_read_all_data to supabase_read_only_user;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_admin set search_path = "$user", public, auth, extensions;
set search_path = "$user", public, auth, extensions;

-- Schemas.

create schema extensions;
create schema auth authorization supabase_auth_admin;
create schema realtime;
create extension "uuid-ossp" with schema extensions;
create extension pgcrypto with schema extensions;
grant usage on schema public, extensions to postgres, anon, authenticated, service_role;
grant usage on schema auth to postgres, anon, authenticated, service_role;
grant create on schema public to postgres;
grant all on schema extensions to postgres, dashboard_user;

-- What supabase_admin makes in public is everybody's, in old and new projects alike; postgres can't change that.
alter default privileges for role supabase_admin in schema public
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public
  grant all on sequences to postgres, anon, authenticated, service_role;
\if :legacy
alter default privileges for role postgres in schema public
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on sequences to postgres, anon, authenticated, service_role;
\endif

-- Auth. A claim is read in its old form, a setting each, and in the new one, all in a JSON object. Either is empty, not
-- null, once a pooled connection has served a request.

create table auth.users (
  id uuid primary key,
  aud varchar(255),
  role varchar(255),
  email varchar(255) unique,
  raw_app_meta_data jsonb,
  raw_user_meta_data jsonb,
  is_super_admin boolean,
  created_at timestamptz,
  updated_at timestamptz
);
alter table auth.users owner to supabase_auth_admin;
grant all on auth.users to postgres, dashboard_user;

create function auth.jwt() returns jsonb language sql stable
return coalesce(nullif(current_setting('request.jwt.claim', true), ''),
                nullif(current_setting('request.jwt.claims', true), ''))::jsonb;

create function auth.uid() returns uuid language sql stable
return coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;

create function auth.role() returns text language sql stable
return coalesce(nullif(current_setting('request.jwt.claim.role', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role');

create function auth.email() returns text language sql stable
return coalesce(nullif(current_setting('request.jwt.claim.email', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email');

-- Realtime: publishes nothing until a table's owner adds it. It is the customer's.
set client_min_messages = error; -- not of a wal_level that is too low
create publication supabase_realtime;
reset client_min_messages;
alter publication supabase_realtime owner to postgres;

-- PostgREST reads the schema again when DDL says so.
create function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql as $$
begin
  if exists (
    select from pg_event_trigger_ddl_commands() c
    where c.schema_name is distinct from 'pg_temp'
      and c.command_tag in ('CREATE SCHEMA', 'ALTER SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'ALTER TABLE',
                            'CREATE VIEW', 'ALTER VIEW', 'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE TRIGGER',
                            'CREATE TYPE', 'ALTER TYPE', 'CREATE RULE', 'COMMENT')
  ) then
    notify pgrst, 'reload schema';
  end if;
end $$;
create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();

-- The application of the seed, made by its owner.

set role postgres;

create table public.organisations (
  id uuid primary key default gen_random_uuid(),
  name text
);
create table public.restaurants (
  id uuid primary key default gen_random_uuid(),
  name text,
  slug text,
  organisation_id uuid references public.organisations (id) on delete cascade
);
create table public.platforms (
  id uuid primary key default gen_random_uuid(),
  name text
);
create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  organisation_id uuid references public.organisations (id),
  role text not null default 'user'
);
alter table public.profiles enable row level security;
create policy own_profile on public.profiles for select to authenticated using (id = (select auth.uid()));
insert into public.organisations (id, name) values ('00000000-0000-0000-0000-000000000000', 'default');

create function public.update_updated_at_column() returns trigger
language plpgsql set search_path = '' as
$$ begin new.updated_at = pg_catalog.now(); return new; end $$;

create function public.user_can_access_org_data(p_user uuid, p_org uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.profiles p
                 where p.id = p_user and (p.organisation_id = p_org or p.role = 'super_admin'))
$$;

-- As the seed has them, word for word, but for `if not exists`.

create table public.extraction_jobs (
  id uuid not null default extensions.uuid_generate_v4(),
  job_id character varying(100) not null,
  restaurant_id uuid null,
  platform_id uuid null,
  url text not null,
  job_type character varying(50) not null,
  status character varying(50) not null default 'pending',
  progress jsonb null default '{}'::jsonb,
  config jsonb null default '{}'::jsonb,
  error text null,
  started_at timestamp with time zone null,
  completed_at timestamp with time zone null,
  created_at timestamp with time zone null default now(),
  updated_at timestamp with time zone null default now(),
  organisation_id uuid null,

  constraint extraction_jobs_pkey primary key (id),
  constraint extraction_jobs_job_id_key unique (job_id),
  constraint extraction_jobs_organisation_id_fkey foreign key (organisation_id) references organisations (id),
  constraint extraction_jobs_platform_id_fkey foreign key (platform_id) references platforms (id),
  constraint extraction_jobs_restaurant_id_fkey
    foreign key (restaurant_id) references restaurants (id) on delete cascade
);
create index idx_extraction_jobs_status on public.extraction_jobs using btree (status);
create index idx_extraction_jobs_restaurant on public.extraction_jobs using btree (restaurant_id);
create index idx_extraction_jobs_org on public.extraction_jobs using btree (organisation_id);
create trigger update_extraction_jobs_updated_at before update on extraction_jobs
for each row execute function update_updated_at_column();

create table public.menus (
  id uuid primary key default gen_random_uuid(),
  restaurant_id uuid references public.restaurants (id) on delete cascade,
  extraction_job_id uuid references public.extraction_jobs (id),
  is_merged boolean not null default false
);

create table public.lead_scrape_jobs (
  id uuid not null default extensions.uuid_generate_v4(),
  name text not null,
  platform text not null,
  country text not null default 'nz',
  city text null,
  city_code text null,
  region_code text null,
  cuisine text null,
  leads_limit integer not null default 21,
  page_offset integer null default 1,
  initial_url text null,
  status text not null default 'draft',
  current_step integer null default 0,
  total_steps integer null,
  leads_extracted integer null default 0,
  leads_passed integer null default 0,
  leads_failed integer null default 0,
  organisation_id uuid null,
  created_by uuid null,
  started_at timestamp with time zone null,
  completed_at timestamp with time zone null,
  cancelled_at timestamp with time zone null,
  created_at timestamp with time zone null default now(),
  updated_at timestamp with time zone null default now(),
  metadata jsonb null default '{}'::jsonb,

  constraint lead_scrape_jobs_pkey primary key (id),
  constraint lead_scrape_jobs_created_by_fkey foreign key (created_by) references auth.users (id),
  constraint lead_scrape_jobs_organisation_id_fkey foreign key (organisation_id) references organisations (id),
  constraint lead_scrape_jobs_status_check check (
    status = any (array['draft'::text, 'pending'::text, 'in_progress'::text, 'completed'::text, 'cancelled'::text,
                        'failed'::text])
  ),
  constraint lead_scrape_jobs_leads_limit_check check (leads_limit > 0 and leads_limit <= 999),
  constraint lead_scrape_jobs_page_offset_check check (page_offset >= 1 and page_offset <= 999)
);
create index idx_lead_scrape_jobs_status on public.lead_scrape_jobs using btree (status);
create index idx_lead_scrape_jobs_org on public.lead_scrape_jobs using btree (organisation_id);
create index idx_lead_scrape_jobs_created_at on public.lead_scrape_jobs using btree (created_at desc);

create table public.lead_scrape_job_steps (
  id uuid not null default extensions.uuid_generate_v4(),
  job_id uuid not null,
  step_number integer not null,
  step_name text not null,
  step_description text null,
  step_type text not null default 'automatic',
  status text not null default 'pending',
  target_url_template text null,
  leads_received integer null default 0,
  leads_processed integer null default 0,
  leads_passed integer null default 0,
  leads_failed integer null default 0,
  started_at timestamp with time zone null,
  completed_at timestamp with time zone null,
  created_at timestamp with time zone null default now(),
  updated_at timestamp with time zone null default now(),
  metadata jsonb null default '{}'::jsonb,
  error_message text null,

  constraint lead_scrape_job_steps_pkey primary key (id),
  constraint lead_scrape_job_steps_job_id_fkey foreign key (job_id)
    references lead_scrape_jobs (id) on delete cascade,
  constraint lead_scrape_job_steps_unique_step unique (job_id, step_number),
  constraint lead_scrape_job_steps_status_check check (
    status = any (array['pending'::text, 'in_progress'::text, 'action_required'::text, 'completed'::text,
                        'failed'::text])
  )
);
create index idx_lead_scrape_job_steps_job_id on public.lead_scrape_job_steps using btree (job_id);
create index idx_lead_scrape_job_steps_status on public.lead_scrape_job_steps using btree (status);
create index idx_lead_scrape_job_steps_step_number on public.lead_scrape_job_steps using btree (step_number);

-- In either mode, since the application says so itself.
grant select on public.organisations, public.restaurants, public.platforms, public.profiles to authenticated;
grant all on public.organisations, public.restaurants, public.platforms, public.profiles, public.extraction_jobs,
  public.menus, public.lead_scrape_jobs, public.lead_scrape_job_steps to service_role;

reset role;

-- Acts as a caller of the API for the rest of the transaction, as PostgREST does.
create schema if not exists tests;
grant usage on schema tests to public;
create function tests.act_as(role text, sub uuid default null, more jsonb default '{}') returns void
language plpgsql as $$
begin
  perform set_config('request.jwt.claims', (jsonb_build_object('role', act_as.role, 'sub', sub) || more)::text, true);
  perform set_config('request.method', 'POST', true);
  perform set_config('search_path', '"public", "extensions"', true);
  perform set_config('role', act_as.role, true);
end $$;
grant execute on function tests.act_as(text, uuid, jsonb) to public;
