create function jobs_ext.install() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  owner constant name := jobs_ext.owner();
begin
  if not pg_has_role(current_user, owner, 'usage') then
    raise exception 'must be "%", the owner of jobs_ext, to install its tables', owner using errcode = '42501';
  end if;
  if not has_schema_privilege(owner, 'public', 'create') then
    raise exception 'role "%" can''t create tables in schema "public"', owner
      using errcode = '42501', hint = format('grant create on schema public to %I', owner);
  end if;
  if jobs_ext.awaits_adoption() then
    raise exception 'table "jobs" is there already and is not adopted yet'
      using errcode = '55000',
            hint = 'If it holds your jobs: select jobs_ext.adopt(''public.jobs''); if it is something else, rename it.';
  end if;

  perform jobs_ext.install_jobs();
  perform jobs_ext.install_job_types();
  perform jobs_ext.install_job_attempts();
  perform jobs_ext.install_job_steps();
  perform jobs_ext.install_jobs_archive();
  perform jobs_ext.install_triggers();
  perform jobs_ext.install_views();
  perform jobs_ext.install_embedding();
end $$;
comment on function jobs_ext.install() is
'Makes what is missing of the tables and views in public, and adopts those that are there and belong to the owner of '
'the extension: their rows, policies, grants and columns stay as they are, missing triggers are put back, and '
'job_attempts and job_steps of an older version get the column organisation_id. CREATE EXTENSION does this itself, '
'except while a dump is being restored, and where public.jobs is to be adopted first.

Raises 42501 for anybody but the owner or when the owner can''t create in public, 42710 when a relation of that name '
'is somebody else''s or something else, 55000 when it lacks columns: jobs_ext.adopt() adds them to public.jobs.';
