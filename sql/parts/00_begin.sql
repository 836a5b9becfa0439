\echo Use "CREATE EXTENSION jobs_ext" to load this file. \quit

-- The script runs as the bootstrap superuser, whoever called CREATE EXTENSION (trusted = true). So it resolves nothing
-- outside pg_catalog, names everything else in full, and never takes over an object that is there already.
set local search_path = pg_catalog, pg_temp;

-- The schema may be there before the extension; nothing in it may stand in for a function of ours. Its owner may make
-- functions in it later on: so whatever calls one of ours, in this script or in a function, gives each argument just
-- the type that ours takes, and leaves out none.
do $$
declare
  stray regprocedure;
begin
  select p.oid into stray from pg_proc p where p.pronamespace = 'jobs_ext'::regnamespace limit 1;
  if found then
    raise exception 'schema "jobs_ext" holds function % already', stray
      using errcode = '42723',
            hint = 'The schema is the extension''s own: drop the function, or move it to another schema.';
  end if;
end $$;

create function jobs_ext.restoring() returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return current_setting('row_security') = 'off'
    or coalesce(nullif(current_setting('jobs_ext.restoring', true), '')::boolean, false);
comment on function jobs_ext.restoring() is
'Whether a dump is being restored, which makes the tables itself: row_security is off in the script of pg_dump; where '
'it is on (--enable-row-security), jobs_ext.restoring says so.';

-- Who owns a schema can put things into it: it must be the caller's. A superuser may use anybody's; it becomes the
-- superuser's, except in a restore, which gives each schema to the owner that it had.
do $$
declare
  caller pg_roles;
  schema_owner name;
begin
  select r.* into caller from pg_extension e join pg_roles r on r.oid = e.extowner where e.extname = 'jobs_ext';
  select pg_get_userbyid(n.nspowner) into schema_owner from pg_namespace n where n.nspname = 'jobs_ext';
  if schema_owner = caller.rolname then
    return;
  elsif not caller.rolsuper then
    raise exception 'schema "jobs_ext" belongs to "%", not to "%"', schema_owner, caller.rolname
      using errcode = '42501',
            hint = 'Rename or drop that schema, or let its owner create the extension.';
  elsif not jobs_ext.restoring() then
    execute format('alter schema jobs_ext owner to %I', caller.rolname);
  end if;
end $$;
