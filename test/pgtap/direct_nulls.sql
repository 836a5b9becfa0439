-- Nulls where a row of public.jobs must have a value, from a client and from the owner: an error, never a crash.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
begin;
select no_plan();
create role tests_nulls_worker bypassrls;
select jobs_ext.grant_role('tests_nulls_worker', 'worker');
select (job_enqueue('bulk-update', job_id => 'there')).status \g /dev/null

-- INSERT: columns without a default of the server's.
select tests.refuses(format('set local role %I; insert into jobs (job_type, %I) values (%L, null)',
                            r.role, c.name, 'bulk-update'),
                     '23502', format('%%"%s"%%', c.name), format('%s inserts a null %s', r.who, c.name))
from (values ('a client', 'tests_nulls_worker'), ('the owner', session_user)) r (who, role),
     (values ('status'), ('organisation_id')) c (name);
select tests.refuses(format('set local role %I; insert into jobs (job_id) values (%L)', r.role, 'no type'),
                     '23502', '%"job_type"%', r.who || ' inserts a null job_type')
from (values ('a client', 'tests_nulls_worker'), ('the owner', session_user)) r (who, role);
select tests.refuses('insert into jobs (job_type, max_retries) values (''bulk-update'', null)',
                     '23502', '%"max_retries"%', 'the owner inserts a null max_retries');
set local role tests_nulls_worker;
insert into jobs (job_type, job_id, max_retries, retry_delay_ms, job_category)
values ('bulk-update', 'nulls', null, null, null);
select results_eq($$ select max_retries, retry_delay_ms, job_category::text from jobs where job_id = 'nulls' $$,
                  $$ values (3, 1000, 'optimization') $$, 'a client''s nulls become the values of the type');
reset role;

-- UPDATE of every column that is not null.
create function pg_temp.outcome(role name, call text) returns text language plpgsql as $$
declare state text; message text;
begin
  execute format('set local role %I', role);
  execute call;
  raise exception 'no error';
exception when others then
  get stacked diagnostics state = returned_sqlstate, message = message_text;
  return state || ' ' || message;
end $$;
select matches(pg_temp.outcome(r.role, format('update jobs set %I = null where job_id = %L', a.attname, 'there')),
               '^23502 .*"' || a.attname || '"', format('%s updates %s to null', r.who, a.attname))
from (values ('a client', 'tests_nulls_worker'), ('the owner', session_user)) r (who, role), pg_attribute a
where a.attrelid = 'jobs'::regclass and a.attnotnull and a.attnum > 0
  -- The server's own: what a client says of these does not count, nor anybody of updated_at.
  and a.attname <> 'updated_at' and not (r.who = 'a client' and a.attname in ('retries', 'attempt', 'created_at'));

-- As many nulls as there can be.
select matches(pg_temp.outcome('tests_nulls_worker',
                               format('insert into jobs (%s) values (%s)',
                                      string_agg(quote_ident(a.attname), ', '), string_agg('null', ', '))),
               '^23502 ', 'a row of nulls alone')
from pg_attribute a where a.attrelid = 'jobs'::regclass and a.attnum > 0;

-- An owner may drop NOT NULL: what can't be worked with is an error that names the column.
create function pg_temp.with_null(col name) returns text language plpgsql as $$
declare state text; message text;
begin
  execute format('alter table jobs alter %I drop not null', col);
  execute format(
    'alter table jobs disable trigger user; '
    'update jobs set %I = null where job_id = %L; '
    'alter table jobs enable trigger user',
    col, 'there');
  perform job_enqueue('bulk-update', job_id => 'there');
  perform job_enqueue('bulk-update', parent_job_id => j.id) from jobs j where j.job_id = 'there';
  perform job_claim(), job_list(), job_cancel(job_id => 'there');
  raise exception using errcode = 'TEST0', message = format('"%s" is not needed', col);
exception when others then
  get stacked diagnostics state = returned_sqlstate, message = message_text;
  return state || ' ' || message;
end $$;
select matches(pg_temp.with_null(a.attname),
               '^(22023|23502|TEST0) .*' || case when a.attname = 'job_id' then '' else '"' || a.attname || '"' end,
               'NOT NULL dropped: ' || a.attname)
from pg_attribute a where a.attrelid = 'jobs'::regclass and a.attnotnull and a.attnum > 0 and a.attname <> 'id';

select tests.in_step();
select * from finish();
rollback;
