-- The upgrade path: from every version to every newer one, and what is installed is the newest.
\t on
\a
select source, target, path from pg_extension_update_paths('jobs_ext') where path is not null and source < target;
select extversion = default_version as newest
from pg_extension e join pg_available_extensions a on a.name = e.extname where extname = 'jobs_ext';
-- An update to the version that is there is allowed and changes nothing.
alter extension jobs_ext update;
-- DROP EXTENSION takes neither tables nor rows; CREATE EXTENSION takes them up again, and work goes on.
set client_min_messages = warning;
truncate jobs;
select created from job_enqueue('import-csv', job_id => 'kept');
create table before as
  select c.relname, c.relkind from pg_class c where c.relnamespace = 'public'::regnamespace and c.relname like 'job%';
drop extension jobs_ext cascade;
select job_id, status from jobs;
create extension jobs_ext;
select relname, relkind from before
except select c.relname, c.relkind from pg_class c where c.relnamespace = 'public'::regnamespace;
select job_id, status, attempt from job_claim(worker => 'w');
select status from job_complete((select id from jobs), (select lease_id from jobs));
select count(*) from jobs_ext.queue;
drop table before;
