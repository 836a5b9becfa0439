-- Who asks, by the JWT: which claims count, and that none of them is ever an error, for policies and for new jobs.
\ir setup/begin.psql
begin;
\ir setup/tenants.sql
select no_plan();

-- What each way of saying it means: organisation 1, 2 or none.
create temp table said as
select v.says, v.single, v.means,
       replace(replace(v.claims, '$1', tests.org(1)::text), '$2', tests.org(2)::text) as claims
from (values
  ('org_id', '', '{"org_id": "$1"}', 1),
  ('app_metadata', '', '{"app_metadata": {"provider": "email", "org_id": "$1"}}', 1),
  ('org_id before app_metadata', '', '{"app_metadata": {"org_id": "$2"}, "org_id": "$1"}', 1),
  ('app_metadata behind what is no uuid', '', '{"org_id": "org_2abc", "app_metadata": {"org_id": "$1"}}', 1),
  ('app_metadata behind a null', '', '{"org_id": null, "app_metadata": {"org_id": "$1"}}', 1),
  ('the older way', '$1', '', 1),
  ('the older way first', '$1', '{"org_id": "$2"}', 1),
  ('an older way that says nothing', 'org_2abc', '{"org_id": "$1"}', 1),
  ('beside a number that is no numeric', '', '{"exp": 1e999999999, "org_id": "$1"}', 1),
  ('capitals', '', '{"org_id": "AAAAAAAA-0000-4000-8000-000000000001"}', 1),
  ('the last of two', '', '{"org_id": "$2", "org_id": "$1"}', 1),
  ('user_metadata', '', '{"user_metadata": {"org_id": "$1"}}', null),
  ('deeper', '', '{"app_metadata": {"a": {"org_id": "$1"}}}', null),
  ('no uuid', '', '{"org_id": "org_2abc"}', null),
  ('another form of a uuid', '', '{"org_id": "{$1}"}', null),
  ('a number', '', '{"org_id": 17}', null),
  ('an object', '', '{"org_id": {"id": "$1"}}', null),
  ('an array', '', '{"org_id": ["$1"]}', null),
  ('app_metadata of text', '', '{"app_metadata": "$1"}', null),
  ('app_metadata of an array', '', '{"app_metadata": ["org_id", "$1"]}', null),
  ('an empty claim', '', '{"org_id": ""}', null),
  ('nothing', '', '{}', null),
  ('an empty text', '', '', null),
  ('blanks', '', '  ', null),
  ('an array of claims', '', '["org_id", "$1"]', null),
  ('a text', '', '"$1"', null),
  ('a bare id', '', '$1', null),
  ('null', '', 'null', null),
  ('half an object', '', '{"org_id": "$1"', null),
  ('more than an object', '', '{"org_id": "$1"} x', null),
  ('an escape that is no character', '', '{"org_id": "$1", "name": "\u0000"}', null),
  ('half a surrogate', '', '{"org_id": "$1", "name": "\ud800"}', null),
  ('a huge text', '', repeat('x', 100000), null)) v (says, single, claims, means);

select is(jobs_ext.claimed_organisation(), null, 'without a request: no organisation');
select is(jobs_ext.claimed_user(), null, 'nor a user');

-- A job of each organisation, and of none, to be seen.
insert into jobs (job_type, job_id, organisation_id)
values ('bulk-update', 'of 1', tests.org(1)), ('bulk-update', 'of 2', tests.org(2)),
       ('bulk-update', 'of none', default);
insert into jobs_archive (id, job_id, organisation_id, finished_at)
values (gen_random_uuid(), 'of 1', tests.org(1), now()), (gen_random_uuid(), 'of 2', tests.org(2), now());

create function pg_temp.with_single(single text, claims text, query text) returns text language plpgsql as $$
begin
  perform set_config('request.jwt.claim.org_id', replace(single, '$1', tests.org(1)::text), true);
  return tests.asks(claims, query);
end $$;
create function pg_temp.claimed(single text, claims text) returns uuid language plpgsql as $$
begin
  perform set_config('request.jwt.claim.org_id', replace(single, '$1', tests.org(1)::text), true),
          set_config('request.jwt.claims', claims, true);
  return jobs_ext.claimed_organisation();
end $$;
select is(pg_temp.claimed(single, claims), tests.org(means), 'the function: ' || says) from said;
set local request.jwt.claims = '';
select is(pg_temp.with_single(single, claims, q.query), case when means is null then q.none else q.one end,
          'the policy, ' || q.query || ': ' || says)
from said, (values
  ('select string_agg(job_id, '','') from jobs', 'of 1', null),
  ('select string_agg(job_id, '','') from jobs_archive', 'of 1', null),
  ('select string_agg(job_id, '','') from job_list()', 'of 1', null),
  ('select count(*) from job_attempts', '0', '0')) q (query, one, none);
select is(pg_temp.with_single(single, claims, 'select (job_enqueue(''merge-menus'')).status'), 'queued',
          'job_enqueue: ' || says)
from said where means is not null;
select is(organisation_id, tests.org(1), 'for that organisation') from jobs where job_type = 'merge-menus' limit 1;
select matches(pg_temp.with_single(single, claims, c.call), '^42501 \| new row violates row-level security policy',
               c.call || ': ' || says)
from said, (values
  ('select job_enqueue(''merge-menus'')'),
  ('select job_enqueue(''merge-menus'', job_id => ''keyed'')'),
  ('select job_enqueue_many(''[{"job_type": "merge-menus"}]'')'),
  ('insert into jobs (job_type) values (''merge-menus'')')) c (call)
where means is null;
select matches(pg_temp.with_single('', claims, 'select job_cancel(job_id => ''of 2'')'), '^PT404 \| no such job: of 2 ',
               'job_cancel: ' || says)
from said where single = '' and means is distinct from 2;
set local request.jwt.claim.org_id = '';

-- The service and the owner, whose claims name an organisation or not.
select is(tests.asks(claims, format('select (job_enqueue(''import-csv'', job_id => %L)).status', 'by service ' || says),
                     'service_role'),
          'queued', 'the service enqueues: ' || says)
from said where single = '';
select is(j.organisation_id, coalesce(tests.org(s.means), '00000000-0000-0000-0000-000000000000'), 'for whom: ' || says)
from said s join jobs j on j.job_id = 'by service ' || s.says;

-- The user, who is null where the sub is no uuid.
select is(tests.asks(claims, 'select jobs_ext.claimed_user()', current_user), means, 'the user of ' || claims)
from (values
  (tests.sub(1), tests.person(1)::text),
  ('{"sub": "user_2abc"}', null), ('{"sub": null}', null), ('{"sub": 1}', null), ('{', null), ('', null),
  ('{"app_metadata": {"sub": "' || tests.person(1) || '"}}', null)) v (claims, means);

-- What the refusal says: for which organisation, what the claims name, and where that is set; nothing of others.
select is(tests.asks(claims, call),
          '42501 | new row violates row-level security policy for table "jobs" | The job is for organisation '
            || asked || '. The claims of the request name organisation ' || named || ', user ' || person
            || '. | Name an organisation of the user''s. Or have a JWT hook set the claim org_id or '
               'app_metadata.org_id, or the policies ask for memberships: select jobs_ext.bind(...). Where they do, '
               'the user is no member of it.',
          'says why: ' || claims || ' ' || call)
from (values
  (tests.sub(1), 'select job_enqueue(''bulk-update'')', '00000000-0000-0000-0000-000000000000', 'none',
   tests.person(1)::text),
  ('{"org_id": "org_2abc", "sub": "user_2abc"}', 'select job_enqueue(''bulk-update'')',
   '00000000-0000-0000-0000-000000000000', 'none', 'none'),
  (format('{"org_id": "%s"}', tests.org(1)),
   format('select job_enqueue(''bulk-update'', organisation_id => %L)', tests.org(2)), tests.org(2)::text,
   tests.org(1)::text, 'none'),
  (format('{"org_id": "%s"}', tests.org(1)),
   format('select job_enqueue(''bulk-update'', job_id => ''of 2'', organisation_id => %L)', tests.org(2)),
   tests.org(2)::text, tests.org(1)::text, 'none'),
  (format('{"org_id": "%s"}', tests.org(1)),
   format('select job_enqueue_many(%L)',
          format('[{"job_type": "bulk-update"}, {"job_type": "bulk-update", "organisation_id": "%s"}]', tests.org(3))),
   tests.org(3)::text, tests.org(1)::text, 'none')) v (claims, call, asked, named, person);

-- Another 42501 keeps what it says: of a privilege, and of a trigger of the owner's.
revoke execute on function job_enqueue from authenticated;
select is(tests.asks('{}', 'select job_enqueue(''bulk-update'')'), '42501 | permission denied for function job_enqueue',
          'no privilege on the function');
grant execute on function job_enqueue to authenticated;
create function pg_temp.refuse() returns trigger language plpgsql as $$
begin
  raise insufficient_privilege using message = 'not on Sundays', hint = 'Wait.';
end $$;
create trigger zzz before insert on jobs for each row execute function pg_temp.refuse();
select is(tests.asks('{}', 'select job_enqueue(''bulk-update'')'), '42501 | not on Sundays | Wait.', 'a trigger');
drop trigger zzz on jobs;

-- The JWT hook of doc/supabase.md, word by word.
\set page `cat doc/supabase.md`
select (regexp_match(:'page', '(create function public\.add_organisation.*?\$\$;)'))[1] as hook \gset
:hook
select is(add_organisation(jsonb_build_object('user_id', tests.person(n), 'claims', '{"role": "authenticated"}'::jsonb))
            -> 'claims' ->> 'org_id', tests.org(means)::text, 'the hook for person ' || n)
from (values (1, 1), (2, 2), (8, null), (77, null)) v (n, means);
select is(tests.asks((add_organisation(jsonb_build_object('user_id', tests.person(1), 'claims', '{}'::jsonb))
                        -> 'claims')::text,
                     'select (job_enqueue(''bulk-update'')).status'), 'queued', 'and with it the person enqueues');

-- Who owns a temporary or other function of the names can't stand in: the policies name ours by oid.
create function pg_temp.claimed_organisation() returns uuid language sql as $$ select tests.org(2) $$;
select is(tests.asks(format('{"org_id": "%s"}', tests.org(1)),
                     'select count(*) from jobs where organisation_id <> ''' || tests.org(1) || ''''),
          '0', 'not by a function of that name');
select * from finish();
rollback;
