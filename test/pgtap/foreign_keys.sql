-- Foreign keys of the user's on jobs, as a tenant's tables have them: every insert is checked by Postgres, on either
-- path, with the same errors; which go by the direct path, and which by a statement; and what a DELETE of the rows that
-- they name does to jobs in each state.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/jobs.sql
select no_plan();

set timezone = 'UTC';
set jobs_ext.now = '2030-01-01 00:00+00';

create table organisations (id uuid primary key);
create table restaurants (id uuid primary key) partition by hash (id);
create table restaurants_0 partition of restaurants for values with (modulus 2, remainder 0);
create table restaurants_1 partition of restaurants for values with (modulus 2, remainder 1);
create table users (id uuid primary key);
create function tests.uuid(n int) returns uuid language sql immutable
return ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid;
insert into organisations select tests.uuid(n) from generate_series(0, 5) n;
insert into restaurants select tests.uuid(n) from generate_series(1, 5) n;
insert into users select tests.uuid(n) from generate_series(1, 5) n;

create procedure tests.bind() language plpgsql as $$
begin
  alter table public.jobs
    add foreign key (organisation_id) references public.organisations on delete cascade,
    add foreign key (restaurant_id) references public.restaurants on delete set null,
    add foreign key (created_by) references public.users on delete set null;
end $$;
create procedure tests.unbind() language plpgsql as $$
begin
  alter table public.jobs drop constraint jobs_organisation_id_fkey, drop constraint jobs_restaurant_id_fkey,
    drop constraint jobs_created_by_fkey;
end $$;

-- Whether a call goes by the direct path: our trigger does not fire then.
set track_functions = 'all';
create function tests.path(call text) returns text language plpgsql as $$
declare
  before constant bigint := coalesce(pg_stat_get_xact_function_calls('jobs_ext.jobs_after_row()'::regprocedure), 0);
begin
  execute call;
  return case when coalesce(pg_stat_get_xact_function_calls('jobs_ext.jobs_after_row()'::regprocedure), 0) = before
              then 'direct' else 'statement' end;
end $$;
-- The error that a call raises, as clients see it, with the element of an array that it is about. What the call did is
-- undone, also where it raised nothing.
create function tests.error(call text) returns text language plpgsql as $$
declare
  got_state text; got_message text; got_detail text; got_name text; got_context text;
begin
  execute call;
  raise exception using errcode = 'TEST0';
exception
  when sqlstate 'TEST0' then return 'none';
  when others then
    get stacked diagnostics got_state = returned_sqlstate, got_message = message_text,
      got_detail = pg_exception_detail, got_name = constraint_name, got_context = pg_exception_context;
    return concat_ws(E'\n', got_state, got_message, got_detail, got_name,
                     substring(got_context from 'element \d+ of \w+'));
end $$;

--
-- What is checked, on either path
--
create function tests.checked(forced text) returns setof text language plpgsql as $$
declare
  way constant text := format(' (force_statement_path %s)', forced);
  missing constant text := E'23503\ninsert or update on table "jobs" violates foreign key constraint "jobs_%1$s_fkey"'
    || E'\nKey (%1$s)=(%2$s) is not present in table "%3$s".\njobs_%1$s_fkey';
  many constant text := 'select count(*) from job_enqueue_many(''[{"job_type": "alpha", "job_id": "m1"},
    {"job_type": "alpha"}, {"job_type": "alpha", "restaurant_id": "%s"}, {"job_type": "alpha"}]'')';
begin
  perform set_config('jobs_ext.force_statement_path', forced, true);
  return next is(tests.path($call$
      select job_enqueue('alpha', job_id => 'whole', organisation_id => tests.uuid(1), restaurant_id => tests.uuid(2),
                         created_by => tests.uuid(3)) $call$),
    case forced when 'on' then 'statement' else 'direct' end, 'a job whose keys all name something' || way);
  return next ok((select j.organisation_id = tests.uuid(1) and j.restaurant_id = tests.uuid(2)
                         and j.created_by = tests.uuid(3) from jobs j where job_id = 'whole'), 'it has them' || way);

  return next is(tests.error('select job_enqueue(''alpha'', organisation_id => tests.uuid(77))'),
                 format(missing, 'organisation_id', tests.uuid(77), 'organisations'), 'no such organisation' || way);
  return next is(tests.error('select job_enqueue(''alpha'', job_id => ''k'', organisation_id => tests.uuid(77))'),
                 format(missing, 'organisation_id', tests.uuid(77), 'organisations'), 'the same with a job_id' || way);
  return next is(tests.error('select job_enqueue(''alpha'', restaurant_id => tests.uuid(78))'),
                 format(missing, 'restaurant_id', tests.uuid(78), 'restaurants'), 'no such restaurant' || way);
  return next is(tests.error('select job_enqueue(''alpha'', created_by => tests.uuid(79))'),
                 format(missing, 'created_by', tests.uuid(79), 'users'), 'no such user' || way);
  return next is(tests.error('insert into jobs (job_type, created_by) values (''alpha'', tests.uuid(79))'),
                 format(missing, 'created_by', tests.uuid(79), 'users'), 'as an INSERT has it' || way);
  return next is(tests.error(format(many, tests.uuid(78))),
                 format(missing, 'restaurant_id', tests.uuid(78), 'restaurants') || E'\nelement 3 of jobs',
                 'in a batch, which element' || way);
  return query select tests.refuses(format(many, tests.uuid(78)), '23503', '%', 'a batch is undone as a whole' || way);
  return next is(tests.error(format(many, tests.uuid(5))), 'none', 'a batch whose keys all name something' || way);

  -- A parent by a foreign key, too: to the table itself, of a job that this transaction has made.
  execute 'alter table jobs add foreign key (parent_job_id) references jobs on delete set null';
  return next is(tests.path($call$ select job_enqueue('alpha', job_id => 'child', organisation_id => tests.uuid(1),
                                                           parent_job_id => tests.id('whole')) $call$),
                 case forced when 'on' then 'statement' else 'direct' end, 'a foreign key to jobs itself' || way);
  delete from jobs where job_id = 'whole';
  return next is((select parent_job_id from jobs where job_id = 'child'), null, 'which lets go' || way);
  delete from jobs where job_id = 'child';
  alter table jobs drop constraint jobs_parent_job_id_fkey;

  -- Of MATCH FULL, which a new job can break by a null.
  alter table organisations add unique (id), add other uuid default tests.uuid(1), add unique (id, other);
  execute 'alter table jobs add constraint pair foreign key (organisation_id, restaurant_id)
             references organisations (id, other) match full not valid';
  return next is(tests.path('select job_enqueue(''alpha'', job_id => ''pair'', organisation_id => tests.uuid(2),
                                                 restaurant_id => tests.uuid(1))'),
                 case forced when 'on' then 'statement' else 'direct' end, 'a key of two columns, not valid' || way);
  return next is(tests.error('select job_enqueue(''alpha'')'),
                 E'23503\ninsert or update on table "jobs" violates foreign key constraint "pair"\n'
                 'MATCH FULL does not allow mixing of null and nonnull key values.\npair', 'half a key' || way);
  alter table jobs drop constraint pair;
  alter table organisations drop other, drop constraint organisations_id_key;
  delete from jobs where job_id = 'pair';
  perform set_config('jobs_ext.force_statement_path', 'off', true);
end $$;
call tests.bind();
select tests.checked('off');
select tests.checked('on');
select is_empty('select * from jobs', 'nothing is left of either');
select tests.in_step();

-- Of a caller who may not read what the keys name: Postgres reads it as its owner, and says no more than it may.
do $$
begin
  if to_regrole('tests_key_producer') is null then
    create role tests_key_producer;
  end if;
  perform jobs_ext.grant_role('tests_key_producer', 'worker');
end $$;
alter table organisations enable row level security;
alter table organisations force row level security;
create function tests.as_producer(forced text) returns setof text language plpgsql as $$
begin
  perform set_config('jobs_ext.force_statement_path', forced, true), set_config('role', 'tests_key_producer', true);
  return next is(tests.error('select job_enqueue(''alpha'', organisation_id => tests.uuid(1))'), 'none',
                 format('the caller need not be able to read it (force_statement_path %s)', forced));
  return next alike(tests.error('select job_enqueue(''alpha'', organisation_id => tests.uuid(77))'),
                    E'23503\n%\nKey (organisation_id)=(%) is not present in table "organisations".%',
                    format('the caller may read the key (force_statement_path %s)', forced));
  perform set_config('role', 'none', true), set_config('jobs_ext.force_statement_path', 'off', true);
end $$;
select tests.as_producer('off');
select tests.as_producer('on');
alter table organisations disable row level security;

-- What the check runs of somebody else's, such as a function in a predicate that Postgres computes beforehand, it runs
-- as the owner of the table that the key names.
do $$
begin
  if to_regrole('tests_key_owner') is null then
    create role tests_key_owner;
  end if;
end $$;
alter table organisations owner to tests_key_owner;
create function tests.notes_user() returns boolean immutable language plpgsql as $$
begin
  return pg_catalog.set_config('tests.ran_as', current_user, false) is not null;
end $$;
create index by_predicate on organisations (id) where tests.notes_user();
create function tests.runs_as_owner(forced text) returns setof text language plpgsql as $$
begin
  alter table organisations set (fillfactor = 90); -- has the plan of the check, which the session keeps, made anew
  alter index by_predicate set (fillfactor = 80);
  perform set_config('tests.ran_as', '', false), set_config('jobs_ext.force_statement_path', forced, true),
          set_config('role', 'tests_key_producer', true);
  perform job_enqueue('alpha', organisation_id => tests.uuid(1));
  perform set_config('role', 'none', true), set_config('jobs_ext.force_statement_path', 'off', true);
  return next is(current_setting('tests.ran_as'), 'tests_key_owner',
                 format('a function runs as the owner (force_statement_path %s)', forced));
end $$;
select tests.runs_as_owner('off');
select tests.runs_as_owner('on');
drop index by_predicate;
alter table organisations owner to current_user;
drop owned by tests_key_owner;
drop role tests_key_owner;
delete from jobs;

-- After an error the session goes on: nothing of the trigger's queue is left.
begin;
savepoint s;
select throws_ok('select job_enqueue(''alpha'', created_by => tests.uuid(79))', '23503', null, 'in a savepoint');
rollback to s;
select job_enqueue('alpha', job_id => 'after', created_by => tests.uuid(1)) \g /dev/null
select throws_ok('select job_enqueue(''alpha'', created_by => tests.uuid(79))', '23503', null, 'and again');
commit;
select is(tests.status('after'), 'queued', 'what came between is there');
delete from jobs;

--
-- Where Postgres does not check, nothing is checked
--
create function tests.unchecked(forced text, title text) returns setof text language plpgsql as $$
begin
  perform set_config('jobs_ext.force_statement_path', forced, true);
  return next is(tests.path('select job_enqueue(''alpha'', job_id => ''odd'', organisation_id => tests.uuid(77))'),
                 case forced when 'on' then 'statement' else 'direct' end,
                 format('%s: not checked (force_statement_path %s)', title, forced));
  delete from jobs;
  perform set_config('jobs_ext.force_statement_path', 'off', true);
end $$;
create function tests.check_trigger() returns text language sql as $$
  select quote_ident(t.tgname) from pg_trigger t join pg_constraint c on c.oid = t.tgconstraint
  where c.conname = 'jobs_organisation_id_fkey' and t.tgrelid = 'jobs'::regclass
    and t.tgfoid = '"RI_FKey_check_ins"'::regproc
$$;
set session_replication_role = replica;
select tests.unchecked('off', 'a replica');
select tests.unchecked('on', 'a replica');
reset session_replication_role;
select throws_ok('select job_enqueue(''alpha'', organisation_id => tests.uuid(77))', '23503', null, 'else: checked');

do $$ begin execute 'alter table jobs enable always trigger ' || tests.check_trigger(); end $$;
set session_replication_role = replica;
select throws_ok('select job_enqueue(''alpha'', organisation_id => tests.uuid(77))', '23503', null,
                 'ENABLE ALWAYS: a replica checks, too');
reset session_replication_role;

do $$ begin execute 'alter table jobs disable trigger ' || tests.check_trigger(); end $$;
select tests.unchecked('off', 'a disabled trigger');
select tests.unchecked('on', 'a disabled trigger');
select throws_ok('select job_enqueue(''alpha'', created_by => tests.uuid(79))', '23503', null, 'the others are not');
do $$ begin execute 'alter table jobs enable trigger ' || tests.check_trigger(); end $$;
select throws_ok('select job_enqueue(''alpha'', organisation_id => tests.uuid(77))', '23503', null, 'enabled again');

call tests.unbind();
select tests.unchecked('off', 'unbound');
call tests.bind();
select throws_ok('select job_enqueue(''alpha'', organisation_id => tests.uuid(77))', '23503', null, 'bound again');
begin;
call tests.unbind();
select tests.unchecked('off', 'unbound');
rollback;
select throws_ok('select job_enqueue(''alpha'', organisation_id => tests.uuid(77))', '23503', null,
                 'an alteration that was rolled back');

--
-- Which foreign keys the direct path leaves to a statement
--
create function tests.way(title text, expected text) returns text language sql as $$
  select is(tests.path('select job_enqueue(''alpha'', job_category => ''letters'')'), expected, title)
$$;
create table categories (name text primary key, size bigint unique);
insert into categories values ('letters', 0);
alter table jobs add constraint mine foreign key (job_category) references categories;
select tests.way('varchar and text: an operator of Postgres''s', 'direct');
alter table jobs drop constraint mine;
alter table jobs add constraint mine foreign key (priority) references categories (size);
select tests.way('two types of Postgres''s: an operator of its own', 'direct');
alter table jobs drop constraint mine;
alter table jobs add mine text references categories;
select tests.way('a column of the user''s', 'statement');
alter table jobs drop mine;

create function tests.same(uuid, uuid) returns bool immutable strict language internal as 'uuid_eq';
create operator tests.=== (leftarg = uuid, rightarg = uuid, procedure = tests.same, commutator = operator(tests.===));
create operator class tests.own_ops for type uuid using btree as
  operator 1 <, operator 2 <=, operator 3 tests.===, operator 4 >=, operator 5 >, function 1 uuid_cmp(uuid, uuid);
create table tenants (id uuid not null);
create unique index on tenants (id tests.own_ops);
insert into tenants table organisations;
alter table jobs add constraint mine foreign key (organisation_id) references tenants (id);
select tests.way('an operator of the user''s', 'statement');
select is(tests.error('select job_enqueue(''alpha'')'), 'none', 'it is checked as well');
delete from tenants where id = tests.uuid(5);
select throws_like('select job_enqueue(''alpha'', organisation_id => tests.uuid(5))', '%foreign key constraint "mine"',
                   'by that statement');
alter table jobs drop constraint mine;

-- The check of a deferred one comes at the end, of the newest version of the row. So no update of a row that the
-- transaction has inserted may pass by the trigger.
alter table jobs alter constraint jobs_organisation_id_fkey deferrable initially deferred;
select tests.way('a deferrable one', 'statement');
select is(tests.error($$ do $do$ begin
    perform job_enqueue('alpha', organisation_id => tests.uuid(77), priority => 10, run_at => '2000-01-01');
    set constraints all immediate;
  end $do$ $$), E'23503\ninsert or update on table "jobs" violates foreign key constraint "jobs_organisation_id_fkey"\n'
  'Key (organisation_id)=(00000000-0000-0000-0000-000000000077) is not present in table "organisations".\n'
  'jobs_organisation_id_fkey', 'a deferred one: at the end of the transaction');
select is(split_part(tests.error($$ do $do$ begin
    perform job_enqueue('alpha', organisation_id => tests.uuid(77), priority => 10, run_at => '2000-01-01');
    if (select c.organisation_id from job_claim() c) <> tests.uuid(77) then
      raise 'another job was claimed';
    end if;
    set constraints all immediate;
  end $do$ $$), E'\n', 1), '23503', 'also of a job that was claimed since');
alter table jobs alter constraint jobs_organisation_id_fkey not deferrable;
select tests.way('not deferrable any more', 'direct');
delete from jobs;
select tests.in_step();

--
-- What a DELETE of what they name does
--
set jobs_ext.max_payload = '256kB';
create procedure tests.one_of_each() language plpgsql as $$
declare
  state text;
begin
  perform job_enqueue('gamma', job_id => s, organisation_id => tests.uuid(4), restaurant_id => tests.uuid(4),
                      created_by => tests.uuid(4), priority => 10,
                      run_at => case s when 'pending' then timestamptz '2031-01-01+00' end,
                      input_payload => jsonb_build_object('long', repeat('x', 100000)))
  from unnest('{running, asked to stop, completed, failed, cancelled, paused, queued, pending}'::text[]) s;
  foreach state in array array['running', 'asked to stop', 'completed', 'failed'] loop
    update jobs set status = 'in_progress', worker = 'w' where job_id = state;
  end loop;
  perform job_cancel(job_id => 'asked to stop');
  perform job_complete(tests.id('completed'), tests.lease('completed'), '{"done": true}');
  perform job_fail(tests.id('failed'), tests.lease('failed'), 'no', permanent => true);
  perform job_cancel(job_id => 'cancelled');
  perform job_pause(job_id => 'paused');
end $$;
call tests.one_of_each();
-- One that the owner gave what no client may.
insert into jobs (job_type, job_id, run_at, updated_at, organisation_id, restaurant_id, created_by)
values ('gamma', 'never', 'infinity', '2030-01-01+00', tests.uuid(4), tests.uuid(4), tests.uuid(4));
create temp table was as select j.* from jobs j;
select is((select string_agg(distinct status, ' ' order by status) from jobs),
          'cancelled completed failed in_progress paused pending queued', 'a job in each state');

-- By somebody who may do nothing with jobs, when the limits have become narrower.
do $$
begin
  if to_regrole('tests_clerk') is null then
    create role tests_clerk;
  end if;
end $$;
grant select, delete on users, restaurants, organisations to tests_clerk;
set jobs_ext.max_payload = '1kB';
set role tests_clerk;
select lives_ok('delete from users where id = tests.uuid(4)', 'a user goes');
select lives_ok('delete from restaurants where id = tests.uuid(4)', 'a restaurant goes');
reset role;
select set_eq($$ select to_jsonb(j) from jobs j $$,
              $$ select to_jsonb(w) || '{"restaurant_id": null, "created_by": null}' from was w $$,
              'every job is as it was but for the two');
select tests.in_step();
select throws_ok($$ update jobs set metadata = input_payload where job_id = 'queued' $$, 'PT413', null,
                 'what an UPDATE gives anew is held to the limit');
select throws_ok($$ update jobs set input_payload = input_payload || '{"more": 1}' where job_id = 'queued' $$, 'PT413',
                 null, 'also in the place of what was over it');
reset jobs_ext.max_payload;

select is((job_heartbeat(tests.id('running'), tests.lease('running'))).status, 'in_progress', 'its worker goes on');
select id, lease_id from jobs where job_id = 'running' \gset
set role tests_clerk;
select lives_ok('delete from organisations where id = tests.uuid(4)', 'the organisation goes');
reset role;
select is_empty('select * from jobs', 'and takes its jobs along');
select is_empty('select * from job_attempts', 'their attempts');
select tests.in_step('and what is derived from them');
select throws_ok(format('select job_heartbeat(%L, %L)', :'id', :'lease_id'), 'PT404', null,
                 'the worker of a running one hears PT404: a heartbeat');
select throws_ok(format('select job_complete(%L, %L)', :'id', :'lease_id'), 'PT404', null, 'a completion');
select throws_ok(format('select job_fail(%L, %L)', :'id', :'lease_id'), 'PT404', null, 'a failure');
select is((select (h.id, h.lease_id, h.status)::text
           from job_heartbeat_many(jsonb_build_array(jsonb_build_object('id', :'id', 'lease_id', :'lease_id'))) h),
          format('(%s,,)', :'id'), 'in a batch: lost');

drop owned by tests_clerk;
drop role tests_clerk;
drop owned by tests_key_producer;
drop role tests_key_producer;
select * from finish();
