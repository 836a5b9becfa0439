-- What Supabase's linter says of the tables, views, policies and functions: nothing, at installation, bound in each
-- way, and unbound. Each lint finds what it is there for.
\ir setup/begin.psql
begin;
\ir setup/tenants.sql
\ir ../supabase/linter.sql
select no_plan();
grant select on profiles, organisations to authenticated;
create function my_organisations() returns setof uuid language sql stable set search_path = '' as
  $$ select null::uuid $$;
create function user_can_access_org_data(uuid, uuid) returns boolean language sql stable set search_path = '' as
  $$ select true $$;

select is_empty('select * from tests.lints', 'as installed');
select is_empty($$ select from tests.relations t where t.relispartition and not t.relrowsecurity and not t.is_member
                     and t.relkind = 'r' $$, 'partitions of the archive too have row security');
select is((select count(*) > 3 from tests.relations where relispartition and relkind = 'r'), true, 'and are looked at');
select jobs_ext.make_archive_month('2031-05-05') \g /dev/null
select is_empty('select * from tests.lints', 'with another month');
select jobs_ext.bind('organisations', 'restaurants', 'users') \g /dev/null
select is_empty('select * from tests.lints', 'bound, by profiles');
select jobs_ext.bind(membership => 'my_organisations') \g /dev/null
select is_empty('select * from tests.lints', 'bound, by a set of organisations');
select jobs_ext.bind(membership => 'user_can_access_org_data', status_index => true) \g /dev/null
select is_empty('select * from tests.lints', 'bound, by user and organisation');
select jobs_ext.make_archive_month('2031-06-05') \g /dev/null
select is_empty('select * from tests.lints', 'with one more month');
select jobs_ext.unbind() \g /dev/null
select is_empty('select * from tests.lints', 'unbound');

create table with_worker (worker text primary key);
-- That they find something: one fault for each.
create function pg_temp.finds(fault text) returns text language plpgsql as $$
declare found text;
begin
  execute fault;
  select string_agg(distinct left(lint, 4), ' ' order by left(lint, 4)) into found from tests.lints;
  raise exception using errcode = 'TEST0', message = coalesce(found, 'nothing');
exception when sqlstate 'TEST0' then return sqlerrm;
end $$;
select is(pg_temp.finds(fault), lint, lint || ': ' || fault)
from (values
  ('0001', 'alter table jobs add foreign key (worker) references with_worker (worker)'),
  ('0003', 'create policy x on jobs for delete to authenticated
            using (id::text = current_setting(''request.jwt.claims''))'),
  ('0003', 'create policy x on jobs for delete to authenticated
            using (organisation_id = jobs_ext.claimed_organisation())'),
  ('0004', 'alter table job_attempts drop constraint job_attempts_pkey'),
  ('0006', 'create policy x on jobs to authenticated using (id is null)'),
  ('0007', 'alter table job_attempts disable row level security; grant select on jobs to anon; '
           'revoke all on job_attempts from authenticated'),
  ('0008', 'drop policy jobs_ext_members_read on job_attempts'),
  ('0009', 'create index x on jobs (created_at)'),
  ('0010', 'create view public.jobs_x as select 1'),
  ('0011', 'create function public.job_x() returns int language sql as ''select 1'''),
  ('0015', 'create policy x on jobs for delete to authenticated using (''user_metadata'' = job_id)'),
  ('0016', 'create materialized view jobs_x as select 1 as a'),
  ('0018', 'alter table job_types add x regprocedure'),
  ('0024', 'create policy x on jobs for delete to authenticated using (true)'),
  ('0028', 'create function public.job_x() returns int language sql security definer set search_path = ''''
            as ''select 1''; '
           'grant execute on function job_x() to authenticated')) v (lint, fault);
select * from finish();
rollback;
