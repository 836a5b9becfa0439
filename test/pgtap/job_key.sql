-- job_key: the same key again, within its organisation and for the same type, gives the job that is there, whatever
-- else the call says by then; and what a tenant learns of another's key, which is nothing.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
begin;
set local timezone = 'UTC';
set local jobs_ext.now = '2030-01-01 12:00:00+00';
set local plpgsql.variable_conflict = use_column;
select no_plan();
\set org1 '''aaaaaaaa-0000-0000-0000-000000000001'''
\set org2 '''aaaaaaaa-0000-0000-0000-000000000002'''

-- On both paths.
create function pg_temp.keys_of_a_path(path text) returns setof text language plpgsql as $body$
declare
  a public.job_state;
  b public.job_state;
  many public.job_state[];
  nobody constant uuid := '00000000-0000-0000-0000-0000000000ff';
begin
  perform set_config('jobs_ext.force_statement_path', path, true);
  a := job_enqueue('bulk-update', '{"n": 1}', job_key => 'once');
  b := job_enqueue('bulk-update', '{"n": 2}', 5, job_key => 'once', metadata => '{"a": 1}');
  return next is(to_jsonb(b) - 'created', to_jsonb(a) - 'created', path || ': the same key, the same job');
  return next ok(a.created and not b.created, path || ': created says which call made it');
  return next is((select array[input_payload::text, priority::text, job_key] from jobs where id = a.id),
                 array['{"n": 1}', '0', 'once'], path || ': as the first call made it');
  return next is((select count(*) from jobs where job_key = 'once'), 1::bigint, path || ': one job');
  return next matches(a.job_id, '^bulk-update-[0-9a-z]{26}$', path || ': its job_id is the server''s');
  return next is((select (job_cancel(a.id)).status), 'cancelled', path || ': it ends');
  return next is((select array[e.id::text, e.status, e.created::text]
                  from job_enqueue('bulk-update', job_key => 'once') e),
                 array[a.id::text, 'cancelled', 'false'], path || ': and is found ended');
  return next tests.refuses($$select job_enqueue('import-csv', job_key => 'once')$$, 'PT409',
                            'the job_key "once" is taken', 'key_taken', path || ': another type');
  b := job_enqueue('import-csv', job_key => 'once', organisation_id => nobody);
  return next ok(b.created and b.id <> a.id, path || ': another organisation has keys of its own');
  b := job_enqueue('bulk-update', job_id => 'once');
  return next ok(b.created and b.id <> a.id, path || ': a job_id is no job_key');
  delete from jobs where id = a.id;
  return next is((select e.created from job_enqueue('bulk-update', job_key => 'once') e), true,
                 path || ': the key of a job that is gone is free');

  -- Nothing else of the call is judged. What it says of a new job is refused, and leaves nothing behind.
  perform job_type_set('removed');
  a := job_enqueue('removed', job_key => 'again', job_id => 'again-id');
  delete from job_types where job_type = 'removed';
  for i in 1 .. 2 loop
    return query
      select is((tests.state_of(format(c.call, c.existing))), (a.id || ' false')::text,
                format('%s: %s, though %s', path, c.existing, c.what))
      from (select s.call, s.what, case i when 1 then $$job_key => 'again'$$ else $$job_id => 'again-id'$$ end
            from (values
              ($$job_enqueue('removed', %s)$$, 'its type was removed'),
              ($$job_enqueue('removed', expires_at => '2029-12-31', %s)$$, 'expires_at has passed'),
              ($$job_enqueue('removed', run_at => '2031-01-01', expires_at => '2030-06-01', %s)$$,
               'it expires before run_at'),
              ($$job_enqueue('removed', parent_job_id => '00000000-0000-0000-0000-0000000000fe', %s)$$,
               'the parent is gone'),
              ($$job_enqueue('removed', jsonb_build_object('x', repeat('x', 300000)), %s)$$,
               'the payload is too large'),
              ($$job_enqueue('removed', metadata => jsonb_build_object('x', repeat('x', 300000)), %s)$$,
               'the metadata are'),
              ($$job_enqueue('removed', max_retries => 1000, %s)$$, 'max_retries is beyond the type''s')
            ) as s (call, what)) as c (call, what, existing);
  end loop;
  return query
    select tests.refuses('select ' || format(c.call, k.key), c.state, c.message,
                         format('%s: a new job, %s: %s', path, k.key, c.call))
    from (values ($$job_key => 'new'$$), ($$job_id => 'new'$$), ($$job_key => 'new', job_id => 'new'$$)) as k (key),
         (values
           ($$job_enqueue('removed', %s)$$, '22023', '%"removed"%'),
           ($$job_enqueue('bulk-update', expires_at => '2029-12-31', %s)$$, '22023', 'expires_at is before%'),
           ($$job_enqueue('bulk-update', parent_job_id => '00000000-0000-0000-0000-0000000000fe', %s)$$, '22023',
            'parent_job_id names no job%'),
           ($$job_enqueue('bulk-update', jsonb_build_object('x', repeat('x', 300000)), %s)$$, 'PT413',
            'input_payload is too large%'),
           ($$job_enqueue('bulk-update', metadata => jsonb_build_object('x', repeat('x', 300000)), %s)$$, 'PT413',
            'metadata is too large%')
         ) as c (call, state, message);

  -- Both keys: job_key decides first.
  a := job_enqueue('bulk-update', job_key => 'both', job_id => 'both-id');
  return next is(row(a.job_id, a.created)::text, '(both-id,t)', path || ': a new job gets both');
  return next is(tests.state_of($$job_enqueue('bulk-update', job_key => 'both', job_id => 'both-id')$$),
                 a.id || ' false', path || ': both again');
  return next is(tests.state_of($$job_enqueue('bulk-update', job_key => 'both')$$), a.id || ' false',
                 path || ': its job_key alone');
  return next is(tests.state_of($$job_enqueue('bulk-update', job_id => 'both-id')$$), a.id || ' false',
                 path || ': its job_id alone');
  perform job_enqueue('bulk-update', job_id => 'unkeyed');
  return query
    select tests.refuses('select ' || c.call, 'PT409', c.message, 'key_taken', path || ': ' || c.call)
    from (values
      ($$job_enqueue('bulk-update', job_key => 'both', job_id => 'other')$$, 'the job_key "both" is taken'),
      ($$job_enqueue('bulk-update', job_key => 'both', job_id => 'unkeyed')$$, 'the job_key "both" is taken'),
      ($$job_enqueue('bulk-update', job_key => 'other', job_id => 'both-id')$$, 'the job_id "both-id" is taken'),
      ($$job_enqueue('bulk-update', job_key => 'other', job_id => 'unkeyed')$$, 'the job_id "unkeyed" is taken'),
      ($$job_enqueue('bulk-update', job_key => 'both', job_id => 'both-id',
                     organisation_id => '00000000-0000-0000-0000-0000000000ff')$$, 'the job_id "both-id" is taken'),
      ($$job_enqueue('import-csv', job_key => 'both', job_id => 'both-id')$$, 'the job_key "both" is taken')
    ) as c (call, message);

  -- Many at once.
  select array_agg(m) into many
  from job_enqueue_many('[{"job_type": "bulk-update", "job_key": "z"}, {"job_type": "bulk-update"},
                          {"job_type": "bulk-update", "job_key": "a"},
                          {"job_type": "bulk-update", "job_key": "a", "expires_at": "2000-01-01"},
                          {"job_type": "bulk-update", "job_key": "a",
                           "organisation_id": "00000000-0000-0000-0000-0000000000FF"},
                          {"job_type": "bulk-update", "job_key": null, "job_id": "both-id"}]') m;
  return next is((select string_agg(format('%s %s', coalesce(j.job_key, '-'), m.created), ', ' order by m.n)
                  from rows from (unnest(many)) with ordinality
                       as m (id, job_id, job_type, status, attempt, retries, lease_id, run_at, lease_expires_at,
                             cancel_requested_at, finished_at, created, n)
                  join jobs j on j.id = m.id),
                 'z t, - t, a t, a f, a t, both f', path || ': job_enqueue_many, in the order of its array');
  return next tests.refuses($$select job_enqueue_many('[{"job_type": "bulk-update", "job_key": "b"},
                                                        {"job_type": "import-csv", "job_key": "a"}]')$$,
                            'PT409', 'element 2 of jobs: the job_key "a" is taken', 'key_taken',
                            path || ': all or nothing');

  -- What a key is.
  a := job_enqueue('bulk-update', job_key => repeat('é', 255));
  return next is(tests.state_of($$job_enqueue('bulk-update', job_key => repeat('é', 255))$$), a.id || ' false',
                 path || ': 255 characters');
  return next tests.refuses($$select job_enqueue('bulk-update', job_key => repeat('é', 256))$$, '22023',
                            'job_key must have at most 255 characters: it has 256', path || ': 256');
  return next tests.refuses($$select job_enqueue('bulk-update', job_key => '')$$, '22023', 'job_key must not be empty',
                            path || ': none');
  delete from jobs;
end $body$;
create function tests.state_of(call text) returns text language plpgsql as $$
declare
  state public.job_state;
begin
  execute 'select (e).* from ' || call || ' e' into state;
  return state.id || ' ' || state.created;
end $$;
select pg_temp.keys_of_a_path('off');
select pg_temp.keys_of_a_path('on');
set local jobs_ext.force_statement_path = off;
select tests.in_step('after all this');

-- A new type registers itself before its job is written, with a key and without.
set local jobs_ext.auto_register_types = on;
select ok((job_enqueue('unheard-of', job_key => 'u')).created, 'a type that registers itself');
select is((select count(*) from job_types where job_type = 'unheard-of'), 1::bigint, 'is registered');
set local jobs_ext.auto_register_types = off;

-- SQL of the client's own. Not as the owner, who may mend everything.
create role tests_writer;
select jobs_ext.grant_role('tests_writer', 'worker') \g /dev/null
set local role tests_writer;
insert into jobs (job_type, job_key) values ('bulk-update', 'mine');
select throws_like($$ insert into jobs (job_type, job_key) values ('import-csv', 'mine') $$,
                   'duplicate key value violates unique constraint "idx_jobs_job_key"', 'INSERT: the key is taken');
select lives_ok($$ insert into jobs (job_type, job_key, organisation_id)
                   values ('import-csv', 'mine', 'aaaaaaaa-0000-0000-0000-000000000001') $$,
                'not that of another organisation');
select lives_ok($$ insert into jobs (job_type, job_key) values ('import-csv', 'mine')
                   on conflict (organisation_id, job_key) where job_key is not null do nothing $$,
                'ON CONFLICT names it');
select is((select created from job_enqueue('bulk-update', job_key => 'mine')), false, 'a verb finds it');
select tests.refuses($$insert into jobs (job_type, job_key) values ('import-csv', repeat('k', 256))$$, '22023',
                     'job_key must have at most 255 characters: it has 256', 'INSERT: too long a key');
select tests.refuses($$insert into jobs (job_type, job_key) values ('import-csv', '')$$, '22023',
                     'job_key must not be empty', 'INSERT: an empty key');
select tests.refuses($$ update jobs set job_key = 'other' where job_key = 'mine' $$, '22023',
                     'the job_key of job % cannot be changed', 'UPDATE does not change it');
select tests.refuses($$ update jobs set job_key = null where job_key = 'mine' $$, '22023',
                     'the job_key of job % cannot be changed', 'nor takes it away');
update jobs set job_key = 'mine', priority = 3 where job_key = 'mine';
select results_eq($$ select job_key, priority from jobs where job_key is not null and job_type <> 'unheard-of' $$,
                  $$ values ('mine', 3), ('mine', 3) $$, 'the same again is no change');
reset role;
select is((select i.indisunique and pg_relation_size(i.indexrelid) > 0 from pg_index i
           where i.indexrelid = 'idx_jobs_job_key'::regclass), true, 'its index is unique');
delete from jobs;

-- A key of the user's own besides is one that the caller hears of.
create unique index only_one on jobs ((metadata ->> 'only')) where metadata ? 'only';
select pg_temp.keys_of_a_path('off');
select pg_temp.keys_of_a_path('on');
select ok((job_enqueue('bulk-update', job_key => 'k1', metadata => '{"only": 1}')).created, 'the first one');
select tests.refuses(format($$set local jobs_ext.force_statement_path = %s;
                              select job_enqueue('bulk-update', %s, metadata => '{"only": 1}')$$, p.path, k.keys),
                     '23505', '%"only_one"', format('%s: %s', p.path, k.keys))
from (values ('off'), ('on')) as p (path),
     (values ($$job_key => 'k2'$$), ($$job_id => 'k2'$$), ($$job_key => 'k2', job_id => 'k2'$$)) as k (keys);
drop index only_one;
delete from jobs;

-- An index that serves as well, and those that do not.
drop index idx_jobs_job_key;
select throws_ok($$ select job_enqueue('bulk-update') $$, '42804', null, 'without the index');
create unique index whole on jobs (organisation_id, job_key);
select pg_temp.keys_of_a_path('off');
select pg_temp.keys_of_a_path('on');
drop index whole;
select throws_ok(format($$ create unique index part on jobs (organisation_id, job_key) where %s;
                           select job_enqueue('bulk-update') $$, p.predicate), '42804', null, 'only ' || p.predicate)
from (values ('job_key is null'), ('job_id is not null'), ('organisation_id is not null'),
             ('job_key is not null and priority = 0'), ($$job_key <> ''$$)) as p (predicate);
create unique index idx_jobs_job_key on jobs (organisation_id, job_key) where job_key is not null;
select ok((job_enqueue('bulk-update', job_key => 'k')).created, 'with it again');
delete from jobs;

--
-- Two tenants
--
create role tests_member;
select jobs_ext.grant_role('tests_member', 'producer') \g /dev/null
alter table jobs enable row level security;
create table public.members (organisation uuid, name text);
insert into members values (:org1, 'ann'), (:org2, 'bob');
grant select on members to tests_member;
create function pg_temp.become(name text) returns void language sql as $$
  select set_config('request.jwt.claims',
                    jsonb_build_object('sub', name, 'org_id', (select m.organisation from members m
                                                               where m.name = become.name))::text, true),
         set_config('role', 'tests_member', true)
$$;

-- The blocks of each table and index that a call reads, and what it says. Nothing that it does stays.
create function pg_temp.fetched() returns jsonb language sql as $$
  select jsonb_object_agg(c.oid::regclass::text, pg_stat_get_xact_blocks_fetched(c.oid))
  from pg_class c
  where c.relnamespace in ('public'::regnamespace, 'jobs_ext'::regnamespace) and c.relkind in ('r', 'i')
$$;
create function pg_temp.price(name text, call text) returns jsonb language plpgsql as $$
declare
  before jsonb;
  state text;
  price jsonb;
  least_price jsonb;
begin
  -- The first two may plan, and meet what the others left. One of the others may begin a page: the row of a call that
  -- is rolled back takes its room all the same.
  for i in 1 .. 4 loop
    before := pg_temp.fetched();
    begin
      perform pg_temp.become(name);
      execute 'select ' || call;
      state := 'yes';
      raise exception using errcode = 'TEST0';
    exception
      when sqlstate 'TEST0' then null;
      when others then state := sqlstate;
    end;
    price := jsonb_build_object('says', state)
      || (select jsonb_object_agg(f.key, f.value::int - (before ->> f.key)::int)
          from jsonb_each_text(pg_temp.fetched()) f where f.value <> before ->> f.key);
    if i = 3 or i = 4 and (price ->> 'jobs')::int < (least_price ->> 'jobs')::int then
      least_price := price;
    end if;
  end loop;
  return least_price;
end $$;

create function pg_temp.tenants(policy text, check_of_it text) returns setof text language plpgsql as $body$
begin
  execute format('create policy theirs on jobs to tests_member using (%s) with check (%1$s)', check_of_it);
  perform job_enqueue('bulk-update', job_key => format('key-%s', to_char(n, 'FM0000')),
                      organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001')
  from generate_series(1, 1000) n;
  perform job_enqueue('bulk-update', job_key => 'key-9999', organisation_id => 'aaaaaaaa-0000-0000-0000-000000000002');
  analyze jobs;

  -- key-0500 is Ann's, key-5000 nobody's.
  return next is(pg_temp.price('bob', $$job_enqueue('bulk-update', job_key => 'key-0500')$$),
                 pg_temp.price('bob', $$job_enqueue('bulk-update', job_key => 'key-5000')$$),
                 policy || ': another tenant''s key and nobody''s cost the same');
  return query
    select is(pg_temp.price('bob', format('job_enqueue(%L, job_key => %L)', 'bulk-update', v.k)) ->> 'says', 'yes',
              policy || ': and make a job: ' || v.k)
    from (values ('key-0500'), ('key-5000')) v (k);
  return query
    select is(pg_temp.price('bob', format(c.call, 'key-0500')), pg_temp.price('bob', format(c.call, 'key-5000')),
              format('%s: %s costs the same', policy, c.call))
    from (values
      ($$job_enqueue('bulk-update', job_key => %L, organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001')$$),
      ($$job_enqueue('import-csv', job_key => %L, organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001')$$),
      ($$job_enqueue('bulk-update', job_key => %L, job_id => 'i',
                     organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001')$$),
      ($$job_enqueue('bulk-update', job_key => %L, expires_at => '2000-01-01',
                     organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001')$$),
      ($$job_enqueue('never-registered', job_key => %L, organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001')$$),
      ($$job_enqueue_many(jsonb_build_array(jsonb_build_object('job_type', 'bulk-update', 'job_key', %L,
                          'organisation_id', 'aaaaaaaa-0000-0000-0000-000000000001')))$$)
    ) as c (call);
  return query
    select is(array[p.price ->> 'says', p.price ->> 'idx_jobs_job_key', p.price ->> 'jobs_job_id_key'],
              array['42501', null, null],
              format('%s: in another''s organisation nothing is looked for: %s', policy, p.call))
    from (select c.call, pg_temp.price('bob', c.call) as price
          from (values
            ($$job_enqueue('bulk-update', job_key => 'key-0500',
                           organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001')$$),
            ($$job_enqueue('bulk-update', job_key => 'key-0500', job_id => 'i', expires_at => '2000-01-01',
                           organisation_id => 'aaaaaaaa-0000-0000-0000-000000000001')$$)
          ) as c (call)) p;
  return next cmp_ok((pg_temp.price('bob', $$job_enqueue('bulk-update', job_key => 'key-0500')$$)
                      ->> 'idx_jobs_job_key')::int, '>=', 2, policy || ': blocks of the index are counted');
  return next is(pg_temp.price('bob', $$job_enqueue('import-csv', job_key => 'key-9999')$$) ->> 'says', 'PT409',
                 policy || ': his own key, another type');
  return next is(pg_temp.price('ann', $$job_enqueue('bulk-update', job_key => 'key-0500', expires_at => '2000-01-01')$$)
                 ->> 'says', 'yes', policy || ': her own key again');
  execute 'drop policy theirs on jobs';
  delete from jobs;
end $body$;
select pg_temp.tenants('the claim',
  $$organisation_id = (select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org_id')::uuid$$);
select pg_temp.tenants('members',
  $$exists (select from public.members m where m.organisation = jobs.organisation_id
            and m.name = current_setting('request.jwt.claims', true)::jsonb ->> 'sub')$$);
select tests.in_step('at the end');
select * from finish();
rollback;
