-- Nothing of an organisation is left. src/upkeep/erase.cpp says when, and who else may be at its jobs.

create function jobs_ext.erased(archived_until timestamptz)
returns table (relation text, rows text)
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  select p.relation,
         'organisation_id = $1' || case when isfinite(archived_until) then ' and archived_at <= $2' else '' end
  from jobs_ext.policies() p
  where p.by_job is null and p.command = 'select' and to_regclass(p.relation) is not null
    and (p.relation = 'public.jobs_archive' or not isfinite(archived_until))
  order by p.relation;
end;
comment on function jobs_ext.erased(timestamptz) is
'The tables that an erasure of an organisation empties, as jobs_ext.erasures has it, and the condition on their rows; '
'$1 is the organisation, $2 is archived_until.';

-- Both are called as the owner of the tables, which the API's are (jobs_ext.policies() lists them). With a job go its
-- attempts, and whatever else follows it.
create function jobs_ext.erase_batch(organisation uuid, archived_until timestamptz, most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  emptied record;
  erased integer := 0;
  count integer;
begin
  for emptied in select e.relation, e.rows from jobs_ext.erased(archived_until) e loop
    exit when erased >= most;
    -- What somebody has locked is not waited for.
    execute format(
      'delete from %1$s where %2$s and id = any (array(
         select t.id from %1$s t where %2$s limit $3 for update skip locked))', emptied.relation, emptied.rows)
      using organisation, archived_until, most - erased;
    get diagnostics count = row_count;
    erased := erased + count;
  end loop;
  return erased;
end $$;
comment on function jobs_ext.erase_batch(uuid, timestamptz, integer) is
'Deletes so many jobs of an organisation, archived ones too, and returns how many it were. archived_until: as in '
'jobs_ext.erasures.';

create function jobs_ext.left_to_erase(organisation uuid, archived_until timestamptz, most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  counted record;
  count integer;
  total integer := 0;
begin
  for counted in select e.relation, e.rows from jobs_ext.erased(archived_until) e loop
    execute format('select count(*) from (select from %s where %s limit $3) t', counted.relation, counted.rows)
      into count using organisation, archived_until, most - total;
    total := total + count;
  end loop;
  return total;
end $$;
comment on function jobs_ext.left_to_erase(uuid, timestamptz, integer) is
'How many jobs of an organisation are to be deleted, archived ones too, counted up to this number. archived_until: as '
'in jobs_ext.erasures.';

create function jobs_ext.erase_organisation(id uuid) returns bigint
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.erase_organisation(uuid) is
'Erases all that an organisation has in the tables of jobs_ext: jobs in any status, archived ones, attempts and '
'whatever else belongs to a job. For the owner of public.jobs.

Deletes 1000 rows and leaves the rest to the worker, or to job_maintain(), which go on by 500, each time in a '
'transaction of their own, so that no lock is held for long; it may be called again to go on at once. The worker of a '
'job that is gone hears PT404. A function and no procedure, so that it can be called over an API and in a transaction.

id: the organisation; the nil UUID has the jobs of nobody. It does not keep new ones from coming: stop its users, or '
'delete the organisation (jobs_ext.bind()), which does the same. Schedules that enqueue for it (job_schedule) are not
among what it has: job_unschedule() ends them.

Returns how many rows are left, counted up to 100000; 0: nothing is. Raises 22023 for null, 42501 for anybody but the '
'owner, or where the session holds temporary objects of a third role.';

create function jobs_ext.organisation_deleted() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.organisation_deleted() is
'Triggers on the table of organisations that jobs are bound to: has erased what a deleted one leaves in the archive, '
'or all of them after TRUNCATE.';
